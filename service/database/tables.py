"""The tables, as SQLAlchemy Core. The migrations in this folder make them; a test compares both.

Times are microseconds UTC, as everywhere in the house. What could name a patient is either a keyed
index (``*_index``: found by, never read) or sealed (``*_sealed``: read with the operator's keys).
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

AUDIT_ENTRIES: Final = Table(
    "audit_entries",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("event", String(64), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("issuer", Text),
    Column("actor", Text),
    Column("client", Text),
    Column("roles", Text, nullable=False),
    Column("purpose", String(16)),
    Column("route", Text),
    Column("patient_index", String(64)),
    Column("patient_sealed", LargeBinary),
    Column("details", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ix_audit_entries_patient_index", "patient_index", "at"),
    Index("ix_audit_entries_at", "at"),
)
"""What was done. Appended to and never changed; each entry's hash covers its predecessor's."""

AUDIT_HEAD: Final = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
)
"""One row: where the chain ends. Whoever appends holds it, so that the chain never forks."""

SCORES: Final = Table(
    "scores",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("patient_index", String(64), nullable=False),
    Column("encounter_index", String(64), nullable=False),
    Column("unit", Text),
    Column("made_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("probability", Float),
    Column("band", String(16)),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("score_sealed", LargeBinary, nullable=False),
    Column("refused", Boolean),
    Column("row_sealed", LargeBinary),
    Index("ix_scores_patient_index", "patient_index", "made_at"),
    Index("ix_scores_encounter_index", "encounter_index"),
    Index("ix_scores_made_at", "made_at"),
)
"""Every score that was given, whole and sealed, beside what lists are sorted by.

``refused``: not scored because the patient opted out, or a Consent cannot be read; null before
version 0002. The newest row of a patient says whether any of them is shown. ``row_sealed``: the
model's inputs by name, so that a page can ask the model what if one of them were otherwise; null
where there was no risk, and before version 0005.
"""

BROKEN_GLASS: Final = Table(
    "broken_glass",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("patient_index", String(64), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("explanation_sealed", LargeBinary),
    Column("at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("ix_broken_glass_patient_index", "patient_index", "until"),
)
"""Who opened one patient's record beyond what their role shows, why, and until when."""

SEEN_TOKENS: Final = Table(
    "seen_tokens",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("token_hash", String(64), primary_key=True),
    Column("until", BigInteger, nullable=False),
    Index("ix_seen_tokens_until", "until"),
)
"""Tokens that may be used once and were. Shared by all workers, and still there after a restart."""

