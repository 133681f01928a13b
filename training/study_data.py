"""The matrix that a study learns from: one row a stay, one column a declared feature."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fhir_mappings.attributes import ATTRIBUTES
from fhir_mappings.errors import StudyError
from fhir_mappings.features.declaration import Feature

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

STAY_COLUMNS = (
    "encounter_id",
    "subject",
    "admitted",
    "discharged",
    "lace",
    "hospital",
    "died_within_horizon",
)
"""What ``StudyData.stays`` must say of each stay, beside the features."""


@dataclass(frozen=True)
class StudyData:
    """Index stays with their feature values and outcomes, as the cohort rules left them.

    All arrays and ``stays`` have one entry a stay, in the same order.

    Raises:
        StudyError: if lengths disagree, a column is absent, a value is infinite, a score is
            missing, or an encounter is there twice.
    """

    features: tuple[Feature, ...]
    values: npt.NDArray[np.float32]
    """Stays x features; NaN where a feature has no value."""
    outcome: BoolArray
    """Whether an unplanned readmission followed within the horizon."""
    subjects: npt.NDArray[Any]
    """The patient of each stay, to group, order and deal stays by; from records the store's own
    number (``study_records.number_of``), and never the record's id."""
    stays: pd.DataFrame
    """``STAY_COLUMNS``: pseudonyms of stay and patient, UTC datetimes, points of LACE and HOSPITAL,
    death within the horizon.

    Besides, where the data were made from records: ``days_to_readmission`` and ``days_to_leaving``
    (``IndexStay``; NaN without one), and ``ATTRIBUTES`` as text, None where the record does not
    say."""
    calendar: bool
    """Whether times mean something across patients; False where a site shifts dates per patient."""
    horizon_days: int
    fingerprint: str
    """SHA-256 of the data, for the record of what a model was trained on."""
    flow: list[dict[str, Any]]
    """The cohort's flow table: ``step``, ``excluded``, ``left``."""
    profile: str
    """The site profile that the records were read with."""

    def __post_init__(self) -> None:
        count = len(self.outcome)
        if self.values.shape != (count, len(self.features)):
            raise StudyError(
                f"the matrix has shape {self.values.shape} where {count} stays and "
                f"{len(self.features)} features are declared"
            )
        if len(self.subjects) != count or len(self.stays) != count:
            raise StudyError("patients, stays and outcomes differ in number")
        if absent := [name for name in STAY_COLUMNS if name not in self.stays]:
            raise StudyError(f"the table of stays lacks: {', '.join(absent)}")
        if np.isinf(self.values).any():
            column = int(np.flatnonzero(np.isinf(self.values).any(axis=0))[0])
            raise StudyError(f"feature {self.features[column].name} has an infinite value")
        for score in ("lace", "hospital"):
            if not np.isfinite(self.score(score)).all():
                raise StudyError(f"the {score} score is missing for some stays")
        if self.stays["encounter_id"].duplicated().any():
            raise StudyError("an index encounter is in the study twice")

    def __len__(self) -> int:
        return len(self.outcome)

    def score(self, name: str) -> FloatArray:
        """Points of ``lace`` or ``hospital`` for each stay."""
        return self.stays[name].to_numpy(dtype=np.float64)

    def groups(self) -> pd.DataFrame:
        """Who the stays are about: a column for each attribute that is there, text or None.

        One row a stay, in the order of the stays, numbered from 0.
        """
        columns = [name for name in ATTRIBUTES if name in self.stays]
        table = self.stays[columns].reset_index(drop=True).astype(object)
        return table.where(table.notna(), None)

    def subset(self, rows: npt.NDArray[Any]) -> "StudyData":
        """The stays that a mask selects, or that indices name, in the indices' order."""
        return replace(
            self,
            values=self.values[rows],
            outcome=self.outcome[rows],
            subjects=self.subjects[rows],
            stays=self.stays.loc[rows] if rows.dtype == bool else self.stays.iloc[rows],
        )

    def ordered(self) -> "StudyData":
        """The same stays by patient, discharge and encounter.

        A histogram of gradients sums floats in the order of the rows. Training starts from this
        order, so that the same stays give the same model whatever order they arrived in.
        """
        keys = pd.DataFrame(
            {
                "subject": self.subjects.astype(str),
                "discharged": self.stays["discharged"].to_numpy(),
                "encounter": self.stays["encounter_id"].astype(str).to_numpy(),
            }
        )
        order = keys.sort_values(["subject", "discharged", "encounter"], kind="stable").index
        return self.subset(order.to_numpy())
