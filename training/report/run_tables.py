"""Gates, search, changes, choices and facts of a run, as tables."""

import msgspec

from training.findings import (
    ChampionChanges,
    Gated,
    GateResult,
    Search,
)
from training.report.artifacts import RunArtifacts
from training.report.table import Table, table
from training.words import (
    calibration_formula,
    count,
    number,
)

SHOWN_TRIALS = 20
SHOWN_UNJUDGED = 3
SETTINGS = {
    "max_depth": "Depth of a tree",
    "eta": "Learning rate",
    "subsample": "Share of stays for a tree",
    "colsample_bynode": "Share of features for a split",
    "reg_lambda": "L2 penalty",
    "min_child_weight": "Least weight of a leaf",
}
"""Settings of the trees, in words."""


def gate_table(gated: Gated) -> Table:
    """What each gate said."""
    beside = f"version {gated.champion}" if gated.champion else "no model"
    return table(
        "Gates",
        ("Gate", "Result", "Why", "Not judged"),
        (
            (
                each.gate.replace("_", " "),
                gate_word(each),
                "; ".join(each.failures or each.sentences),
                _few(each.unjudged),
            )
            for each in gated.results
        ),
        f"Asked when the model was trained; {beside} was in use then. Promotion asks them again.",
    )


def _few(sentences: tuple[str, ...]) -> str:
    """At most three; groups that are too small are named elsewhere."""
    if len(sentences) <= SHOWN_UNJUDGED:
        return "; ".join(sentences) or "nothing"
    return f"{len(sentences)} in all; the first is {sentences[0]}"


def gate_word(result: GateResult) -> str:
    """Passed, waived or failed."""
    return "passed" if result.passed else "waived" if result.waived else "failed"


def setting_name(key: str) -> str:
    """A setting of the trees, in words."""
    return SETTINGS.get(key, key.replace("_", " "))


def search_table(search: Search) -> Table:
    """The best settings that were tried."""
    complete = [trial for trial in search.trials if trial.loss is not None]
    shown = sorted(complete, key=lambda trial: (trial.loss or 0.0, trial.number))[:SHOWN_TRIALS]
    names = sorted({name for trial in shown for name in trial.settings})
    return table(
        f"The best {len(shown)} of {len(search.trials)} settings tried",
        (
            "Trial",
            "Log loss, out of fold",
            "State",
            *map(setting_name, names),
        ),
        (
            (
                f"{trial.number} (chosen)" if trial.number == search.best else f"{trial.number}",
                number(trial.loss, 4),
                trial.state,
                *(
                    f"{trial.settings[name]:.3g}" if name in trial.settings else ""
                    for name in names
                ),
            )
            for trial in shown
        ),
    )


def change_tables(changes: ChampionChanges) -> list[Table]:
    """Choices and facts that differ from the run of the model in use."""
    return [
        table(
            caption,
            (what, "Model in use", "This model"),
            ((change.name, change.before, change.after) for change in found),
            words=True,
        )
        for caption, what, found in (
            ("Choices that changed", "Choice", changes.settings),
            ("Data and software that changed", "Fact", changes.data),
        )
        if found
    ]


def choice_table(run: RunArtifacts) -> Table:
    """Every choice of the study, defaults too."""
    rows = [
        (place, value) for place, value in _choices(msgspec.to_builtins(run.study)) if value != ""
    ]
    return table(
        "Every choice, by its place in the study file", ("Choice", "Value"), rows, words=True
    )


def _choices(value: object, place: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            pair
            for name, each in value.items()
            for pair in _choices(each, f"{place}.{name}" if place else str(name))
        ]
    if isinstance(value, list | tuple):
        if any(isinstance(each, dict) for each in value):
            return [
                pair
                for position, each in enumerate(value, start=1)
                for pair in _choices(each, f"{place} {position}")
            ]
        return [(place, ", ".join(map(str, value)) or "none")]
    if isinstance(value, bool):
        return [(place, "yes" if value else "no")]
    return [(place, "not said" if value is None else str(value))]


def fact_table(run: RunArtifacts) -> Table:
    """What it takes to make the run again, and to know that it is the same."""
    facts = run.facts
    between = (
        f"{facts.first_discharge} to {facts.last_discharge}"
        if facts.first_discharge and facts.last_discharge
        else "not shown: dates are shifted per patient"
    )
    rows = [
        ("Study", facts.study_name),
        ("SHA-256 of the study", facts.study_sha256),
        ("Fingerprint of the data", facts.data_fingerprint),
        ("SHA-256 of the model's manifest", run.model_sha256),
        ("Version of the code", facts.code_version),
        ("Seed", str(facts.seed)),
        ("Site profile", facts.profile),
        ("Records", "simulated" if facts.simulated else "of a hospital"),
        ("Discharges", between),
        ("Split", facts.split),
        ("Features", f"{count(facts.features)} offered, {count(facts.features_used)} used"),
        ("Trees", count(facts.trees)),
        (
            "Calibration",
            calibration_formula(run.calibration.slope, run.calibration.intercept),
        ),
        *((f"Version of {name}", version) for name, version in facts.packages.items()),
    ]
    return table("Facts of the run", ("Fact", "Value"), rows, words=True)
