"""Who does not want to be scored, or learned from: the patient's Consents, and the site's list.

A Consent counts when a record is *used*, and not as of the moment that a score is about: whoever
says no today is not scored for last week's discharge, although nobody knew of it last week. In this
one thing a later record changes what is answered, by taking it away.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from fhir_mappings.events import Event
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.instants import from_datetime

Use = Literal["scoring", "training"]
"""What a patient can refuse: being scored and listed, or being learned from and reported on."""
USES: tuple[Use, ...] = ("scoring", "training")

UNDATED = 0
"""The time of a refusal without a date: nobody can tell that a later permission came after it."""


class OptOuts(NamedTuple):
    """Who is on the site's list, and when the records are used."""

    listed: frozenset[str] = frozenset()
    """Patient ids. Whoever is on the list refuses every use."""
    at: int | None = None
    """The moment of use, microseconds UTC. None where dates are shifted per patient and do not
    compare with it: then every Consent counts, whatever its dates."""


def used_now(profile: SiteProfile, listed: frozenset[str] = frozenset()) -> OptOuts:
    """The list, for records of this site that are used now."""
    return OptOuts(listed, from_datetime(datetime.now(UTC)) if profile.calendar else None)


def consent_code(answer: Literal["deny", "permit"], use: Use) -> str:
    """The code of the event by which a Consent answers for one use."""
    return f"readmit/consent|{answer}-{use}"


CONSENT_CODES = frozenset(
    consent_code(answer, use) for answer in ("deny", "permit") for use in USES
)
"""Every code that a Consent leaves."""


def refuses(subject: str, events: Iterable[Event], use: Use, opt_outs: OptOuts) -> bool:
    """Whether a patient does not want this use: by the list, or by a Consent in force.

    For each scope the latest Consent in force that answers for the use counts, by the day of the
    decision; where two are equally late, and where a refusal has no date, the refusal does. One
    scope that refuses is enough.

    Args:
        subject: the Patient's id.
        events: of this patient; those of Consents are looked at.
        use: what is to be done with the records.
        opt_outs: the list, and the moment of use.
    """
    if subject in opt_outs.listed:
        return True
    deny, permit = consent_code("deny", use), consent_code("permit", use)
    latest: dict[str | None, tuple[bool, int, bool]] = {}
    for event in events:
        if event.code in (deny, permit) and event.time is not None and _in_force(event, opt_outs):
            denies = event.code == deny
            rank = (denies and event.time == UNDATED, event.time, denies)
            latest[event.text] = max(rank, latest.get(event.text, rank))
    return any(denies for _, _, denies in latest.values())


def _in_force(event: Event, opt_outs: OptOuts) -> bool:
    if opt_outs.at is None:
        return True
    begun = event.known_at is not None and event.known_at <= opt_outs.at
    return begun and (event.end is None or opt_outs.at <= event.end)
