"""What a run found: the one vocabulary that evaluation writes and report, card and gates read.

Each struct is a JSON file among the run's artifacts (``FILES``), so that whoever reads a run needs
nothing but the run.
"""

import msgspec

from training.risk_model import Interval
from training.study import Waiver

Measures = dict[str, Interval]
"""Measures by name: auroc, auprc, brier, scaled_brier, log_loss, calibration_slope,
calibration_intercept, and at the high band ppv, sensitivity, specificity, flagged."""


class CalibrationGroup(msgspec.Struct, frozen=True):
    """A tenth of the test stays by predicted risk."""

    stays: int
    predicted: float
    observed: Interval


class SmoothPoint(msgspec.Struct, frozen=True):
    """A point of the LOESS calibration curve, with the pointwise interval of the resamples."""

    predicted: float
    observed: float
    low: float | None
    high: float | None


class CalibrationCurve(msgspec.Struct, frozen=True):
    """Observed against predicted risk, in tenths and smoothed."""

    groups: tuple[CalibrationGroup, ...]
    smooth: tuple[SmoothPoint, ...]


class NetBenefit(msgspec.Struct, frozen=True):
    """Net benefit of acting at a risk threshold (Vickers 2006, doi:10.1177/0272989X06295361)."""

    threshold: float
    everyone: float
    """Of acting on every stay; acting on none has net benefit 0."""
    model: Interval
    peers: Measures
    """LACE, HOSPITAL and the others by name."""


class Capacity(msgspec.Struct, frozen=True):
    """The stays with the highest risks, as many as a ward can follow up."""

    share: float
    stays: int
    threshold: float
    """The lowest risk among them."""
    ppv: Interval
    sensitivity: Interval
    number_needed_to_evaluate: Interval
    """Stays followed up for each readmission among them."""
    alerts_per_week: float | None
    """None where dates are shifted per patient and a week means nothing."""
    peers_ppv: Measures
    """PPV of LACE, HOSPITAL and the others at the same number of stays."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """How well the model holds on the test stays (``evaluation.json``).

    Intervals resample patients. ``baselines`` are lace, hospital, prevalence, logistic and, where
    there is one, champion; ``differences`` are the model's measure minus the baseline's, on the
    same resamples.
    """

    stays: int
    patients: int
    readmissions: int
    deaths: int
    """Patients who died within the horizon without a readmission: the competing risk."""
    weeks: float | None
    """In which as many of the study's stays end as the test has; None where dates are shifted."""
    resamples: int
    model: Measures
    baselines: dict[str, Measures]
    differences: dict[str, Measures]
    calibration: CalibrationCurve
    net_benefit: tuple[NetBenefit, ...]
    capacities: tuple[Capacity, ...]


class Subgroup(msgspec.Struct, frozen=True, kw_only=True):
    """Test stays that share an attribute."""

    name: str
    stays: int | None
    """None where suppressed."""
    readmissions: int | None
    suppressed: bool
    """Fewer than the smallest cell, or so few outcomes, or derivable from the others."""
    measures: Measures
    gaps: Measures
    """The group's measure minus that of all other test stays, on the same resamples."""


class Grouping(msgspec.Struct, frozen=True, kw_only=True):
    """An attribute and its groups."""

    attribute: str
    label: str
    """For people: ``Age``."""
    recorded: int
    """Test stays for which the record says it."""
    groups: tuple[Subgroup, ...]
    equal_opportunity_difference: float | None
    """Largest difference of sensitivity at the high band between groups (fairlearn)."""
    demographic_parity_difference: float | None
    """Largest difference of the share that is flagged (fairlearn)."""


class Fairness(msgspec.Struct, frozen=True):
    """Whom the model works for (``fairness.json``)."""

    smallest_cell: int
    groupings: tuple[Grouping, ...]
    absent: tuple[str, ...]
    """Attributes that were asked for and that the records do not say, or say of fewer stays than
    the smallest cell."""


class LeakFinding(msgspec.Struct, frozen=True):
    """A feature that may know the future."""

    feature: str
    sign: str
    """``implausible_alone``, ``after_discharge`` or ``model_implausible``; of a caution,
    ``coded_at_discharge``."""
    auroc: Interval | None
    sentence: str


class LeakageAudit(msgspec.Struct, frozen=True):
    """Features that discriminate too well alone, or look past discharge (``leakage.json``)."""

    features: int
    limit: float
    strongest_alone: tuple[tuple[str, float], ...]
    """The ten best single features by AUROC on the training stays."""
    findings: tuple[LeakFinding, ...]
    cautions: tuple[LeakFinding, ...] = ()
    """What rests on an assumption that the records cannot prove; no gate fails for it."""


