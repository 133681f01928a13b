"""Consent: what a patient refuses, and permits again, of what is done with the records.

R4 says it in two places: ``policyRule`` (opt-in, opt-out) is the base, and a provision's ``type``
(deny, permit) an exception to it; many systems write the type at the root instead of a rule. What
cannot be told is read in the patient's favour: a refusal at the root counts however it is narrowed,
and a permission counts only where all of it is clear.
"""

from collections.abc import Iterator
from typing import Literal

from fhir_mappings.consent import UNDATED, UNREADABLE, USES, Use, consent_code
from fhir_mappings.events import Event
from fhir_mappings.records.datatypes import CodeableConcept, Period
from fhir_mappings.records.instants import Instant
from fhir_mappings.records.resources import Consent, Provision
from fhir_mappings.sources.reading import Reading, event

_Answer = Literal["deny", "permit"]

_POLICIES: dict[str, _Answer] = {
    "v3-ActCode|OPTOUT": "deny",
    "v3-ActCode|OPTOUTE": "deny",
    "v3-ActCode|OPTIN": "permit",
    "v3-ActCode|OPTINR": "permit",
}
"""``Consent.policyRule`` (hl7.org/fhir/R4/valueset-consent-policy.html) as the root's answer."""

_SCOPES: dict[str, tuple[Use, ...]] = {
    "patient-privacy": USES,
    "research": ("training",),
    "treatment": (),
    "unclear": USES,
}
"""What a Consent of each scope is about where it names no purpose. To refuse a treatment is not to
refuse the use of records; an advance directive (``adr``) is not read at all."""

UNNAMED = "?patient="
"""Before the patient's id, in the place of the id of a Consent that has none."""

_NOT_IN_FORCE = frozenset(
    {"draft", "proposed", "rejected", "inactive", "entered-in-error", "not-done"}
)
"""Statuses of R4, and R5's ``not-done``, under which a Consent says nothing."""

_PURPOSES: dict[str, tuple[Use, ...]] = {
    "care": ("scoring",),
    "operations": USES,
    "learning": ("training",),
    "elsewhere": (),
}
"""Members of the concept family ``purpose`` with the uses that each covers."""


def consent(record: Consent, reading: Reading) -> list[Event]:
    """An event for each use that an active Consent refuses or permits.

    The event's time is the decision's (``dateTime``); it counts from the start of the provision's
    period, where there is one, to its end. Its text is the scope, within which a later decision
    takes the place of an earlier one. A day without a clock counts from its beginning.

    One that cannot be read refuses every use, without a date.
    """
    subject = reading.patient_of(record.subject or record.subject_of_r5)
    scope = _scope(record, reading)
    if subject is None or record.status in _NOT_IN_FORCE or scope is None:
        return []
    if not _can_be_read(record):
        reading.questionable[("Consent", "cannot be read, counts as a refusal")] += 1
        source = f"Consent/{record.id or UNNAMED + subject}"
        return unreadable(subject, source, reading.updated(record.meta))
    decided = reading.instant(record.date_time, "Consent.dateTime")
    events = []
    for (use, answer), period in _answers(record, scope, reading).items():
        start, end = reading.period(period, "Consent.provision.period")
        when = decided or start
        if when is None:
            if answer == "permit":
                continue  # nobody can tell that it came after a refusal
            when = Instant(UNDATED, None, UNDATED)
        events.append(
            event(
                subject,
                f"Consent/{record.id}",
                "patient",
                consent_code(answer, use),
                when._replace(last=when.at),
                known=None if start is None else start._replace(last=start.at),
                end=None if end is None else end._replace(at=end.last),
                text=scope,
                updated=reading.updated(record.meta),
            )
        )
    return events


def unreadable(subject: str, source: str, updated: int = 0) -> list[Event]:
    """The events of a Consent that cannot be read: nobody can tell that it is no refusal."""
    when = Instant(UNDATED, None, UNDATED)
    return [
        event(
            subject,
            source,
            "patient",
            consent_code("deny", use),
            when,
            text=UNREADABLE,
            updated=updated,
        )
        for use in USES
    ]