SIGN_INS: Final = Table(
    "sign_ins",
    METADATA,
    Column("state_hash", String(64), primary_key=True),
    Column("issuer", Text, nullable=False),
    Column("secrets_sealed", LargeBinary, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("ix_sign_ins_until", "until"),
)
"""Sign-ins that a browser has begun: the nonce and the PKCE verifier, until it comes back."""

SESSIONS: Final = Table(
    "sessions",
    METADATA,
    Column("id_hash", String(64), primary_key=True),
    Column("caller_sealed", LargeBinary, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("used_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Index("ix_sessions_until", "until"),
)
"""Signed-in browsers. The cookie's value is kept as a hash: who reads the table cannot use it."""

SIGNING_KEYS: Final = Table(
    "signing_keys",
    METADATA,
    Column("kid", String(64), primary_key=True),
    Column("private_sealed", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("retired_at", BigInteger),
    UniqueConstraint("made_at"),
)
"""The keys that our own tokens and client assertions are signed with; the newest one signs."""

SHOWN_CARDS: Final = Table(
    "shown_cards",
    METADATA,
    Column("card", String(36), primary_key=True),
    Column("score_id", String(32), nullable=False),
    Column("service", String(64), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("user_index", String(64), nullable=False),
    Column("patient_sealed", LargeBinary, nullable=False),
    Column("stay_index", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("unit", Text),
    Column("band", String(16), nullable=False),
    Column("shown_at", BigInteger, nullable=False),
    UniqueConstraint("stay_index", "number"),
    Index("ix_shown_cards_shown_at", "shown_at"),
)
"""Cards that an EHR was given, numbered within the stay: of two at once, one is the first."""

CARD_FEEDBACK: Final = Table(
    "card_feedback",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("card", String(36), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("accepted", Integer, nullable=False),
    Column("reason", String(64)),
    Column("comment_sealed", LargeBinary),
    Column("received_at", BigInteger, nullable=False),
    Index("ix_card_feedback_card", "card"),
    Index("ix_card_feedback_received_at", "received_at"),
)
"""What became of the cards, by the EHR's word. The id is of what was said, so that a repeated
report is the same row."""

WORK_LIST: Final = Table(
    "work_list",
    METADATA,
    Column("patient_index", String(64), primary_key=True),
    Column("patient_sealed", LargeBinary, nullable=False),
    Column("stay_index", String(64), nullable=False),
    Column("score_id", String(32)),
    Column("unit", Text),
    Column("probability", Float),
    Column("band", String(16)),
    Column("lace", Integer),
    Column("hospital", Integer),
    Column("discharged_at", BigInteger),
    Column("remaining", Float),
    Column("remaining_low", Float),
    Column("remaining_high", Float),
    Column("condition_group", String(64)),
    Column("groups", Text, nullable=False),
    Column("summary_sealed", LargeBinary),
    Column("left", String(16)),
    Column("fingerprint", String(64), nullable=False),
    Column("run", String(32), nullable=False),
    UniqueConstraint("stay_index"),
    Index("ix_work_list_remaining", "left", "remaining", "stay_index"),
    Index("ix_work_list_unit", "unit", "remaining"),
    Index("ix_work_list_groups", "left", "unit", "groups", "remaining"),
    Index("ix_work_list_discharged_at", "discharged_at"),
)
"""Every patient who is in hospital or left it within the model's horizon (thirty days), as the last
batch run found them: one row a patient, of their newest stay. ``discharged_at`` is null while they
are in hospital; ``remaining`` is the risk for the days that are left, null where the model has no
curve. ``left`` says why a patient is not on the list (any more): ``service.work_list.rows.Left``.
``groups`` is JSON of the attributes that fairness is looked at by (``fhir_mappings.attributes``).
``fingerprint`` covers the patient's events, what of them could be seen, whether they said no, the
model and the site profile: while it is the same, a discharged patient is not computed again.
``run`` is the one that saw the patient last."""

SCORING_RUNS: Final = Table(
    "scoring_runs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("as_of", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("reached", Integer, nullable=False),
    Column("counts", Text, nullable=False),
    Index("ix_scoring_runs_ended_at", "ended_at"),
)
"""Batch runs: of which moment, with which model, how many chunks of patients are done, and what was
scored and passed over (JSON). A chunk is committed with the progress that it makes, so a run that
was killed is taken up where ``reached`` says. One that is not taken up is deleted by the next: what
it scored stays. The list is that of the run that ended last."""

FOLLOW_UPS: Final = Table(
    "follow_ups",
    METADATA,
    Column("stay_index", String(64), primary_key=True),
    Column("patient_index", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("assigned_to", Text),
    Column("due_on", String(10)),
    Column("version", Integer, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_follow_ups_patient_index", "patient_index"),
    Index("ix_follow_ups_assigned_to", "assigned_to", "status"),
    Index("ix_follow_ups_changed_at", "changed_at"),
)
"""How far a stay has been worked; no row is version 0, *new* and nobody's. ``assigned_to`` is
``issuer|subject`` of a person. Whoever changes it names the version that they saw."""

FOLLOW_UP_CHANGES: Final = Table(
    "follow_up_changes",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("stay_index", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("status", String(16)),
    Column("assigned_to", Text),
    Column("due_on", String(10)),
    Column("reason", String(32)),
    Column("note_sealed", LargeBinary),
    UniqueConstraint("stay_index", "version"),
    Index("ix_follow_up_changes_at", "at"),
)
"""Every change to a follow-up, in order: who, when, and what it was afterwards. Never changed. Two
who write the same version at once: one of them is refused and told."""

SAVED_FILTERS: Final = Table(
    "saved_filters",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("owner", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("owner", "name"),
)
"""What somebody looks at every morning: the query of the list, under a name of theirs."""

MONTHS: Final = Table(
    "months",
    METADATA,
    Column("month", String(7), primary_key=True),
    Column("made_at", BigInteger, nullable=False),
    Column("followed_until", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("units", Text, nullable=False),
    Index("ix_months_made_at", "made_at"),
)
"""What the follow-ups of a month's discharges came to, as ``readmit month`` counted it last: sums
by unit (JSON of ``service.month.figures.UnitMonth``), and nobody by name or index. It cannot be
read off the other tables: the list has a patient's newest stay alone, and nothing in the database
knows whether a return was planned. ``followed_until``: how far the records went that it was counted
from."""

RECEIVED_EVENTS: Final = Table(
    "received_events",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("server", String(64), nullable=False),
    Column("subscription", String(64), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("encounter_sealed", LargeBinary),
    Column("state", String(16), nullable=False),
    Column("problem", String(32)),
    Column("attempts", Integer, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("lease_owner", String(32)),
    Column("lease_until", BigInteger),
    Column("received_at", BigInteger, nullable=False),
    Index("ix_received_events_due", "state", "next_at"),
    Index("ix_received_events_number", "server", "subscription", "number"),
    Index("ix_received_events_received_at", "received_at"),
)
"""Events that an EHR told of, each once: the id is of server, subscription and number. A row
without ``encounter_sealed`` is a gap: the events from ``number`` to ``until`` are known to have
happened, and have to be asked for. Who works on a row holds its lease; one that died lets go of it
when the lease runs out."""

SUBSCRIPTIONS: Final = Table(
    "subscriptions",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("server", String(64), nullable=False),
    Column("subscription", String(64), nullable=False),
    Column("reached", BigInteger, nullable=False),
    Column("heard_at", BigInteger, nullable=False),
)
"""How many events of each subscription are known, entered or as a gap. Never purged: without it,
all events since the subscription began would count as missed."""

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("server", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("stay_index", String(64), nullable=False),
    Column("score_id", String(32), nullable=False),
    Column("known_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("problem", String(32)),
    Column("attempts", Integer, nullable=False),
    Column("may_be_there", Boolean, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("lease_owner", String(32)),
    Column("lease_until", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    Index("ix_outbox_due", "state", "next_at"),
    Index("ix_outbox_changed_at", "changed_at"),
)
"""What is to lie at an EHR: one row for each resource of a stay, that names the score it is made of
when it is delivered. A newer score takes the place of the one before, delivered or not.
``known_at`` is when the records of the score were asked for: of two scores that are entered in the
wrong order, the newer knowledge stays. ``may_be_there``: whether it was ever sent."""
