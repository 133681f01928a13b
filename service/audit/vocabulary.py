"""Everything that can be entered in the audit. The list is closed: an event not here cannot be.

Each event names the details that its entries may carry. They are codes and counts; what a person
typed, and what could name a patient, has no place in them.
"""

from enum import StrEnum
from typing import Final, Literal, NamedTuple

Action = Literal["C", "R", "U", "D", "E"]
"""FHIR AuditEvent.action: create, read, update, delete, execute."""


class Event(StrEnum):
    """What was done."""

    SCORE_GIVEN = "score_given"
    SCORE_READ = "score_read"
    SCORES_LISTED = "scores_listed"
    WORK_LIST_READ = "work_list_read"
    CARD_SHOWN = "card_shown"
    CARD_FEEDBACK = "card_feedback"
    FEEDBACK_REPORTED = "feedback_reported"
    MONTH_COUNTED = "month_counted"
    FOLLOW_UP_READ = "follow_up_read"
    FOLLOW_UP_CHANGED = "follow_up_changed"
    EVENTS_RECEIVED = "events_received"
    EVENT_FAILED = "event_failed"
    WRITTEN_BACK = "written_back"
    WRITE_BACK_FAILED = "write_back_failed"
    EVENTS_RETRIED = "events_retried"
    GLASS_BROKEN = "glass_broken"
    ACCESS_REFUSED = "access_refused"
    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    LAUNCHED = "launched"
    LAUNCH_REFUSED = "launch_refused"
    SIGNED_OUT = "signed_out"
    TOKEN_ISSUED = "token_issued"  # noqa: S105  the name of an event
    DISCLOSURES_READ = "disclosures_read"
    AUDIT_EXPORTED = "audit_exported"
    AUDIT_ANCHORED = "audit_anchored"
    RECORDS_EXPORTED = "records_exported"
    PURGED = "purged"
    KEYS_ROTATED = "keys_rotated"
    DATABASE_SAVED = "database_saved"
    DATABASE_RESTORED = "database_restored"
    SERVICE_STARTED = "service_started"


class EventDescription(NamedTuple):
    """What an entry of one kind means."""

    meaning: str
    action: Action
    details: frozenset[str]
    """The names that its details may have."""
    about_patient: bool = False
    """Whether each entry names the patient whose record was touched."""


