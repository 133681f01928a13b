"""Fitting the trees: few knobs, fixed seeds, and as many trees as unseen patients justify.

A hospital has some thousand stays, a hundred candidate features and a dozen that matter. What
costs accuracy there is not too stiff a model but noise features that happen to fit. Hence shallow
trees, strong shrinkage, monotone constraints from the declarations, and a choice of features that
must prove their worth on patients the trees have not seen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt
import xgboost

from fhir_mappings.features.declaration import Feature
from training.study_data import BoolArray, FloatArray

MOST_ROUNDS = 1_000
FEWEST_ROUNDS = 20
"""Below this the margins are so small that calibration would have to blow them up."""
ROUND_STEP = 10
"""The out-of-fold loss is looked at every so many rounds."""
PATIENCE = 60
"""Rounds without a better out-of-fold loss after which boosting stops."""
CHOICE_THRESHOLDS = (0.5, 1.5)
"""Standard errors by which a feature's contributions must lower the out-of-fold loss. A strict
threshold serves a hundred candidates, but costs a small cohort its drivers: the data decide."""
OUTCOMES_A_FEATURE = 100
"""With more outcomes than this for each feature there is nothing to gain by choosing."""

SMALL_MATRIX = 5_000_000
"""Values up to which a matrix is fitted with one thread."""

Watch = Callable[[int, float], None]
"""Told of rounds boosted and the out-of-fold loss that they reached."""

_SIGN = {"raises": 1, "lowers": -1, "either": 0}


class FitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of the trees, as MLflow records them."""

    max_depth: int = 3
    eta: float = 0.05
    subsample: float = 0.6
    colsample_bynode: float = 0.5
    reg_lambda: float = 10.0
    threads: int = 4
    """For large matrices; small ones take one, since starting threads costs more than they save.
    Fixed, not the machine's count: sums of floats depend on how rows are shared out."""


@dataclass(frozen=True)
class Fit:
    """A fitted booster, and what unseen patients said of it."""

    booster: xgboost.Booster
    rounds: int
    used: BoolArray
    """Which features the trees may use; the others contribute exactly 0."""
    out_of_fold: FloatArray
    """The margin of each training stay, from the model that did not see its patient."""
    out_of_fold_log_loss: float


@dataclass(frozen=True)
class _Rounds:
    boosters: list[xgboost.Booster]
    rounds: int
    loss: float
    margins: FloatArray


@dataclass(frozen=True)
class _Task:
    values: npt.NDArray[np.float32]
    outcome: BoolArray
    folds: npt.NDArray[np.int8]
    parameters: dict[str, object]

    def booster(
        self, rows: BoolArray, used: BoolArray, *cache: xgboost.DMatrix
    ) -> tuple[xgboost.Booster, xgboost.DMatrix]:
        matrix = self.matrix(rows, used)
        mean = float(self.outcome[rows].mean())
        return xgboost.Booster(
            {**self.parameters, "base_score": mean}, cache=[matrix, *cache]
        ), matrix

    def matrix(self, rows: BoolArray, used: BoolArray) -> xgboost.DMatrix:
        # A column without values cannot be split on: the model keeps its width, and a feature
        # that was not chosen costs nothing and says nothing.
        values = np.where(used, self.values[rows], np.float32(np.nan))
        threads = self.parameters["nthread"]
        return xgboost.DMatrix(values, label=self.outcome[rows], nthread=threads)


