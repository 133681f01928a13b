"""The search for settings of the trees: a fixed number of trials, and resumable after a kill.

Optuna's TPE proposes settings from what the trials so far have shown, and the median pruner gives
up on those that fall behind. Trials are kept in SQLite as they end. The sampler of each trial is
seeded with the number of trials that have ended before it: a search that was killed and taken up
again proposes the same settings as one that never stopped, and so ends with the same model.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.findings import Search, Trial
from training.fit import FitSettings, out_of_fold_loss
from training.split import Split
from training.study_data import StudyData
from training.tracking import locked

if TYPE_CHECKING:
    import optuna

Progress = Callable[[int, int], None]
"""Told trials done and trials in all."""

STARTUP_TRIALS = 10
"""Trials at random before TPE has something to go by."""
PRUNE_FROM_ROUND = 60
"""Earlier than this, small steps only look slow."""


def search_settings(
    folder: Path,
    data: StudyData,
    split: Split,
    start: FitSettings,
    trials: int,
    *,
    seed: int,
    progress: Progress | None = None,
) -> tuple[FitSettings, Search]:
    """Search settings by out-of-fold log loss on the training stays; the test stays have no say.

    The first trial is ``start`` itself, so the search never ends with settings that do worse
    out of fold than those it was given.

    Args:
        folder: where searches are kept; one file for each combination of data, split and seed.
        data: the study's stays in canonical order.
        split: whose training part and folds are used.
        start: the settings to begin with.
        trials: how many to try in all, those of an earlier, interrupted search included.
        seed: of the proposals and of the trees.
        progress: told of each trial.

    Returns:
        The best settings, and every trial that was made.
    """
    learning = data.subset(split.train)
    folds = split.folds[split.train]
    # Two processes at one search would take each other's trials for those of a dead one.
    with locked(folder):
        search = _resumed(folder, data, split, start, seed)
        while (done := len(_ended(search))) < trials:
            if progress is not None:
                progress(done, trials)
            # A sampler of its own for each trial: its random numbers must not depend on how many
            # proposals this very process has made.
            search.sampler = _sampler(seed, done)
            trial = search.ask()
            settings = _proposed(trial, start)
            _run(search, trial, learning, folds, settings, seed)
        if progress is not None:
            progress(trials, trials)
        ended = _ended(search)[:trials]
    complete = [trial for trial in ended if trial.loss is not None and trial.state == "complete"]
    best = min(complete, key=lambda trial: (trial.loss, trial.number))
    return settings_of(best, start), Search(tuple(ended), best.number)


def _resumed(
    folder: Path, data: StudyData, split: Split, start: FitSettings, seed: int
) -> "optuna.Study":
    with warnings.catch_warnings():
        # Optuna announces experimental parts by warnings of its own.
        warnings.simplefilter("ignore")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        key = _key(data, split, start, seed)
        search = optuna.create_study(
            storage=f"sqlite:///{(folder / f'{key}.db').resolve()}",
            study_name=key,
            direction="minimize",
            pruner=optuna.pruners.MedianPruner(
                n_startup_trials=STARTUP_TRIALS, n_warmup_steps=PRUNE_FROM_ROUND
            ),
            load_if_exists=True,
        )
    for trial in search.get_trials(deepcopy=False):
        if trial.state in (optuna.trial.TrialState.RUNNING, optuna.trial.TrialState.WAITING):
            # Left behind by a process that is gone. What it had seen is not used.
            search.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    if not _ended(search):
        search.enqueue_trial(_searched(start))
    return search


def _key(data: StudyData, split: Split, start: FitSettings, seed: int) -> str:
    """Names the search: trials on other stays, folds or seeds say nothing about these."""
    digest = hashlib.sha256(data.fingerprint.encode())
    digest.update(split.folds.tobytes())
    digest.update(f"{seed} {start}".encode())
    return digest.hexdigest()[:24]


def _sampler(seed: int, done: int) -> "optuna.samplers.BaseSampler":
    from optuna.samplers import TPESampler

    own = int.from_bytes(hashlib.sha256(f"{seed}:{done}".encode()).digest()[:4], "big")
    return TPESampler(n_startup_trials=STARTUP_TRIALS, seed=own)


def _proposed(trial: "optuna.Trial", start: FitSettings) -> FitSettings:
    """Settings within what is sensible for some thousand stays and a hundred features."""
    return FitSettings(
        max_depth=trial.suggest_int("max_depth", 2, 6),
        eta=trial.suggest_float("eta", 0.02, 0.2, log=True),
        subsample=trial.suggest_float("subsample", 0.4, 1.0),
        colsample_bynode=trial.suggest_float("colsample_bynode", 0.2, 1.0),
        reg_lambda=trial.suggest_float("reg_lambda", 1.0, 100.0, log=True),
        threads=start.threads,
    )


def _searched(settings: FitSettings) -> dict[str, float]:
    return {
        "max_depth": settings.max_depth,
        "eta": settings.eta,
        "subsample": settings.subsample,
        "colsample_bynode": settings.colsample_bynode,
        "reg_lambda": settings.reg_lambda,
    }


def _run(
    search: "optuna.Study",
    trial: "optuna.Trial",
    learning: StudyData,
    folds: npt.NDArray[np.int8],
    settings: FitSettings,
    seed: int,
) -> None:
    from optuna import TrialPruned
    from optuna.trial import TrialState

    def watch(rounds: int, loss: float) -> None:
        trial.report(loss, rounds)
        if trial.should_prune():
            raise TrialPruned

    try:
        loss = out_of_fold_loss(
            learning.features,
            learning.values,
            learning.outcome,
            folds,
            seed=seed,
            settings=settings,
            watch=watch,
        )
    except TrialPruned:
        search.tell(trial, state=TrialState.PRUNED)
    else:
        search.tell(trial, loss)


def _ended(search: "optuna.Study") -> list[Trial]:
    """Trials that came to an end, numbered without those that a kill cut off."""
    names = {"COMPLETE": "complete", "PRUNED": "pruned"}
    ended = [trial for trial in search.get_trials(deepcopy=False) if trial.state.name in names]
    return [
        Trial(number, names[trial.state.name], trial.value, dict(trial.params))
        for number, trial in enumerate(ended)
    ]


def settings_of(trial: Trial, start: FitSettings) -> FitSettings:
    """The settings that a trial tried; what is not searched is as it was at the start."""
    found = trial.settings
    return FitSettings(
        max_depth=int(found["max_depth"]),
        eta=found["eta"],
        subsample=found["subsample"],
        colsample_bynode=found["colsample_bynode"],
        reg_lambda=found["reg_lambda"],
        threads=start.threads,
    )