EVENTS: Final[dict[Event, EventDescription]] = {
    Event.SCORE_GIVEN: EventDescription(
        "A stay was scored, or was found to be outside of what the model is for.",
        "C",
        frozenset({"score_id", "status", "model", "version", "unit"}),
        about_patient=True,
    ),
    Event.SCORE_READ: EventDescription(
        "A score that was given before was read; with it, in short, those of so many other stays.",
        "R",
        frozenset({"score_id", "view", "count"}),
        about_patient=True,
    ),
    Event.SCORES_LISTED: EventDescription(
        "The scores of one patient were listed.",
        "R",
        frozenset({"count", "view"}),
        about_patient=True,
    ),
    Event.WORK_LIST_READ: EventDescription(
        "A patient was shown on the list of whom to follow up.",
        "R",
        frozenset({"score_id"}),
        about_patient=True,
    ),
    Event.CARD_SHOWN: EventDescription(
        "A score was to be shown as a card in the EHR; suppressed where the stay had that one.",
        "E",
        frozenset({"card", "service", "band", "suppressed"}),
        about_patient=True,
    ),
    Event.CARD_FEEDBACK: EventDescription(
        "The EHR reported what became of a card.",
        "C",
        frozenset({"card", "outcome", "reason", "repeated"}),
        about_patient=True,
    ),
    Event.FEEDBACK_REPORTED: EventDescription(
        "What became of the cards of a period was counted, and what followed for their patients.",
        "R",
        frozenset({"cards", "first", "last"}),
    ),
    Event.MONTH_COUNTED: EventDescription(
        "The follow-ups of a month's discharges were counted, and what followed for the patients.",
        "R",
        frozenset({"month", "stays"}),
    ),
    Event.FOLLOW_UP_READ: EventDescription(
        "How far a stay was worked was read, or its history; or shown to who came second.",
        "R",
        frozenset({"version", "what"}),
        about_patient=True,
    ),
    Event.FOLLOW_UP_CHANGED: EventDescription(
        "A follow-up was changed: its status, its person, its due date, or by a note.",
        "U",
        frozenset({"version", "status", "changed", "reason"}),
        about_patient=True,
    ),
    Event.EVENTS_RECEIVED: EventDescription(
        "An EHR told of events, or that there were some that it had not told of.",
        "C",
        frozenset({"server", "type", "count", "missed"}),
    ),
    Event.EVENT_FAILED: EventDescription(
        "An event was given up: it could not be scored, or could not be learned of.",
        "E",
        frozenset({"server", "number", "why", "status"}),
    ),
    Event.WRITTEN_BACK: EventDescription(
        "What a score says was written to the EHR's own server, or was found there.",
        "U",
        frozenset({"server", "resource", "score_id", "stands"}),
        about_patient=True,
    ),
    Event.WRITE_BACK_FAILED: EventDescription(
        "What a score says could not be written to the EHR's own server, and was given up.",
        "U",
        frozenset({"server", "resource", "score_id", "why", "status"}),
    ),
    Event.EVENTS_RETRIED: EventDescription(
        "The operator had what was given up tried again.", "E", frozenset({"events", "resources"})
    ),
    Event.GLASS_BROKEN: EventDescription(
        "Somebody opened a patient's record beyond what their role shows, and said why.",
        "E",
        frozenset({"reason", "minutes"}),
        about_patient=True,
    ),
    Event.ACCESS_REFUSED: EventDescription(
        "A known caller asked for what they may not see or do.",
        "E",
        frozenset({"needed", "why"}),
    ),
    Event.SIGNED_IN: EventDescription("A person signed in with a browser.", "E", frozenset()),
    Event.SIGN_IN_REFUSED: EventDescription(
        "An issuer vouched for a person who has no role here.", "E", frozenset({"why"})
    ),
    Event.LAUNCHED: EventDescription(
        "An EHR opened a patient's chart here for a person, who is signed in for that patient.",
        "E",
        frozenset({"scored", "records"}),
        about_patient=True,
    ),
    Event.LAUNCH_REFUSED: EventDescription(
        "An EHR opened a patient's chart here, and nothing was shown.",
        "E",
        frozenset({"why"}),
        about_patient=True,
    ),
    Event.SIGNED_OUT: EventDescription("A person signed out.", "E", frozenset()),
    Event.TOKEN_ISSUED: EventDescription(
        "A system was given an access token (SMART Backend Services).", "E", frozenset({"scopes"})
    ),
    Event.DISCLOSURES_READ: EventDescription(
        "The accounting of a patient's disclosures was read.",
        "R",
        frozenset({"count"}),
        about_patient=True,
    ),
    Event.AUDIT_EXPORTED: EventDescription(
        "The audit was exported.", "R", frozenset({"count", "first", "last"})
    ),
    Event.AUDIT_ANCHORED: EventDescription(
        "The operator anchored the audit anew, where it ended at that time.",
        "U",
        frozenset({"why"}),
    ),
    Event.RECORDS_EXPORTED: EventDescription(
        "Records were exported without identifiers.", "R", frozenset({"count", "method"})
    ),
    Event.PURGED: EventDescription(
        "What was kept long enough was deleted.", "D", frozenset({"what", "count", "before"})
    ),
    Event.KEYS_ROTATED: EventDescription(
        "What is sealed was sealed anew with a new key.", "U", frozenset({"key", "count"})
    ),
    Event.DATABASE_SAVED: EventDescription("The database was backed up.", "R", frozenset()),
    Event.DATABASE_RESTORED: EventDescription(
        "The database was restored from a backup.", "U", frozenset({"number"})
    ),
    Event.SERVICE_STARTED: EventDescription(
        "The service started.", "E", frozenset({"mode", "model", "version"})
    ),
}
"""Every event with its meaning."""