def fit_trees(
    features: tuple[Feature, ...],
    values: npt.NDArray[np.float32],
    outcome: BoolArray,
    folds: npt.NDArray[np.int8],
    *,
    seed: int,
    settings: FitSettings | None = None,
    used: BoolArray | None = None,
) -> Fit:
    """Choose features and the number of trees by cross-validation, then fit on all stays given.

    Features are chosen by what they do for patients that the trees have not seen: a feature stays
    when taking its contributions away would raise the out-of-fold log loss by more than some
    standard errors. How many of ``CHOICE_THRESHOLDS``, or whether to keep all features, is decided
    by the out-of-fold loss that results; in doubt, fewer features. The fold models that calibration
    rests on use a choice in which their own validation stays had no say.

    The classes are not reweighted: that would shift every probability.

    Args:
        features: the declarations, whose directions constrain the trees.
        values: stays x features, NaN where missing, in canonical order (``StudyData.ordered``).
        outcome: readmission of each stay.
        folds: patient-disjoint folds from 0 on.
        seed: of row and column sampling.
        settings: of the trees.
        used: features chosen already, where the number of trees alone is to be found.
    """
    task = _task(features, values, outcome, folds, seed, settings or FitSettings())
    count = int(folds.max()) + 1
    chosen = used is not None
    used = np.ones(len(features), dtype=np.bool_) if used is None else used
    best = _boost_folds(task, [used] * count)
    if not chosen and outcome.sum() < OUTCOMES_A_FEATURE * len(features):
        gains = _loss_without(task, best)
        for threshold in CHOICE_THRESHOLDS:
            by_fold = [_worthwhile(gains[folds != fold], threshold) for fold in range(count)]
            run = _boost_folds(task, by_fold)
            if not _clearly_worse(run, best, outcome):
                used, best = _worthwhile(gains, threshold), run
    return Fit(_boost(task, used, best.rounds), best.rounds, used, best.margins, best.loss)


def refit(
    features: tuple[Feature, ...],
    values: npt.NDArray[np.float32],
    outcome: BoolArray,
    *,
    used: BoolArray,
    rounds: int,
    seed: int,
    settings: FitSettings | None = None,
) -> xgboost.Booster:
    """Fit the trees with features and a number of trees that were chosen before.

    Args:
        features: the declarations, whose directions constrain the trees.
        values: stays x features; a stay may stand there more than once.
        outcome: readmission of each stay, both classes present.
        used: the features that the trees may use.
        rounds: how many trees.
        seed: of row and column sampling.
        settings: of the trees.
    """
    folds = np.zeros(len(outcome), dtype=np.int8)
    task = _task(features, values, outcome, folds, seed, settings or FitSettings())
    return _boost(task, used, rounds)


def _boost(task: _Task, used: BoolArray, rounds: int) -> xgboost.Booster:
    booster, matrix = task.booster(np.ones(len(task.outcome), dtype=np.bool_), used)
    for step in range(rounds):
        booster.update(matrix, step)
    return booster


def _parameters(
    features: tuple[Feature, ...], outcome: BoolArray, seed: int, settings: FitSettings
) -> dict[str, object]:
    constraints = ",".join(str(_SIGN[feature.direction]) for feature in features)
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": settings.max_depth,
        "eta": settings.eta,
        "subsample": settings.subsample,
        "colsample_bynode": settings.colsample_bynode,
        "reg_lambda": settings.reg_lambda,
        # In units of p(1-p): ten are some 70 stays at a prevalence of 18 %. Small cohorts could
        # not split at all with ten.
        "min_child_weight": float(np.clip(outcome.sum() / 50, 1, 10)),
        "monotone_constraints": f"({constraints})",
        "nthread": settings.threads,
        "seed": seed,
        "verbosity": 1,
    }


def _log_loss(margin: FloatArray, outcome: BoolArray) -> FloatArray:
    return np.asarray(np.logaddexp(0, margin) - outcome * margin, dtype=np.float64)


