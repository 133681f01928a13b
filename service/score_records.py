"""One patient's records in, one kept score out: the one way, whichever door they came through."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import msgspec

from fhir_mappings.eligibility import CONSENT_UNREADABLE, WITHOUT_CONSENT
from fhir_mappings.errors import UnprocessableError
from fhir_mappings.reading import PatientRecords, read_bundle
from fhir_mappings.records.decoding import Rejected
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline
from service.identity.caller import Caller
from service.kept_scores import Inputs, KeptScore, Sight, keep_score, sight_before_scoring
from service.score import NotScored, NotSent, Score, UnreadRecord
from service.scoring import choose_stay, score_stay
from service.serving import Serving
from service.views import seen

if TYPE_CHECKING:
    from training.risk_model import Prediction

UNREAD_SHOWN: Final = 20
"""How many unreadable parts an answer names; one bad export can hold thousands."""

WITHOUT: Final[dict[Literal["Patient", "Encounter", "Medication"], str]] = {
    "Patient": "Birth date, sex and death are not known.",
    "Encounter": "What belongs to them is not seen as part of a stay or of an earlier one.",
    "Medication": "The drugs that are named by them are not known.",
}
"""What a reader must know where the record refers to what was not sent."""

_DATE_AND_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Asked(NamedTuple):
    """Which stay is to be scored, and as of when."""

    encounter_id: str | None = None
    """An Encounter of the stay, its id alone or as a reference; the latest inpatient stay if
    None."""
    as_of: int | None = None
    """Microseconds UTC; if None, the end of the stay, or now where it has not ended."""


class Record(NamedTuple):
    """What was sent, read and put in order."""

    records: PatientRecords
    timeline: Timeline


class ScoredRecord(NamedTuple):
    """A score that is not kept yet, and how its caller sees it."""

    score: Score
    sight: Sight
    row: Inputs | None = None
    """What the model went by; None where there is no risk."""


def read_record(here: Serving, bundle: bytes) -> Record:
    """Read a Bundle of one patient.

    Raises:
        NotFHIRError: if the bytes are not a Bundle.
        UnprocessableError: if it holds no patient's records, or those of several.
    """
    records = read_bundle(bundle, here.profile)
    timeline = Timeline(records.subject, records.events, here.concepts, here.profile)
    return Record(records, timeline)


def score_record(
    here: Serving, caller: Caller, record: Record, stay: Stay, asked: Asked
) -> ScoredRecord:
    """Score a stay if the caller may see it; nothing is kept yet.

    Args:
        here: the running service.
        caller: who asks; their role or scope for this access is checked already.
        record: what was sent.
        stay: one of its stays.
        asked: the Encounter that the score is to name, and as of when.

    Raises:
        ForbiddenError: if the stay is not for the caller.
        RiskModelError: if no model is loaded.
        OptOutError: if the opt-out list cannot be read.
    """
    records = record.records
    sight = sight_before_scoring(here.keeping, caller, patient=records.subject, unit=stay.site)
    as_of = asked.as_of
    if as_of is None:
        as_of = _now() if stay.end is None else stay.end
    model = here.model
    inputs: dict[str, float | None] = {}

    def note(row: Sequence[float], _: "Prediction") -> None:
        for feature, value in zip(model.features, row, strict=True):
            inputs[feature.name] = value if isfinite(value) else None

    score = score_stay(
        model,
        record.timeline,
        stay,
        as_of,
        opt_outs=here.opt_outs,
        encounter_id=asked.encounter_id and asked.encounter_id.removeprefix("Encounter/"),
        max_reasons=here.settings.max_reasons,
        note=note,
    )
    unread, not_sent = records.rejected, _not_sent(records)
    if isinstance(score, NotScored) and score.reason.code in WITHOUT_CONSENT:
        # Nothing else of the record is said, but which Consent could not be read.
        unclear = score.reason.code == CONSENT_UNREADABLE
        unread, not_sent = [one for one in unread if unclear and one.consent is not None], ()
    score = msgspec.structs.replace(score, unread=_unread(unread), not_sent=not_sent)
    return ScoredRecord(score, sight, inputs or None)


def score_records(
    here: Serving, caller: Caller, bundle: bytes, asked: Asked, *, route: str
) -> KeptScore:
    """Score what the caller may see, and keep it before anything is answered.

    Args:
        here: the running service.
        caller: who asks; their role or scope for this access is checked already.
        bundle: the records, a Bundle of one patient.
        asked: which stay, as of when.
        route: the template of the path, for the audit.

    Raises:
        NotFHIRError: if the bytes are not a Bundle.
        UnprocessableError: if it holds no patient's records or those of several, or no such stay.
        ForbiddenError: if the stay is not for the caller.
        DatabaseError: if the score cannot be kept, or entered in the audit.
    """
    record = read_record(here, bundle)
    stay = choose_stay(record.timeline, asked.encounter_id, asked.as_of)
    score, sight, row = score_record(here, caller, record, stay, asked)
    kept = keep_score(here.keeping, sight.caller, score, unit=stay.site, route=route, row=row)
    here.metrics.scored(kept.score)
    return kept._replace(score=seen(kept.score, sight.view, here.keeping.keys), view=sight.view)


def _unread(rejected: Sequence[Rejected]) -> tuple[UnreadRecord, ...]:
    return tuple(
        UnreadRecord(element=rejection.element, reason=rejection.reason)
        for rejection in rejected[:UNREAD_SHOWN]
    )


def _not_sent(records: PatientRecords) -> tuple[NotSent, ...]:
    return tuple(
        NotSent(resource_type=name, consequence=words)
        for name, words in WITHOUT.items()
        if name in records.not_sent
    )


def _now() -> int:
    return (datetime.now(UTC) - _EPOCH) // _MICROSECOND


def microseconds(moment: str, parameter: str = "as_of") -> int:
    """The moment that a parameter names, microseconds UTC.

    Args:
        moment: what was sent.
        parameter: its name, for the message.

    Raises:
        UnprocessableError: if it is not a date and time with an offset. A time without one is
            another moment in every zone, and a guess would move events across it.
    """
    try:
        # The parser of the standard library reads more than it should: what follows a NUL, say.
        if _DATE_AND_TIME.fullmatch(moment) is None:
            raise ValueError  # noqa: TRY301  the same answer as for the 30th of February
        found = datetime.fromisoformat(moment)
    except ValueError:
        raise UnprocessableError(
            f"{parameter}: not an ISO 8601 date and time (in a URL, '+' is written %2B)"
        ) from None
    if found.tzinfo is None:
        raise UnprocessableError(f"{parameter}: no offset from UTC; end it with Z or with +hh:mm")
    if not 1900 <= found.year < 3000:
        raise UnprocessableError(f"{parameter}: not within the years 1900 to 2999")
    return (found - _EPOCH) // _MICROSECOND