class FamilyImportance(msgspec.Struct, frozen=True):
    """What a clinical family of features moves together."""

    family: str
    size: float
    """Mean absolute sum of the family's contributions, log-odds."""
    share: float
    features: int


class StableFeature(msgspec.Struct, frozen=True):
    """How steadily a feature belongs to the strongest."""

    feature: str
    times_in_top_ten: int
    median_rank: float


class Stability(msgspec.Struct, frozen=True):
    """The ten strongest features over refits on resampled patients."""

    refits: int
    mean_overlap: float | None
    """Mean share of the model's ten strongest that a refit has among its own ten."""
    features: tuple[StableFeature, ...]


class Explanation(msgspec.Struct, frozen=True):
    """What moves the model's risks (``explanation.json``)."""

    strongest: tuple[tuple[str, float], ...]
    """Features by mean absolute contribution on test stays, log-odds."""
    families: tuple[FamilyImportance, ...]
    stability: Stability


class LearningPoint(msgspec.Struct, frozen=True):
    """A model fitted on part of the training patients, measured on the same test stays."""

    share: float
    stays: int
    readmissions: int
    auroc: Interval
    log_loss: Interval


class Learning(msgspec.Struct, frozen=True):
    """Whether more stays would help (``learning.json``)."""

    points: tuple[LearningPoint, ...]


class Trial(msgspec.Struct, frozen=True):
    """One setting of the trees that the search tried."""

    number: int
    state: str
    """``complete`` or ``pruned``."""
    loss: float | None
    """Out-of-fold log loss."""
    settings: dict[str, float]


class Search(msgspec.Struct, frozen=True):
    """The search for settings (``search.json``); absent where none was made."""

    trials: tuple[Trial, ...]
    best: int


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What was run on what (``run.json``): the facts that no other file holds."""

    study_name: str
    study_sha256: str
    data_fingerprint: str
    code_version: str
    seed: int
    profile: str
    simulated: bool
    """Whether the records are of the simulated hospital: every figure then says so."""
    horizon_days: int
    calendar: bool
    split: str
    train_stays: int
    train_patients: int
    train_readmissions: int
    first_discharge: str | None
    last_discharge: str | None
    """Dates of the data; None where they are shifted per patient."""
    features: int
    features_used: int
    trees: int
    packages: dict[str, str]
    """Versions of what decides the result: python, numpy, xgboost."""
    champion_sha256: str | None = None
    """The manifest of the model in use that this run was compared with; None for no model."""
    champion_unseen: bool | None = None
    """Whether that model learned from the same stays, and so from no patient of the test.
    Otherwise it may have, which flatters it."""
    training_sha256: str | None = None
    """Of the training stays' encounters, for a later run that asks who learned from what."""


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate said of a model."""

    gate: str
    """``discrimination``, ``calibration``, ``subgroup``, ``leakage`` or ``reproducibility``."""
    passed: bool
    waived: bool
    """Whether a written exception covers each thing that it did not pass on."""
    sentences: tuple[str, ...]
    """What was measured, and against what."""
    failures: tuple[str, ...]
    """What it did not pass on; empty where it passed."""
    unjudged: tuple[str, ...]
    """What could not be judged, and why: suppressed groups, say."""
    waivers: tuple[Waiver, ...]
    """The exceptions that were needed."""


class Gated(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates said when the model was trained (``gates.json``)."""

    results: tuple[GateResult, ...]
    champion: str | None
    """The version that was in use then; None where there was none."""


class Change(msgspec.Struct, frozen=True):
    """A choice or a fact in which two runs differ."""

    name: str
    before: str
    after: str


class ChampionChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What is other than in the run of the model in use (``changes.json``).

    Written when a model is trained beside a champion, so that a report needs no second run.
    """

    champion: str
    """Its version in the registry."""
    features_added: tuple[str, ...]
    features_removed: tuple[str, ...]
    settings: tuple[Change, ...]
    """Choices of the study, by their place in the study file."""
    data: tuple[Change, ...]
    """Facts of the records and of the software."""


FILES: dict[str, type[msgspec.Struct]] = {
    "run.json": RunFacts,
    "evaluation.json": Evaluation,
    "fairness.json": Fairness,
    "leakage.json": LeakageAudit,
    "explanation.json": Explanation,
    "learning.json": Learning,
    "search.json": Search,
    "gates.json": Gated,
    "changes.json": ChampionChanges,
}
"""The findings among a run's artifacts, beside ``study.json``, ``flow.json``, ``plots/*.svg`` and
the risk model in ``model/``."""
