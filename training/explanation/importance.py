"""What moves a model's risks: contributions on test stays, by feature and by clinical family.

A contribution is TreeSHAP's (Lundberg 2020, doi:10.1038/s42256-019-0138-9), in calibrated
log-odds: the same numbers that explain a single score. It says what moves the model, not what
causes a readmission.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fhir_mappings.features.declaration import Feature
from training.findings import FamilyImportance
from training.risk_model import RiskModel
from training.study_data import FloatArray, StudyData

MOST_EXPLAINED = 5_000
"""Test stays whose contributions are averaged; more would not change the order of features."""

_FAMILY_OF_RECORDS = {
    "diagnosis": "conditions",
    "problem": "conditions",
    "observation": "labs_and_vitals",
    "medication-order": "medications",
    "discharge-prescription": "medications",
    "medication-administration": "medications",
    "procedure": "procedures",
}


@dataclass(frozen=True)
class Contributions:
    """What each feature adds to the log-odds of some stays.

    ``baseline + values.sum(axis=1)`` are the stays' calibrated log-odds.
    """

    features: tuple[Feature, ...]
    values: FloatArray
    """Stays x features, log-odds."""
    rows: npt.NDArray[np.float32]
    """The stays' feature values, stays x features; NaN where missing."""
    baseline: float
    """Log-odds of a stay about which nothing is known."""
    of_stays: int
    """How many stays there were to choose from; the rows are evenly spaced among them."""


def contributions(
    model: RiskModel, judged: StudyData, *, most: int = MOST_EXPLAINED
) -> Contributions:
    """Ask a model, as it was saved, what moves its risks of the test stays.

    Args:
        model: the model.
        judged: the test stays.
        most: above so many, evenly spaced ones are taken.
    """
    rows = judged.values[_evenly(len(judged), most)]
    explained = model.explain_many(rows)
    return Contributions(
        features=judged.features,
        values=np.array([prediction.contributions for prediction in explained]),
        rows=rows,
        baseline=explained[0].baseline,
        of_stays=len(judged),
    )


def thinned(whole: Contributions, most: int) -> Contributions:
    """The same with at most so many stays, evenly spaced: for a plot of single stays."""
    kept = _evenly(len(whole.values), most)
    return Contributions(
        whole.features, whole.values[kept], whole.rows[kept], whole.baseline, whole.of_stays
    )


def strongest(explained: Contributions) -> tuple[tuple[str, float], ...]:
    """Features by mean absolute contribution in log-odds, the strongest first; none without any."""
    sizes = np.abs(explained.values).mean(axis=0).tolist()
    ranked = sorted(
        ((feature.name, size) for feature, size in zip(explained.features, sizes, strict=True)),
        key=lambda pair: -pair[1],
    )
    return tuple((name, round(size, 6)) for name, size in ranked if size > 0)


def families(explained: Contributions) -> tuple[FamilyImportance, ...]:
    """What the features of a clinical family move together, the strongest family first.

    Contributions are summed within a family before their size is taken. Features that say the same
    thing twice (two lab values of one illness) share a contribution between them, and features
    that pull against each other cancel: the sum is what the family does to a patient's risk.
    ``share`` is the family's part of all families' sizes; ``features`` counts those of its
    features that move any risk at all.
    """
    names = np.array([family_of(feature) for feature in explained.features])
    moving = np.abs(explained.values).max(axis=0) > 0
    found = []
    for family in sorted(set(names[moving].tolist())):
        members = (names == family) & moving
        size = float(np.abs(explained.values[:, members].sum(axis=1)).mean())
        found.append((family, size, int(members.sum())))
    total = sum(size for _, size, _ in found)
    ranked = sorted(found, key=lambda item: (-item[1], item[0]))
    return tuple(
        FamilyImportance(family, round(size, 6), round(size / total, 6), count)
        for family, size, count in ranked
    )


def family_of(feature: Feature) -> str:
    """The clinical family of a feature; of a vocabulary feature, that of the records it reads."""
    if feature.family != "vocabulary" or not feature.records:
        return feature.family
    return _FAMILY_OF_RECORDS.get(feature.records[0], feature.family)


def _evenly(stays: int, most: int) -> npt.NDArray[np.int64]:
    """Indices of at most so many stays, at even distances."""
    if stays <= most:
        return np.arange(stays)
    return np.arange(most) * stays // most
