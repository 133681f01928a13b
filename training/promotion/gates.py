"""The gates: what a model must show before it may be used, each with what was measured.

A gate says what it measured, what it did not pass on, and what it could not judge; what could not
be judged because the run does not hold it counts as not passed. A waiver of the study lets a model
through all the same, by name and with its reason, and the result shows that it was needed.

Subgroups: Obermeyer 2019, doi:10.1126/science.aax2342; equal opportunity: Hardt 2016,
arXiv:1610.02413. Calibration: Van Calster 2019, doi:10.1186/s12916-019-1466-7.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from training import findings
from training.findings import GateResult
from training.promotion.evidence import Evidence, read_evidence
from training.risk_model import Interval
from training.study import Gates, Study, Waiver
from training.words import attribute_name, count, interval, number, peer_in_sentence

SMALLEST_TOLD = 11
"""As the Centers for Medicare & Medicaid Services ask for: no count from 1 to 10."""
Refit = Callable[[], bytes]
"""Fits the model anew from the data at hand and returns ``model.ubj``."""


@dataclass(frozen=True)
class InUse:
    """The model in use, that a candidate must not be behind."""

    version: str
    manifest_sha256: str


@dataclass
class _Gate:
    """What one gate gathers while it looks."""

    name: str
    sentences: list[str] = field(default_factory=list)
    failures: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    """What about, in the words that a waiver may use, and the sentence."""
    unjudged: list[str] = field(default_factory=list)

    def require(self, held: bool, sentence: str, *about: str, otherwise: str | None = None) -> None:
        """Note what was measured; a failure, in the words of ``otherwise``, unless it holds."""
        told = sentence if held or otherwise is None else otherwise
        self.sentences.append(told)
        if not held:
            self.failures.append((about, told))

    def result(self, waivers: tuple[Waiver, ...]) -> GateResult:
        """The result, with the waivers of this gate that were needed."""
        own = [waiver for waiver in waivers if waiver.gate == self.name]
        used = [
            next((waiver for waiver in own if waiver.about in ("", *about)), None)
            for about, _ in self.failures
        ]
        return GateResult(
            gate=self.name,
            passed=not self.failures,
            waived=bool(self.failures) and None not in used,
            sentences=tuple(self.sentences),
            failures=tuple(sentence for _, sentence in self.failures),
            unjudged=tuple(self.unjudged),
            waivers=tuple(dict.fromkeys(waiver for waiver in used if waiver is not None)),
        )


def judge(
    folder: Path, study: Study, *, champion: InUse | None = None, refit: Refit | None = None
) -> tuple[GateResult, ...]:
    """Put a run before the gates of a study.

    Args:
        folder: the run's artifacts.
        study: its gates and waivers are applied.
        champion: the model in use; None where there is none, or where it is this one.
        refit: fits the model anew, where the data are at hand; None leaves that unjudged.
    """
    evidence = read_evidence(folder)
    gates = study.gates
    found = (
        _discrimination(evidence, gates, champion),
        _calibration(evidence, gates),
        _subgroup(evidence, gates),
        _leakage(evidence),
        _reproducibility(evidence, refit),
    )
    return tuple(gate.result(gates.waivers) for gate in found)


def allowed(results: tuple[GateResult, ...]) -> bool:
    """Whether every gate was passed or waived."""
    return all(result.passed or result.waived for result in results)


def _discrimination(evidence: Evidence, gates: Gates, champion: InUse | None) -> _Gate:
    gate = _Gate("discrimination")
    evaluation = evidence.evaluation
    if evaluation is None:
        gate.require(False, evidence.problems["evaluation.json"])
        return gate
    gate.require(
        evaluation.readmissions >= gates.fewest_test_readmissions,
        f"{_few_or_count(evaluation.readmissions)} readmissions among {count(evaluation.stays)} "
        f"test stays; at least {gates.fewest_test_readmissions} are needed for an interval that "
        "says anything",
        "test readmissions",
    )
    auroc = evaluation.model.get("auroc", _UNKNOWN)
    gate.require(
        auroc.low is not None and auroc.low >= gates.auroc_low,
        f"AUROC {interval(auroc, 'auroc')}; its interval must not reach below {gates.auroc_low:g}",
        "auroc",
    )
    gate.require(
        auroc.value is not None and auroc.value <= gates.auroc_implausible,
        f"AUROC {interval(auroc, 'auroc')}; above {gates.auroc_implausible:g} it is leakage until "
        "shown otherwise",
        "implausible auroc",
    )
    for peer in gates.not_behind:
        if peer == "champion":
            _beside_champion(gate, evidence, champion)
        else:
            _beside(gate, evaluation, peer, peer_in_sentence(peer))
    return gate


def _few_or_count(readmissions: int) -> str:
    """Reasons are kept on record and stand on the model card, where small counts are not told."""
    small = 0 < readmissions < SMALLEST_TOLD
    return f"fewer than {SMALLEST_TOLD}" if small else count(readmissions)


def _beside_champion(gate: _Gate, evidence: Evidence, champion: InUse | None) -> None:
    if champion is None:
        return
    named = f"the model in use (version {champion.version})"
    compared = evidence.facts.champion_sha256 if evidence.facts else None
    if compared not in (None, champion.manifest_sha256):
        gate.require(
            False,
            f"compared with a model that is no longer in use, not with version {champion.version}",
            "champion",
        )
    elif evidence.evaluation is not None:
        if compared is not None and evidence.facts and not evidence.facts.champion_unseen:
            named += ", which may have learned from patients of this test and is flattered then"
        _beside(gate, evidence.evaluation, "champion", named)


def _beside(gate: _Gate, evaluation: findings.Evaluation, peer: str, named: str) -> None:
    difference = evaluation.differences.get(peer, {}).get("auroc", _UNKNOWN)
    if difference.high is None:
        gate.require(False, f"not compared with {named}", peer)
        return
    gate.require(
        difference.high >= 0,
        f"AUROC minus that of {named}: {interval(difference, 'auroc', signed=True)}; the interval "
        "must not lie below 0",
        peer,
    )


def _calibration(evidence: Evidence, gates: Gates) -> _Gate:
    """The values themselves must lie within the bounds, and have an interval.

    An interval that merely reaches into the bounds is no evidence of calibration: the fewer the
    stays, the wider it is.
    """
    gate = _Gate("calibration")
    if evidence.evaluation is None:
        gate.require(False, evidence.problems["evaluation.json"])
        return gate
    measures = evidence.evaluation.model
    slope = measures.get("calibration_slope", _UNKNOWN)
    low, high = gates.slope
    gate.require(
        slope.low is not None and slope.value is not None and low <= slope.value <= high,
        f"calibration slope {interval(slope, 'calibration_slope')}; {low:g} to {high:g} is allowed",
        "slope",
    )
    intercept = measures.get("calibration_intercept", _UNKNOWN)
    gate.require(
        intercept.low is not None
        and intercept.value is not None
        and abs(intercept.value) <= gates.intercept,
        f"calibration intercept {interval(intercept, 'calibration_intercept')}; at most "
        f"{gates.intercept:g} from 0 is allowed",
        "intercept",
    )
    return gate


def _subgroup(evidence: Evidence, gates: Gates) -> _Gate:
    """A group falls behind where an interval lies wholly beyond the tolerance."""
    gate = _Gate("subgroup")
    if evidence.fairness is None:
        gate.require(False, evidence.problems["fairness.json"])
        return gate
    judged = 0
    for grouping in evidence.fairness.groupings:
        for group in grouping.groups:
            named = f"{grouping.label}: {group.name}"
            if group.suppressed:
                gate.unjudged.append(f"{named}: too few to be shown or judged")
                continue
            about = f"{grouping.attribute}: {group.name}"
            for tolerance in _tolerances(group, grouping.attribute, gates):
                judged += _judge_group(gate, named, about, tolerance)
    gate.unjudged.extend(
        f"{attribute_name(name)}: the records do not say it" for name in evidence.fairness.absent
    )
    told = f"{count(judged)} measures of groups were compared with their tolerances"
    gate.require(judged > 0, told, otherwise="no group could be judged")
    return gate


@dataclass(frozen=True)
class _Tolerance:
    measure: str
    interval: Interval
    lowest: float
    """The interval must reach up to it."""
    highest: float | None
    """And down to it, where too much is a fault as well."""
    allowed: str
    said: str
    """The interval for people."""


def _tolerances(group: findings.Subgroup, attribute: str, gates: Gates) -> Iterator[_Tolerance]:
    auroc, intercept, sensitivity = (
        gates.subgroup_auroc,
        gates.subgroup_intercept,
        gates.subgroup_sensitivity,
    )
    yield _Tolerance(
        "AUROC minus that of the others",
        group.gaps.get("auroc", _UNKNOWN),
        -auroc,
        None,
        f"{auroc:g} behind is tolerated",
        interval(group.gaps.get("auroc"), "auroc", signed=True),
    )
    yield _Tolerance(
        "calibration intercept",
        group.measures.get("calibration_intercept", _UNKNOWN),
        -intercept,
        intercept,
        f"{intercept:g} from 0 is tolerated",
        interval(group.measures.get("calibration_intercept"), "calibration_intercept"),
    )
    if attribute not in gates.equal_opportunity:
        return
    yield _Tolerance(
        "sensitivity at the high band minus that of the others",
        group.gaps.get("sensitivity", _UNKNOWN),
        -sensitivity,
        None,
        f"{number(100 * sensitivity, 0)} points behind is tolerated",
        interval(group.gaps.get("sensitivity"), "sensitivity", signed=True),
    )


def _judge_group(gate: _Gate, named: str, about: str, tolerance: _Tolerance) -> int:
    """How many measures were judged: one, or none where there is no interval."""
    low, high = tolerance.interval.low, tolerance.interval.high
    if low is None or high is None:
        gate.unjudged.append(f"{named}: no interval for {tolerance.measure}")
        return 0
    above = tolerance.highest is not None and low > tolerance.highest
    if high < tolerance.lowest or above:
        told = f"{named}: {tolerance.measure} {tolerance.said}; {tolerance.allowed}"
        gate.require(False, told, about, named)
    return 1


def _leakage(evidence: Evidence) -> _Gate:
    gate = _Gate("leakage")
    if evidence.leakage is None:
        gate.require(False, evidence.problems["leakage.json"])
        return gate
    audit = evidence.leakage
    gate.sentences.append(
        f"{count(audit.features)} features were looked at: none may reach an AUROC of "
        f"{audit.limit:g} alone, or know of the time after discharge"
    )
    for finding in audit.findings:
        gate.require(False, finding.sentence, finding.feature)
    return gate


def _reproducibility(evidence: Evidence, refit: Refit | None) -> _Gate:
    gate = _Gate("reproducibility")
    model, facts = evidence.model, evidence.facts
    gate.require(
        model is not None,
        "every file of the model is what its manifest says",
        "model",
        otherwise=evidence.problems.get("model"),
    )
    if facts is None:
        gate.require(False, evidence.problems["run.json"])
    elif model is not None:
        gate.require(
            bool(facts.data_fingerprint)
            and facts.data_fingerprint == model.reference.data_fingerprint,
            "run and model name the data they were made from by the same fingerprint",
            "data",
            otherwise="run and model do not name the same data by a fingerprint",
        )
    if evidence.study is None:
        gate.require(False, evidence.problems["study.json"])
    elif facts is not None:
        gate.require(
            evidence.study.digest() == facts.study_sha256,
            "the study that is kept with the run has the hash that the run names",
            "study",
            otherwise="the study that is kept with the run is not the one that the run names",
        )
    if refit is None:
        gate.unjudged.append("a refit: the data were not at hand")
    elif evidence.trees is not None:
        gate.require(
            refit() == evidence.trees,
            "a refit from the data at hand gives the same trees byte for byte",
            "refit",
            otherwise="a refit from the data at hand gives other trees",
        )
    return gate


_UNKNOWN = Interval(None, None, None)
