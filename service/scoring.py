"""Scoring one stay: the one implementation that the API and the batch command share."""

from collections.abc import Callable, Sequence
from math import fsum, isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

from fhir_mappings.clinical_scores import hospital, lace
from fhir_mappings.consent import OptOuts
from fhir_mappings.eligibility import why_not
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.events import DAY
from fhir_mappings.features.declaration import Feature
from fhir_mappings.features.engine import Evidence, View
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline
from service.score import (
    Comparison,
    MissingInput,
    ModelIdentity,
    NotScored,
    Reason,
    Score,
    Scored,
    StaleInput,
    WhyNotScored,
)
from service.wording import local_date, local_time, number, phrase

if TYPE_CHECKING:
    from training.risk_model import Prediction, RiskModel

Note = Callable[[Sequence[float], "Prediction"], None]
"""Told the row of a stay, in the order of the model's features, and what the model made of it."""

DEFAULT_REASONS: Final = 6
"""How many reasons a score names: what fits a card that is read in a corridor."""

EVIDENCE_SHOWN: Final = 5
"""How many resources a reason names; the rest is counted."""

LARGEST: Final = 3.4e38
"""The largest number in single precision, rounded down."""

WITHOUT_DATE: Final = frozenset({"age", "sex"})
"""Measures of the person: the date of their record is a date of birth, which says nothing."""


class Prepared(NamedTuple):
    """A stay that the model is for: what it is asked with, and what its answer is worded from."""

    view: View
    row: list[float]
    """The value of each of the model's features, in their order; NaN where missing."""
    encounter_id: str
    """The Encounter that the answer names."""


def score_stay(
    model: "RiskModel",
    timeline: Timeline,
    stay: Stay,
    as_of: int,
    *,
    opt_outs: OptOuts,
    encounter_id: str | None = None,
    max_reasons: int = DEFAULT_REASONS,
    note: "Note | None" = None,
) -> Score:
    """Score one stay as the record stood at ``as_of``, or say why it is not scored.

    Args:
        model: the risk model; its own features are computed.
        timeline: the patient's events.
        stay: the index stay.
        as_of: the moment of scoring, microseconds UTC; nothing known later is used.
        opt_outs: who is on the site's list, and when the record is used; never optional, or
            whoever forgets it scores those who said no.
        encounter_id: the Encounter to name in the answer; the stay's last one by default.
        max_reasons: how many contributions are named one by one.
        note: told the inputs and the prediction of a stay that is scored.

    Raises:
        UnprocessableError: if the stay has not begun at ``as_of``, or a value is beyond computing.
    """
    prepared = prepare(model, timeline, stay, as_of, opt_outs=opt_outs, encounter_id=encounter_id)
    if isinstance(prepared, NotScored):
        return prepared
    prediction = model.explain(prepared.row)
    if note is not None:
        note(prepared.row, prediction)
    return answer(model, prepared, prediction, max_reasons=max_reasons)


def prepare(
    model: "RiskModel",
    timeline: Timeline,
    stay: Stay,
    as_of: int,
    *,
    opt_outs: OptOuts,
    encounter_id: str | None = None,
) -> Prepared | NotScored:
    """The first half of ``score_stay``: what the model is to be asked, or why it is not asked.

    Whoever scores many stays asks the model about all of them at once.

    Args:
        model: the risk model; its own features are computed.
        timeline: the patient's events.
        stay: the index stay.
        as_of: the moment of scoring, microseconds UTC; nothing known later is used.
        opt_outs: as for ``score_stay``.
        encounter_id: the Encounter to name in the answer; the stay's last one by default.

    Raises:
        UnprocessableError: if the stay has not begun at ``as_of``, or a value is beyond computing.
    """
    if as_of < stay.start:
        raise UnprocessableError("as_of: the stay has not begun at that moment")
    encounter = encounter_id or stay.name
    view = View(timeline, stay, as_of)
    if ineligible := why_not(view, "scoring", opt_outs):
        return NotScored(
            subject=timeline.subject,
            encounter_id=encounter,
            as_of=_moment(view),
            reason=WhyNotScored(ineligible.code, ineligible.sentence),
            model=_identity(model),
        )
    row = _computable(view.row(model.features), model.features)
    return Prepared(view, row, encounter)


def answer(
    model: "RiskModel", prepared: Prepared, prediction: "Prediction", *, max_reasons: int
) -> Scored:
    """The second half of ``score_stay``: what the model said, in words and with its evidence.

    Args:
        model: the risk model that was asked.
        prepared: what it was asked.
        prediction: what it said.
        max_reasons: how many contributions are named one by one.

    """
    view = prepared.view
    inputs = _Inputs(view, model, prepared.row, prediction)
    findings = inputs.findings()
    named, others = findings[:max_reasons], findings[max_reasons:]
    return Scored(
        subject=view.timeline.subject,
        encounter_id=prepared.encounter_id,
        as_of=_moment(view),
        probability=prediction.probability,
        band=model.band(prediction.probability),
        horizon_days=model.horizon_days,
        comparison=_comparison(model, prediction.probability),
        baseline_log_odds=prediction.baseline,
        log_odds=prediction.log_odds,
        reasons=tuple(inputs.reason(finding) for finding in named),
        other_contributions=fsum(inputs.weight(finding) for finding in others),
        missing_inputs=inputs.missing(),
        stale_inputs=inputs.stale(),
        lace=lace(view),
        hospital=hospital(view),
        model=_identity(model),
    )


def _moment(view: View) -> str:
    return local_time(view.as_of, view.stay.utc_offset).isoformat(timespec="seconds")


def _identity(model: "RiskModel") -> ModelIdentity:
    return ModelIdentity(model.name, model.version, model.run_id)


