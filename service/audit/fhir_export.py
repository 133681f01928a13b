"""Entries of the audit as FHIR R4 AuditEvents, shaped as IHE's Basic Audit Log Patterns (BALP 1.1).

Where an entry is what one of BALP's profiles describes, it claims that profile: a record created,
read or searched for about a patient, and a disclosure. BALP's profiles are of successes: what was
refused or failed claims none. The client's network address, which they ask for, is not in the
audit; it is said to be unknown rather than left out.
"""

import base64
import json
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from fhir.resources.R4B.auditevent import AuditEvent

from fhir_mappings.records.instants import as_datetime
from service.audit.disclosures import must_be_accounted_for
from service.audit.ledger import PATIENT_CONTEXT, Audit, Entry
from service.audit.vocabulary import EVENTS, Event
from service.database import audit_entries
from service.database.audit_entries import Row
from service.protection.keys import Keys
from service.protection.sealing import unseal

DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
LIFECYCLE: Final = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"
EVENT_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
ENTITY_TYPE: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
ENTITY_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SOURCE_TYPE: Final = "http://terminology.hl7.org/CodeSystem/security-source-type"
ABSENT: Final = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
BALP: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."

OURS: Final = "urn:readmit:audit"
"""What qualifies our own codes: the names of events, roles and details."""

SOURCE_ROLE: Final = (DCM, "110153", "Source Role ID")
DESTINATION_ROLE: Final = (DCM, "110152", "Destination Role ID")

OUTCOMES: Final = {"success": "0", "refused": "4", "failed": "8"}
"""FHIR AuditEvent.outcome: success, minor failure (the caller's), serious failure (ours)."""

Code = tuple[str, str, str]
"""System, code and display."""
Json = dict[str, Any]


class Shape(NamedTuple):
    """How an event is coded in FHIR."""

    type: Code
    subtype: Code | None = None
    profile: str | None = None
    """The profile of BALP that a success claims."""
    user: Code | None = None
    """What a person is to the record, in that profile."""


_REST: Final = (EVENT_TYPE, "rest", "RESTful Operation")
_READER: Final = (PARTICIPATION, "IRCP", "information recipient")
_AUTHOR: Final = (PARTICIPATION, "AUT", "author (originator)")
_CREATE: Final = (INTERACTION, "create", "create")
_READ: Final = (INTERACTION, "read", "read")
_UPDATE: Final = (INTERACTION, "update", "update")
_SEARCH: Final = (INTERACTION, "search-type", "search-type")
_AUTHENTICATION: Final = (DCM, "110114", "User Authentication")
_LOGIN: Final = (DCM, "110122", "Login")
_ALERT: Final = (DCM, "110113", "Security Alert")
_CONFIGURATION: Final = (DCM, "110129", "Security Configuration")

