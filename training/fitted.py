"""A study split, searched, fitted and calibrated, before any test stay has been looked at."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training.calibration import Platt, fit_platt
from training.findings import Search
from training.fit import Fit, FitSettings, fit_trees
from training.risk_model import RiskModel
from training.split import Split, split_stays
from training.study import Study
from training.study_data import FloatArray, StudyData
from training.tuning import search_settings

Progress = Callable[[str], None]
"""Told the name of each phase as it starts."""

HIGH_SHARE = 0.2
"""The share of the training stays, by out-of-fold risk, that the high band is made for."""


class Phases:
    """Tells of each phase as it starts and keeps how long it took."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """One phase, as a context."""
        if self._progress is not None:
            self._progress(name)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)


@dataclass(frozen=True)
class Incumbent:
    """The model in use, with the values of its own features for the stays of a study."""

    model: RiskModel
    encounters: npt.NDArray[np.object_]
    values: npt.NDArray[np.float32]
    """Stays x the model's features, in the order of ``encounters``."""
    training_sha256: str | None
    """Of the stays that it learned from (``Fitted.training_sha256``), where its run says so."""

    def risks(self, encounters: npt.NDArray[np.object_]) -> FloatArray | None:
        """Its risks of stays; None unless it has values for all of them."""
        place = {encounter: row for row, encounter in enumerate(self.encounters)}
        if any(encounter not in place for encounter in encounters):
            return None
        return self.model.predict(self.values[[place[encounter] for encounter in encounters]])


@dataclass(frozen=True)
class Fitted:
    """A study split, fitted and calibrated: what the findings are made from."""

    data: StudyData
    study: Study
    split: Split
    settings: FitSettings
    search: Search | None
    fit: Fit
    platt: Platt

    @property
    def learning(self) -> StudyData:
        """The training stays."""
        return self.data.subset(self.split.train)

    @property
    def judged(self) -> StudyData:
        """The test stays."""
        return self.data.subset(self.split.test)

    @property
    def training_sha256(self) -> str:
        """SHA-256 of the training stays' encounters: who learned from the same has the same."""
        encounters = sorted(self.learning.stays["encounter_id"].astype(str))
        return hashlib.sha256("\n".join(encounters).encode()).hexdigest()

    @property
    def prevalence(self) -> float:
        """The share of training stays with a readmission: risks below it are low."""
        return float(self.data.outcome[self.split.train].mean())

    @property
    def high_from(self) -> float:
        """Risks from here on are high: the top fifth out of fold, never below the prevalence."""
        risks = self.platt.probability(self.fit.out_of_fold)
        return max(float(np.quantile(risks, 1 - HIGH_SHARE)), self.prevalence)

    def booster(self) -> bytes:
        """The trees as UBJSON."""
        return bytes(self.fit.booster.save_raw("ubj"))


def fit_study(
    data: StudyData,
    study: Study,
    searches: Path,
    *,
    tune: int = 0,
    phase: Phases | None = None,
) -> Fitted:
    """Split, search, fit and calibrate; nothing of the test stays is looked at.

    Args:
        data: the matrix with outcomes, in any order.
        study: every choice.
        searches: the folder where searches are kept.
        tune: how many settings to try; 0 for the study's own.
        phase: told each phase.

    Raises:
        StudyError: if the data cannot be split or hold one outcome only.
    """
    phase = phase or Phases(None)
    data = data.ordered()
    with phase("split"):
        split = split_stays(data, seed=study.seed, rules=study.split)
        learning = data.subset(split.train)
    settings, search = study.trees, None
    if tune:
        with phase("search"):
            settings, search = search_settings(
                searches, data, split, study.trees, tune, seed=study.seed
            )
    with phase("fit"):
        fit = fit_trees(
            data.features,
            learning.values,
            learning.outcome,
            split.folds[split.train],
            seed=study.seed,
            settings=settings,
        )
    with phase("calibrate"):
        platt = fit_platt(fit.out_of_fold, learning.outcome)
    return Fitted(data, study, split, settings, search, fit, platt)
