"""The study file: every choice of a study in one TOML page, hashed into each run made from it.

What is not said keeps its default, and the defaults are part of the hash: two runs with the same
study hash made the same choices, whether somebody wrote them down or not. ``studies/default.toml``
spells every default out, and a test holds it to these declarations. Names that are not declared
here are refused: a misspelt gate would be no gate.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from fhir_mappings.attributes import ATTRIBUTES as ATTRIBUTES
from fhir_mappings.errors import StudyError
from fhir_mappings.features.windows import WINDOWS
from training.cohort.selection import CohortRules
from training.fit import FitSettings
from training.vocabulary import VocabularyRules

Share = Annotated[float, Meta(gt=0, lt=1)]
Count = Annotated[int, Meta(ge=0)]

DEFAULT_SEED = 20_240_229


class SplitRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the stays that a model is judged on are set apart."""

    by: Literal["auto", "time", "patient", "site"] = "auto"
    """``auto``: by time where dates compare across patients, else by patient."""
    test_share: Share = 0.2
    test_sites: tuple[str, ...] = ()
    """With ``site``: the sites kept for the test; empty for the ones that come nearest to
    ``test_share``."""


class FeatureChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which features a model may use."""

    use_vocabulary: bool = True
    """Whether to add features for what is frequent at the site."""
    vocabulary: VocabularyRules = VocabularyRules()
    leave_out: tuple[str, ...] = ()
    """Declared features that this study does without."""


class EvaluationRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is measured on the test stays."""

    resamples: Annotated[int, Meta(ge=10)] = 1_000
    """Bootstrap samples of the patients."""
    capacities: tuple[Share, ...] = (0.05, 0.1, 0.2)
    """Shares of the stays that a ward can follow up."""
    attributes: tuple[str, ...] = ATTRIBUTES
    smallest_cell: Annotated[int, Meta(ge=1)] = 11
    """Groups, or outcomes within one, below this are suppressed."""
    stability_refits: Count = 20
    learning_shares: tuple[Annotated[float, Meta(gt=0, le=1)], ...] = (0.1, 0.25, 0.5, 0.75, 1.0)
    """Shares of the training patients that the learning curve refits with; empty for none."""


class Waiver(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A written exception to a gate: who lets it pass, and why."""

    gate: str
    """The name of the gate, ``subgroup`` say."""
    about: str = ""
    """What of it, ``race: Asian`` say; empty for the whole gate."""
    reason: Annotated[str, Meta(min_length=20)]
    by: Annotated[str, Meta(min_length=2)]


class Gates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a model must show before it may be used. An interval decides, not a lucky value."""

    fewest_test_readmissions: Count = 50
    """With fewer, no interval says anything: Riley 2020, doi:10.1136/bmj.m441."""
    auroc_low: float = 0.6
    """The lower end of the AUROC's interval must reach it."""
    auroc_implausible: float = 0.83
    """An AUROC above it is leakage until shown otherwise."""
    not_behind: tuple[str, ...] = ("lace", "hospital", "champion")
    """Peers that the model's AUROC must not be clearly behind (upper end of the difference)."""
    slope: tuple[float, float] = (0.8, 1.25)
    """Calibration slope on the test stays."""
    intercept: float = 0.25
    """Largest distance of the calibration intercept from 0, in log-odds."""
    subgroup_auroc: float = 0.05
    """A group whose AUROC is clearly (by its interval) more than this behind the others fails."""
    subgroup_intercept: float = 0.3
    """The same for a group's calibration intercept, away from 0 in either direction."""
    subgroup_sensitivity: float = 0.1
    """The same for the sensitivity at the high band: equal opportunity."""
    equal_opportunity: tuple[str, ...] = ("sex", "race", "ethnicity", "language", "site")
    """Attributes whose groups must be found equally often. Not age, nor what goes with it (payer,
    destination): where risks differ, one threshold finds fewer of the group at low risk however
    fair the model is (Kleinberg 2016, doi:10.48550/arXiv.1609.05807). The report shows all."""
    single_feature_auroc: float = 0.75
    """A feature that discriminates this well alone is looked at as a leak."""
    waivers: tuple[Waiver, ...] = ()


class Monitoring(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a model in use is called into question."""

    psi_warn: float = 0.1
    psi_alert: float = 0.25
    """Population stability index of an input or of the scores; Siddiqi 2006 gives both bounds."""
    missing_change: float = 0.1
    """Change of the share of missing values that is an alert."""
    auroc_drop: float = 0.05
    """Below the AUROC of the test by more than this, clearly (by the interval)."""
    slope: tuple[float, float] = (0.8, 1.25)
    intercept: float = 0.25
    fewest_stays: Count = 100
    """With fewer in the period nothing is said."""


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All choices of a study."""

    name: str = "Unplanned readmission within 30 days"
    seed: Count = DEFAULT_SEED
    cohort: CohortRules = CohortRules()
    split: SplitRules = SplitRules()
    features: FeatureChoice = FeatureChoice()
    trees: FitSettings = FitSettings()
    evaluation: EvaluationRules = EvaluationRules()
    gates: Gates = Gates()
    monitoring: Monitoring = Monitoring()

    def digest(self) -> str:
        """SHA-256 of all choices, and of the bounds of every window that features look through."""
        windows = {
            name: [window.start, window.end, window.end_included]
            for name, window in WINDOWS.items()
        }
        content = msgspec.json.encode([self, windows], order="sorted")
        return hashlib.sha256(content).hexdigest()


def load_study(path: Path) -> Study:
    """Read a study file.

    Raises:
        StudyError: if it is absent or malformed, with the place in it.
    """
    try:
        content = path.read_bytes()
    except OSError:
        raise StudyError(f"{path}: no such study file, or it cannot be read") from None
    return parse_study(content, path.name)


def parse_study(content: bytes, name: str = "study.json") -> Study:
    """Read a study from TOML, or from JSON where the name ends so.

    Raises:
        StudyError: if it is malformed, or asks for a grouping that does not exist.
    """
    decode = msgspec.json.decode if name.endswith(".json") else msgspec.toml.decode
    try:
        study: Study = decode(content, type=Study)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{name}: {error}") from None
    if any(value != value for value in _numbers(msgspec.to_builtins(study))):
        # Nothing is beyond a tolerance that is no number: the gate would let everything pass.
        raise StudyError(f"{name}: not-a-number is no choice")
    for place, named in (
        ("evaluation.attributes", study.evaluation.attributes),
        ("gates.equal_opportunity", study.gates.equal_opportunity),
    ):
        if unknown := sorted(set(named) - set(ATTRIBUTES)):
            raise StudyError(f"{name}: {place}: no attribute {', '.join(unknown)}")
    return study


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _numbers(each)
