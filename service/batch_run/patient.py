"""One patient in a batch run: what becomes of them, and what the model is to be asked."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from typing import Final, NamedTuple

import msgspec

from fhir_mappings.attributes import attributes
from fhir_mappings.concepts import ConceptTables
from fhir_mappings.consent import OptOuts, why_refused
from fhir_mappings.eligibility import WITHOUT_CONSENT
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.events import DAY, Event
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline
from service.batch_run.fingerprint import fingerprint_of
from service.batch_run.window import newest_stay
from service.database.work_list import Aged, Known, Row
from service.protection.keys import Keys
from service.protection.sealing import index_of
from service.score import NotScored, Reason, Scored
from service.scoring import Prepared, prepare
from service.work_list.condition_groups import condition_group
from service.work_list.rows import (
    REASONS_SHOWN,
    Left,
    Summary,
    sealed_patient,
    sealed_summary,
    stay_index_of,
)
from training.risk_model import RiskModel

_YEAR: Final = 365.2425 * DAY


class Terms(NamedTuple):
    """What is the same for every patient of a run."""

    run: str
    as_of: int
    """Microseconds UTC: the moment that patients in hospital are scored as of."""
    made_at: datetime
    """When the scores are given: when the run began, also if it was taken up again later."""
    days: int
    """How long after discharge a patient is on the list."""
    profile: SiteProfile
    opt_outs: OptOuts
    basis: str
    """Names the model, the site profile and the software's way of making rows."""
    max_reasons: int


class Unchanged(NamedTuple):
    """Nothing that the row rests on is new; only the day is."""

    patient_index: str
    known: Known


class Passed(NamedTuple):
    """Looked at, and neither scored nor listed."""

    why: str
    aged: Aged | None = None
    """What that changes in their row, where they had one."""


class Asked(NamedTuple):
    """A stay that the model is for, with the row that its answer belongs in."""

    row: Row
    prepared: Prepared


class Refused(NamedTuple):
    """A stay that gets no risk, with the row that says so."""

    row: Row
    score: NotScored | None
    """None where the record holds a value beyond computing: the service refuses it likewise."""
    why: str
    unit: str | None


Looked = Unchanged | Passed | Asked | Refused


def look_at(
    terms: Terms,
    keys: Keys,
    model: RiskModel,
    concepts: ConceptTables,
    subject: str,
    events: Sequence[Event],
    known: Known | None,
) -> Looked:
    """Decide about one patient.

    Args:
        terms: of the run.
        keys: the operator's.
        model: the risk model.
        concepts: the site's.
        subject: the Patient's id.
        events: all of the patient's.
        known: what their row says; None where they have none.

    """
    patient = index_of(keys, "patient", subject)
    refused = why_refused(subject, events, "scoring", terms.opt_outs)
    fingerprint = fingerprint_of(
        keys, events, as_of=terms.as_of, refused=refused, basis=terms.basis
    )
    # A patient in hospital is scored as of this moment, whatever is new.
    at_rest = known is not None and (known.left is not None or known.discharged_at is not None)
    if known is not None and at_rest and known.fingerprint == fingerprint:
        return Unchanged(patient, known)
    timeline = Timeline(subject, events, concepts, terms.profile)
    stay = newest_stay(timeline, terms.as_of, terms.days)
    if stay is None:
        return Passed("no_recent_stay")
    row = Row(
        patient_index=patient,
        patient_sealed=sealed_patient(keys, subject),
        stay_index=stay_index_of(keys, subject, stay.encounters[0]),
        unit=stay.site,
        discharged_at=stay.end,
        fingerprint=fingerprint,
        run=terms.run,
    )
    if refused is None and _died_since(timeline, stay, terms.as_of):
        gone = Aged(patient, None, None, None, "deceased", fingerprint)
        return Passed("deceased", None if known is None else gone)
    moment = terms.as_of if stay.end is None else stay.end
    try:
        prepared = prepare(model, timeline, stay, moment, opt_outs=terms.opt_outs)
    except UnprocessableError:
        # The service refuses such a record; a run counts it and goes on with the others.
        return Refused(_left(row, _came_back(row, known)), None, "unprocessable", stay.site)
    if isinstance(prepared, Prepared):
        return Asked(row, prepared)
    why = prepared.reason.code
    left: Left = _came_back(row, known)
    if why == "died":
        left = "deceased"
    elif why in WITHOUT_CONSENT:
        left = "opted_out"
        row = msgspec.structs.replace(row, unit=None, discharged_at=None)
    return Refused(_left(row, left), prepared, why, None if left == "opted_out" else stay.site)


def _left(row: Row, left: Left) -> Row:
    return msgspec.structs.replace(row, left=left)


def _died_since(timeline: Timeline, stay: Stay, as_of: int) -> bool:
    """Whether a patient who went home has died since, as far as could be known."""
    if stay.end is None:
        return False
    return any(
        event.time is not None
        and stay.end < event.time <= as_of
        and event.known_at is not None
        and event.known_at <= as_of
        for event in timeline.by_code.get("MEDS_DEATH", ())
    )


def _came_back(row: Row, known: Known | None) -> Left:
    """How a patient whose newest stay gets no risk is not on the list (any more)."""
    return "readmitted" if came_back(row, known) else "not_scored"


def came_back(row: Row, known: Known | None) -> bool:
    """Whether a patient who was on the list after a discharge has begun a new stay."""
    if known is None or known.left is not None or known.discharged_at is None:
        return False
    return known.stay_index != row.stay_index


def filled(keys: Keys, asked: Asked, score: Scored) -> Row:
    """The row of a patient with what the model said of their stay."""
    view = asked.prepared.view
    groups = attributes(view)
    return msgspec.structs.replace(
        asked.row,
        probability=score.probability,
        band=score.band,
        lace=score.lace.points,
        hospital=score.hospital.points,
        condition_group=condition_group(view),
        groups=msgspec.json.encode(groups, order="sorted").decode(),
        summary_sealed=sealed_summary(keys, _summary(view, score, groups["sex"])),
    )


def _summary(view: View, score: Scored, sex: str | None) -> Summary:
    raising = [reason for reason in score.reasons if reason.direction == "raises"]
    return Summary(
        raising=_phrases(raising[:REASONS_SHOWN]),
        main_reason=raising[0].feature if raising else None,
        changeable=_phrases([reason for reason in raising if reason.changeable]),
        missing=len(score.missing_inputs),
        age=_age(view),
        sex=sex,
    )


def _phrases(reasons: Sequence[Reason]) -> tuple[str, ...]:
    return tuple(reason.phrase for reason in reasons)


def _age(view: View) -> int | None:
    birth = view.timeline.birth
    return None if birth is None else int((view.stay.start - birth) / _YEAR)


def inputs_of(model: RiskModel, row: Sequence[float]) -> dict[str, float | None]:
    """The model's inputs by name; None where the record has no value."""
    return {
        feature.name: value if isfinite(value) else None
        for feature, value in zip(model.features, row, strict=True)
    }