class _Inputs:
    """The model's inputs for one stay: value, contribution and evidence of each, by position."""

    def __init__(
        self,
        view: View,
        model: "RiskModel",
        row: Sequence[float],
        prediction: "Prediction",
    ) -> None:
        self.view = view
        self.clock = view.stay.utc_offset
        self.features = model.features
        self.used = [feature.used for feature in model.reference.features]
        self.values = [value if isfinite(value) else None for value in row]
        self.contributions = prediction.contributions

    def weight(self, finding: Sequence[int]) -> float:
        """What some inputs did to the risk together, in log-odds."""
        return fsum(self.contributions[position] for position in finding)

    def findings(self) -> list[list[int]]:
        """The positions that moved the risk, the strongest first; in declared order where equal.

        Several inputs that are missing for one reason are one finding: a reader who is told twice
        that sodium was not measured doubts the rest. What changed nothing is no finding.
        """
        together: dict[str | int, list[int]] = {}
        for position, feature in enumerate(self.features):
            absent = self.values[position] is None and feature.phrases.missing
            together.setdefault(absent or position, []).append(position)
        for finding in together.values():
            finding.sort(key=lambda position: -abs(self.contributions[position]))
        moved = [finding for finding in together.values() if self.weight(finding)]
        return sorted(moved, key=lambda finding: -abs(self.weight(finding)))

    def evidence(self, position: int) -> list[Evidence]:
        """Give the records behind a value, newest first, each once."""
        found: dict[str, Evidence] = {}
        for one in self.view.evidence(self.features[position]):
            found.setdefault(one.source, one)
        return list(found.values())

    def reason(self, finding: Sequence[int]) -> Reason:
        position, contribution = finding[0], self.weight(finding)
        feature = self.features[position]
        evidence = self.evidence(position)
        newest = None if feature.measure in WITHOUT_DATE else _newest(evidence)
        return Reason(
            phrase=self.phrase(position, newest),
            feature=feature.name,
            value=self.values[position],
            unit=feature.unit,
            date=None if newest is None else local_date(newest, self.clock),
            direction="raises" if contribution > 0 else "lowers",
            contribution=contribution,
            changeable=feature.changeable,
            evidence=tuple(one.source for one in evidence[:EVIDENCE_SHOWN]),
            evidence_count=len(evidence),
        )

    def phrase(self, position: int, newest: int | None) -> str:
        return phrase(
            self.features[position],
            self.values[position],
            as_of=self.view.as_of,
            newest=newest,
            utc_offset=self.clock,
        )

    def missing(self) -> tuple[MissingInput, ...]:
        """What is absent and matters: used inputs without value that declare a phrase for it."""
        absent: dict[str, list[str]] = {}
        for feature, value, used in zip(self.features, self.values, self.used, strict=True):
            if used and value is None and feature.phrases.missing:
                absent.setdefault(feature.phrases.missing, []).append(feature.name)
        return tuple(
            MissingInput(phrase=words, features=tuple(names)) for words, names in absent.items()
        )

    def stale(self) -> tuple[StaleInput, ...]:
        """Used inputs whose newest record is older at ``as_of`` than their declaration allows."""
        found = []
        for position, feature in enumerate(self.features):
            if feature.stale_after_days is None or self.values[position] is None:
                continue
            if not self.used[position]:
                continue
            newest = _newest(self.evidence(position))
            if newest is None or self.view.as_of - newest <= feature.stale_after_days * DAY:
                continue
            found.append(
                StaleInput(
                    feature=feature.name,
                    phrase=self.phrase(position, newest),
                    date=local_date(newest, self.clock),
                    days=(self.view.as_of - newest) // DAY,
                )
            )
        return tuple(found)


def _computable(row: list[float], features: Sequence[Feature]) -> list[float]:
    """A row, unless it holds a number that the trees, in single precision, take for infinite.

    No measurement is that large. Taking it as missing would hide a broken record from whoever could
    put it right.
    """
    for value, feature in zip(row, features, strict=True):
        if abs(value) > LARGEST:
            raise UnprocessableError(f"{feature.name}: a value is beyond anything that is measured")
    return row


def _newest(evidence: Sequence[Evidence]) -> int | None:
    return max((one.time for one in evidence if one.time is not None), default=None)


def _comparison(model: "RiskModel", probability: float) -> Comparison | None:
    """Set a risk beside the average: 0.18 means little to a reader who knows no other."""
    average = model.reference.prevalence
    if not 0 < average < 1:
        return None
    ratio = probability / average
    near = 0.9 <= ratio <= 1.1
    words = "about the average" if near else f"{number(ratio)} times the average"
    return Comparison(
        reference_risk=average,
        ratio=ratio,
        phrase=f"{words} of the stays that the model learned from ({number(average * 100)} %)",
    )


def choose_stay(timeline: Timeline, encounter_id: str | None, as_of: int | None) -> Stay:
    """Find the stay to score: the one that holds an Encounter, or else the latest one.

    Without ``encounter_id`` it is the latest inpatient stay that has begun at ``as_of``, or the
    latest of all where no moment is given.

    Raises:
        UnprocessableError: if there is no such stay.
    """
    if encounter_id is not None:
        bare = encounter_id.removeprefix("Encounter/")
        for stay in timeline.stays:
            if bare in stay.all_encounters:
                return stay
        raise UnprocessableError("encounter_id: no inpatient stay in these records holds it")
    begun = [stay for stay in timeline.stays if as_of is None or stay.start <= as_of]
    if not begun:
        raise UnprocessableError("these records hold no inpatient stay that has begun at as_of")
    return max(begun, key=lambda stay: stay.start)
