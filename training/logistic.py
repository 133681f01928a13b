"""Logistic regression on the same features as the trees: what a data scientist would try first.

A model of trees that is no better than this is not worth its opacity (Christodoulou 2019,
doi:10.1016/j.jclinepi.2019.02.004, found none in 71 clinical comparisons at low risk of bias). So
the regression gets a fair chance: missing values are told apart from typical ones, features are on
one scale, and the strength of its ridge penalty is chosen by the same folds of patients.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from fhir_mappings.errors import StudyError
from training.evaluation.metrics import log_loss
from training.study_data import BoolArray, FloatArray

STRENGTHS = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0)
"""scikit-learn's ``C`` to choose from: of hundreds of standardised features the first leaves little
but the prevalence, and the last hardly holds any back."""
_MOST_STEPS = 5_000


@dataclass(frozen=True)
class Logistic:
    """A fitted regression, from feature values to probability."""

    preparation: Pipeline
    regression: LogisticRegression
    strength: float
    """The ``C`` that lost least on patients not seen."""

    def probability(self, values: npt.NDArray[np.floating]) -> FloatArray:
        """The risk of each stay; missing values become the medians of the training stays."""
        prepared = self.preparation.transform(_as_double(values))
        return np.asarray(self.regression.predict_proba(prepared)[:, 1], dtype=np.float64)


def fit_logistic(
    values: npt.NDArray[np.floating], outcome: BoolArray, folds: npt.NDArray[np.integer]
) -> Logistic:
    """Fit with the penalty that has the least log loss over the folds.

    Missing values become the feature's median, and an indicator says so. A feature without any
    value is 0 throughout. The same rows in the same order give the same model, on one thread so
    that sums do not depend on how many a machine has.

    Args:
        values: training stays x features.
        outcome: what happened.
        folds: the fold of each stay, none of which shares a patient with another.

    Raises:
        StudyError: if the stays outside some fold have one outcome only.
    """
    rows = _as_double(values)
    with threadpool_limits(limits=1):
        strength = _best_strength(rows, outcome, folds)
        preparation = _preparation().fit(rows)
        regression = _regression(strength).fit(preparation.transform(rows), outcome)
    return Logistic(preparation, regression, strength)


def _best_strength(rows: FloatArray, outcome: BoolArray, folds: npt.NDArray[np.integer]) -> float:
    risks = {strength: np.empty(len(outcome)) for strength in STRENGTHS}
    for fold in np.unique(folds):
        held = folds == fold
        if len(np.unique(outcome[~held])) < 2:
            raise StudyError(
                "logistic regression needs stays with and without a readmission outside each fold"
            )
        preparation = _preparation().fit(rows[~held])
        learning, unseen = preparation.transform(rows[~held]), preparation.transform(rows[held])
        for strength, risk in risks.items():
            fitted = _regression(strength).fit(learning, outcome[~held])
            risk[held] = fitted.predict_proba(unseen)[:, 1]
    once = np.ones((1, len(outcome)))
    return min(risks, key=lambda strength: float(log_loss(risks[strength], outcome, once)[0]))


def _as_double(values: npt.NDArray[np.floating]) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _preparation() -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )


def _regression(strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=_MOST_STEPS, tol=1e-6)