def out_of_fold_loss(
    features: tuple[Feature, ...],
    values: npt.NDArray[np.float32],
    outcome: BoolArray,
    folds: npt.NDArray[np.int8],
    *,
    seed: int,
    settings: FitSettings,
    watch: Watch,
) -> float:
    """The out-of-fold log loss of settings with every feature in use: what a search looks at.

    It is ``fit_trees`` without its choice of features, which costs three times as much and moves
    all settings alike.

    Args:
        features: as for ``fit_trees``, like all down to ``settings``.
        values: stays x features.
        outcome: readmission of each stay.
        folds: patient-disjoint folds.
        seed: of row and column sampling.
        settings: of the trees.
        watch: told (rounds, loss) every ``ROUND_STEP`` rounds; it may raise to give up.
    """
    task = _task(features, values, outcome, folds, seed, settings)
    everything = np.ones(len(features), dtype=np.bool_)
    return _boost_folds(task, [everything] * (int(folds.max()) + 1), watch).loss


def _task(
    features: tuple[Feature, ...],
    values: npt.NDArray[np.float32],
    outcome: BoolArray,
    folds: npt.NDArray[np.int8],
    seed: int,
    settings: FitSettings,
) -> _Task:
    if values.size <= SMALL_MATRIX:
        settings = msgspec.structs.replace(settings, threads=1)
    return _Task(values, outcome, folds, _parameters(features, outcome, seed, settings))


def _unwatched(rounds: int, loss: float) -> None:
    """Nobody looks on."""


def _boost_folds(task: _Task, used_by_fold: list[BoolArray], watch: Watch = _unwatched) -> _Rounds:
    """Boost the fold models in step, until their joint out-of-fold loss no longer falls."""
    runs = []
    for fold, used in enumerate(used_by_fold):
        held_out = task.matrix(task.folds == fold, used)
        booster, matrix = task.booster(task.folds != fold, used, held_out)
        runs.append((booster, matrix, held_out))
    margins = np.empty(len(task.outcome))
    best = _Rounds([booster for booster, _, _ in runs], 0, np.inf, margins)
    for rounds in range(ROUND_STEP, MOST_ROUNDS + 1, ROUND_STEP):
        for fold, (booster, matrix, held_out) in enumerate(runs):
            for step in range(rounds - ROUND_STEP, rounds):
                booster.update(matrix, step)
            margins[task.folds == fold] = booster.predict(held_out, output_margin=True)
        loss = float(_log_loss(margins, task.outcome).mean())
        if rounds >= FEWEST_ROUNDS and loss < best.loss:
            best = replace(best, rounds=rounds, loss=loss, margins=margins.copy())
        watch(rounds, loss)
        if rounds - best.rounds >= PATIENCE and best.rounds:
            break
    return best


def _loss_without(task: _Task, run: _Rounds) -> FloatArray:
    """How much each stay's out-of-fold loss rises when a feature's contribution is taken away."""
    gains = np.zeros(task.values.shape)
    everything = np.ones(task.values.shape[1], dtype=np.bool_)
    for fold, booster in enumerate(run.boosters):
        rows = task.folds == fold
        contributions = booster.predict(
            task.matrix(rows, everything),
            pred_contribs=True,
            iteration_range=(0, run.rounds),
        )[:, :-1]
        margin, outcome = run.margins[rows], task.outcome[rows]
        without = _log_loss(margin[:, None] - contributions, outcome[:, None])
        gains[rows] = without - _log_loss(margin, outcome)[:, None]
    return gains


def _clearly_worse(fewer: _Rounds, more: _Rounds, outcome: BoolArray) -> bool:
    """Whether fewer features lose by more than half a standard error; in doubt, fewer it is."""
    excess = _log_loss(fewer.margins, outcome) - _log_loss(more.margins, outcome)
    return bool(excess.mean() > 0.5 * excess.std() / np.sqrt(len(excess)))


def _worthwhile(gains: FloatArray, threshold: float) -> BoolArray:
    """The features worth keeping; all of them when none is, for want of evidence."""
    error = np.maximum(gains.std(axis=0) / np.sqrt(len(gains)), 1e-15)
    kept = gains.mean(axis=0) / error > threshold
    return np.asarray(kept if kept.any() else ~kept, dtype=np.bool_)