SHAPES: Final[dict[Event, Shape]] = {
    Event.SCORE_GIVEN: Shape(_REST, _CREATE, "PatientCreate", _AUTHOR),
    Event.SCORE_READ: Shape(_REST, _READ, "PatientRead", _READER),
    Event.SCORES_LISTED: Shape(_REST, _SEARCH, "PatientQuery", _READER),
    Event.DISCLOSURES_READ: Shape(_REST, _SEARCH, "PatientQuery", _READER),
    Event.CARD_SHOWN: Shape(_REST, (INTERACTION, "operation", "operation")),
    Event.CARD_FEEDBACK: Shape(_REST, _CREATE),
    Event.FEEDBACK_REPORTED: Shape(
        (DCM, "110112", "Query"), (LIFECYCLE, "access", "Access/View Record Lifecycle Event")
    ),
    Event.WORK_LIST_READ: Shape(_REST, _SEARCH, "PatientQuery", _READER),
    Event.MONTH_COUNTED: Shape(
        (DCM, "110112", "Query"), (LIFECYCLE, "access", "Access/View Record Lifecycle Event")
    ),
    Event.FOLLOW_UP_READ: Shape(_REST, _READ, "PatientRead", _READER),
    Event.FOLLOW_UP_CHANGED: Shape(_REST, _UPDATE, "PatientUpdate", _AUTHOR),
    Event.EVENTS_RECEIVED: Shape(_REST, _CREATE),
    Event.EVENT_FAILED: Shape(_REST),
    Event.WRITTEN_BACK: Shape(_REST, _UPDATE),
    Event.WRITE_BACK_FAILED: Shape(_REST, _UPDATE),
    Event.EVENTS_RETRIED: Shape(_ALERT, _CONFIGURATION),
    Event.GLASS_BROKEN: Shape(_ALERT, (DCM, "110127", "Emergency Override Started")),
    Event.ACCESS_REFUSED: Shape(_REST),
    Event.SIGNED_IN: Shape(_AUTHENTICATION, _LOGIN),
    Event.SIGN_IN_REFUSED: Shape(_AUTHENTICATION, _LOGIN),
    Event.LAUNCHED: Shape(_AUTHENTICATION, _LOGIN),
    Event.LAUNCH_REFUSED: Shape(_AUTHENTICATION, _LOGIN),
    Event.SIGNED_OUT: Shape(_AUTHENTICATION, (DCM, "110123", "Logout")),
    Event.TOKEN_ISSUED: Shape(_AUTHENTICATION, (DCM, "110126", "Node Authentication")),
    Event.AUDIT_EXPORTED: Shape((DCM, "110101", "Audit Log Used")),
    Event.AUDIT_ANCHORED: Shape(_ALERT, _CONFIGURATION),
    Event.RECORDS_EXPORTED: Shape(
        (DCM, "110106", "Export"),
        (LIFECYCLE, "deidentify", "De-Identify (Anononymize) Record Lifecycle Event"),
    ),
    Event.PURGED: Shape((LIFECYCLE, "destroy", "Destroy/Delete Record Lifecycle Event")),
    Event.KEYS_ROTATED: Shape(_ALERT, _CONFIGURATION),
    Event.DATABASE_SAVED: Shape((LIFECYCLE, "archive", "Archive Record Lifecycle Event")),
    Event.DATABASE_RESTORED: Shape((LIFECYCLE, "restore", "Restore Record Lifecycle Event")),
    Event.SERVICE_STARTED: Shape(
        (DCM, "110100", "Application Activity"), (DCM, "110120", "Application Start")
    ),
}
"""Every event's codes. A test compares the keys with the vocabulary."""

_DISCLOSURE: Final = Shape(
    (DCM, "110106", "Export"),
    (LIFECYCLE, "disclose", "Disclose Record Lifecycle Event"),
    "PrivacyDisclosure.Source",
    _READER,
)


def export(
    audit: Audit,
    out: Path,
    *,
    since: int | None = None,
    until: int | None = None,
    report: Callable[[int, int], None] = lambda _done, _whole: None,
) -> int:
    """Write the audit as NDJSON of AuditEvents, for its owner alone: it names patients.

    The export is entered in the audit before the file gets its name.

    Args:
        audit: the audit.
        out: the file; one that is there already is replaced.
        since: only entries made at this moment (microseconds UTC) or later.
        until: only entries made before this moment.
        report: told how many entries are written, and how many there are at most.

    Returns: the number of AuditEvents.

    Raises:
        DatabaseError: if the audit cannot be read, or the export not be entered.
        KeysError: if a patient was sealed with a key that is not there any more.
        AuditError: if the export cannot be entered.
        OSError: if the file cannot be written.
    """
    unfinished = out.with_name(f".{out.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    count, first, last = 0, None, None
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(descriptor, "w", encoding="utf-8") as file,
            audit.database.reading() as connection,
            closing(audit_entries.entries(connection, since=since, until=until)) as rows,
        ):
            whole, _ = audit_entries.head(connection)
            for row in rows:
                file.write(audit_event(row, audit.keys).model_dump_json() + "\n")
                count, first, last = count + 1, first or row.number, row.number
                if count % 100 == 0:
                    report(count, max(whole, count))
        details = {"count": count, "first": first, "last": last}
        audit.record(Entry(event=Event.AUDIT_EXPORTED, caller=None, details=details))
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)
    report(count, count)
    return count


def audit_event(row: Row, keys: Keys) -> AuditEvent:
    """One entry as an AuditEvent, validated by ``fhir.resources``.

    Raises:
        KeysError: if the patient cannot be unsealed.
    """
    event = Event(row.event)
    succeeded = row.outcome == "success"
    disclosed = must_be_accounted_for(row)
    shape = _DISCLOSURE if disclosed else SHAPES[event]
    query = shape.profile == "PatientQuery"
    # BALP has a search as an execution (E), and a disclosure as a read whatever led to it.
    action = "E" if query else "R" if disclosed else EVENTS[event].action
    document: Json = {
        "id": str(row.number),
        "type": _coding(shape.type),
        "subtype": [_coding(one) for one in (shape.subtype, _event_code(row)) if one is not None],
        "action": action,
        "recorded": as_datetime(row.at),
        "outcome": OUTCOMES[row.outcome],
        "outcomeDesc": EVENTS[event].meaning,
        "agent": _agents(row, shape),
        "source": {"observer": _US, "type": [_coding(_APPLICATION)]},
    }
    if shape.profile is not None and succeeded:
        document["meta"] = {"profile": [BALP + shape.profile]}
    if row.purpose is not None:
        document["purposeOfEvent"] = [_purpose(row.purpose)]
    if entities := _entities(row, keys, query=query):
        document["entity"] = entities
    return AuditEvent.model_validate(document)