def names_nobody(record: Consent, reading: Reading) -> bool:
    """Whether it may be in force, and does not tell for whom."""
    named = reading.patient_of(record.subject or record.subject_of_r5)
    return named is None and record.status not in _NOT_IN_FORCE


def _can_be_read(record: Consent) -> bool:
    """Whether it is an R4 Consent in force whose every rule denies, permits or leaves it open."""
    if record.status != "active" or record.subject is None or record.decision is not None:
        return False
    rules = [record.provision or Provision()]
    for rule in rules:
        rules += rule.provision
    return all(rule.type in (None, "deny", "permit") for rule in rules)


def answers(record: Consent, reading: Reading) -> dict[tuple[Use, _Answer], Period | None]:
    """What a Consent says of each use, with the period that it says it for.

    Nothing where it is not in force, or cannot be read.
    """
    scope = _scope(record, reading)
    if scope is None or not _can_be_read(record):
        return {}
    return _answers(record, scope, reading)


def _scope(record: Consent, reading: Reading) -> str | None:
    codes = reading.coder.codes(record.scope)
    if "consentscope|adr" in codes:
        return None
    known = (code.removeprefix("consentscope|") for code in codes)
    return next((scope for scope in known if scope in _SCOPES), "unclear")


def _answers(
    record: Consent, scope: str, reading: Reading
) -> dict[tuple[Use, _Answer], Period | None]:
    """What a Consent says of each use, with the period that it says it for.

    An exception takes the place of the root's answer for its use. Permissions come before refusals,
    so that of two exceptions that contradict each other the refusal stands.
    """
    root = record.provision or Provision()
    answer = root.type or _policy(record, reading)
    found: dict[Use, tuple[_Answer, Period | None]] = {}
    if answer == "deny":
        uses = _uses(root, reading)
        for use in _SCOPES[scope] if uses is None else uses:
            found[use] = "deny", root.period
    elif answer == "permit" and not _narrowed(root):
        for use in _permitted(root, scope, reading, whole=_SCOPES[scope]):
            found[use] = "permit", root.period
    for part in root.provision:
        if part.type == "permit" and not (_narrowed(part) or part.period or part.provision):
            for use in _permitted(part, scope, reading, whole=()):
                found[use] = "permit", root.period
    for part in root.provision:
        if part.type == "deny" and answer != "deny" and not _narrowed(part):
            uses = _uses(part, reading) if part.purpose else _SCOPES[scope]
            for use in uses or ():
                found[use] = "deny", part.period or root.period
    return {(use, said): period for use, (said, period) in found.items()}


def _policy(record: Consent, reading: Reading) -> _Answer | None:
    """The base that the root's rule stands on, where it has no type of its own."""
    codes = reading.coder.codes(record.policy_rule)
    return next((_POLICIES[code] for code in codes if code in _POLICIES), None)


def _narrowed(provision: Provision) -> bool:
    """Whether it is about some people, acts or data only, of which nothing here can be told."""
    return any(
        (
            provision.actor,
            provision.action,
            provision.security_label,
            provision.class_,
            provision.code,
            provision.data_period,
            provision.data,
        )
    )


def _permitted(
    provision: Provision, scope: str, reading: Reading, *, whole: tuple[Use, ...]
) -> tuple[Use, ...]:
    if scope == "unclear":
        return ()
    return (_uses(provision, reading) or ()) if provision.purpose else whole


def _uses(provision: Provision, reading: Reading) -> tuple[Use, ...] | None:
    """The uses that a provision's purposes cover; None where it names none, or one is unknown."""
    if not provision.purpose:
        return None
    covered: set[Use] = set()
    for name in _purposes(provision, reading):
        if name is None:
            return None
        covered.update(_PURPOSES[name])
    return tuple(use for use in USES if use in covered)


def _purposes(provision: Provision, reading: Reading) -> Iterator[str | None]:
    for purpose in provision.purpose:
        yield reading.first_concept(CodeableConcept(coding=[purpose]), "purpose")
