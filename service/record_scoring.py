"""One patient's records, sent by whoever asks, made into a score: the same for every route."""

from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

import msgspec

from fhir_mappings.eligibility import OPTED_OUT
from fhir_mappings.reading import PatientRecords, read_bundle
from fhir_mappings.records.instants import from_datetime
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline
from service.identity.caller import Caller
from service.kept_scores import Sight, sight_before_scoring
from service.score import NotScored, NotSent, Score, UnreadRecord
from service.scoring import score_stay
from service.serving import Serving

UNREAD_SHOWN: Final = 20
"""How many unreadable parts an answer names; one bad export can hold thousands."""

WITHOUT: Final[dict[Literal["Patient", "Encounter", "Medication"], str]] = {
    "Patient": "Birth date, sex and death are not known.",
    "Encounter": "What belongs to them is not seen as part of a stay or of an earlier one.",
    "Medication": "The drugs that are named by them are not known.",
}
"""What a reader must know where the record refers to what was not sent."""


class Record(NamedTuple):
    """What was sent, read and put in order."""

    records: PatientRecords
    timeline: Timeline


class Asked(NamedTuple):
    """A score that is not kept yet, and how its caller sees it."""

    score: Score
    sight: Sight


def read_record(here: Serving, bundle: bytes) -> Record:
    """Read a Bundle of one patient.

    Raises:
        ReadmitError: of its own kind for each thing that can be wrong with it; nothing is quoted.
    """
    records = read_bundle(bundle, here.profile)
    timeline = Timeline(records.subject, records.events, here.concepts, here.profile)
    return Record(records, timeline)


def score_record(
    here: Serving,
    caller: Caller,
    record: Record,
    stay: Stay,
    encounter_id: str | None,
    as_of: int | None,
) -> Asked:
    """Score a stay if the caller may see it.

    Args:
        here: the running service.
        caller: who asks; their scope is checked already.
        record: what was sent.
        stay: one of its stays.
        encounter_id: the Encounter that was asked for, which the score then names.
        as_of: score as the record stood at this moment (microseconds UTC); by default at the end
            of the stay, or now where it has not ended.

    Raises:
        ForbiddenError: if the stay is of another unit than the caller's, or of another patient
            than their token is for.
        RiskModelError: if no model is loaded.
        OptOutError: if the opt-out list cannot be read.
    """
    records = record.records
    sight = sight_before_scoring(here.keeping, caller, patient=records.subject, unit=stay.site)
    if as_of is None:
        as_of = from_datetime(datetime.now(UTC)) if stay.end is None else stay.end
    score = score_stay(
        here.model,
        record.timeline,
        stay,
        as_of,
        opt_outs=here.opt_outs,
        encounter_id=encounter_id and encounter_id.removeprefix("Encounter/"),
        max_reasons=here.settings.max_reasons,
    )
    # Of a patient who opted out, nothing else of the record is said.
    if not (isinstance(score, NotScored) and score.reason.code == OPTED_OUT):
        score = msgspec.structs.replace(score, unread=_unread(records), not_sent=_not_sent(records))
    return Asked(score, sight)


def _unread(records: PatientRecords) -> tuple[UnreadRecord, ...]:
    return tuple(
        UnreadRecord(element=rejection.element, reason=rejection.reason)
        for rejection in records.rejected[:UNREAD_SHOWN]
    )


def _not_sent(records: PatientRecords) -> tuple[NotSent, ...]:
    return tuple(
        NotSent(resource_type=name, consequence=words)
        for name, words in WITHOUT.items()
        if name in records.not_sent
    )