_US: Final[Json] = {"display": "readmit", "identifier": {"system": OURS, "value": "readmit"}}
_APPLICATION: Final = (SOURCE_TYPE, "4", "Application Server")
_UNKNOWN_NETWORK: Final[Json] = {"extension": [{"url": ABSENT, "valueCode": "unknown"}]}


def _agents(row: Row, shape: Shape) -> list[Json]:
    """The service, the program that asked, and the person who did.

    A search and a creation flow from the client to the server, a reading back: BALP names source
    and destination accordingly.
    """
    to_client = shape.subtype == _READ or shape is _DISCLOSURE
    server, client = (
        (SOURCE_ROLE, DESTINATION_ROLE) if to_client else (DESTINATION_ROLE, SOURCE_ROLE)
    )
    agents: list[Json] = [
        {
            "type": _concept(server),
            "who": _US,
            "requestor": row.actor is None,
            "network": _UNKNOWN_NETWORK,
        }
    ]
    if row.actor is None:
        return agents
    by_system = row.roles == ""
    program = row.actor if by_system else row.client
    agents.append(
        {
            "type": _concept(client),
            "who": _identified(row.issuer, program or "browser"),
            "requestor": by_system,
            "network": _UNKNOWN_NETWORK,
        }
    )
    if not by_system:
        person: Json = {
            "who": _identified(row.issuer, row.actor),
            "requestor": True,
            "role": [_concept((OURS + ":role", role, role)) for role in row.roles.split()],
        }
        if shape.user is not None:
            person["type"] = _concept(shape.user)
        agents.append(person)
    if row.purpose is not None:
        agents[-1]["purposeOfUse"] = [_purpose(row.purpose)]
    return agents


def _entities(row: Row, keys: Keys, *, query: bool) -> list[Json]:
    """Whom it was about, and what of them; the details of the entry are the latter's."""
    entities: list[Json] = []
    if row.patient_sealed is not None:
        patient = unseal(keys, row.patient_sealed, PATIENT_CONTEXT)
        entities.append(
            {
                "type": _coding((ENTITY_TYPE, "1", "Person")),
                "role": _coding((ENTITY_ROLE, "1", "Patient")),
                "what": {"reference": f"Patient/{patient}"},
            }
        )
    details = msgspec.json.decode(row.details, type=dict[str, str | int | bool | None])
    if query:
        # The route as it is declared: what stood in the address itself is not kept.
        asked = base64.b64encode((row.route or "").encode()).decode()
        entities.append(
            {
                "type": _coding((ENTITY_TYPE, "2", "System Object")),
                "role": _coding((ENTITY_ROLE, "24", "Query")),
                "query": asked,
            }
        )
    elif row.patient_sealed is not None or details:
        entities.append(_data(row, details))
    return entities


def _data(row: Row, details: dict[str, str | int | bool | None]) -> Json:
    score = details.get("score_id")
    data: Json = {
        "type": _coding((ENTITY_TYPE, "2", "System Object")),
        "role": _coding((ENTITY_ROLE, "4", "Domain Resource")),
        "what": {"identifier": {"system": OURS + ":entry", "value": str(row.number)}}
        if score is None
        else {"reference": f"RiskAssessment/{score}"},
    }
    stated = [
        {"type": name, "valueString": value if isinstance(value, str) else json.dumps(value)}
        for name, value in details.items()
        if value is not None
    ]
    return {**data, "detail": stated} if stated else data


def _identified(issuer: str | None, value: str) -> Json:
    # An issuer that is no URI (that of development mode) cannot be a system.
    system = {"system": issuer} if issuer is not None and ":" in issuer else {}
    return {"identifier": {**system, "value": value}, "display": value}


def _event_code(row: Row) -> Code:
    return (OURS, row.event, row.event.replace("_", " "))


def _purpose(code: str) -> Json:
    return {"coding": [{"system": REASON, "code": code}]}


def _concept(code: Code) -> Json:
    return {"coding": [_coding(code)]}


def _coding(code: Code) -> Json:
    system, value, display = code
    return {"system": system, "code": value, "display": display}
