"""What is shared while the records of one export or Bundle become events."""

import re
from collections import Counter
from typing import NamedTuple

from fhir_mappings.concepts import ConceptTables, load_concepts
from fhir_mappings.events import DatedBy, Event, Kind
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.bundles import last_segment
from fhir_mappings.records.codes import Coder
from fhir_mappings.records.datatypes import CodeableConcept, Meta, Period, Reference
from fhir_mappings.records.instants import Instant, parse_instant

DID_NOT_HAPPEN = frozenset(
    {"entered-in-error", "cancelled", "not-done", "refuted", "not-taken", "draft"}
)
"""Statuses under which a record leaves no event, in whichever resource they occur."""


_NOT_A_PATIENT = re.compile(r"(?:^|/)(?:Group|Device|Location)/")

_REMEMBERED = 10_000
"""References whose ids are remembered: consecutive records are about the same few patients."""


class Reading:
    """One pass over records: the site's profile, the spellings seen, and what was questionable.

    Args:
        profile: how the site codes.
        ids: for a Bundle, the id that each ``fullUrl`` stands for.
        coder: the spelling of codes, where what it learns should stay with one export.

    """

    def __init__(
        self,
        profile: SiteProfile,
        ids: dict[str, str] | None = None,
        coder: Coder | None = None,
    ) -> None:
        self.profile = profile
        self.coder = coder or site_coder(profile)
        self.concepts: ConceptTables = site_concepts(profile)
        self.ids = ids or {}
        self.questionable: Counter[tuple[str, str]] = Counter()
        """Counts of (element, reason): values that were read but not used."""
        self._zone = profile.timezone
        self._referred: dict[str, str | None] = {}

    def instant(self, text: str | None, element: str) -> Instant | None:
        """A date or time of the record; absurd ones are counted and left out."""
        if text is None:
            return None
        instant = parse_instant(text, self._zone)
        if instant is None:
            self.questionable[(element, "no FHIR date, or an absurd year")] += 1
        return instant

    def period(self, period: Period | None, element: str) -> tuple[Instant | None, Instant | None]:
        """Start and end; an end before its start is counted and left out."""
        if period is None:
            return None, None
        start = self.instant(period.start, element)
        end = self.instant(period.end, element)
        if start is not None and end is not None and end.last < start.at:
            self.questionable[(element, "ends before it starts")] += 1
            return start, None
        if start is not None and end is not None and end.at < start.at:
            # A date without a clock, of the day of the start: no earlier than the start itself.
            end = end._replace(at=start.at)
        return start, end

    def id_of(self, reference: Reference | None) -> str | None:
        """The id that a reference points to, without type and server.

        Relative (``Patient/7``), absolute and ``urn:uuid:`` references are read; a conditional
        reference (``Patient?identifier=...``) and a contained one name no resource here.
        """
        text = reference.reference if reference is not None else None
        if not text:
            return None
        try:
            return self._referred[text]
        except KeyError:
            return self._resolve(text)

    def patient_of(self, reference: Reference | None) -> str | None:
        """The patient whom a record is about; None if it is about a ward, a device or a group."""
        text = reference.reference if reference is not None else None
        if text and not text.startswith("Patient/") and _NOT_A_PATIENT.search(text):
            return None
        return self.id_of(reference)

    def _resolve(self, text: str) -> str | None:
        if len(self._referred) >= _REMEMBERED:
            self._referred.clear()
        inside = text[0] == "#" or "?" in text
        found = None if inside else self.ids.get(text) or last_segment(text)
        self._referred[text] = found
        return found

    def updated(self, meta: Meta | None) -> int:
        """``meta.lastUpdated`` in microseconds, 0 where there is none."""
        if meta is None or meta.last_updated is None:
            return 0
        instant = parse_instant(meta.last_updated, self._zone)
        return 0 if instant is None else instant.at

    def first_concept(self, concept: CodeableConcept | None, family: str) -> str | None:
        """The member of a concept family that one of these codings belongs to.

        ``first_concept(disposition, "disposition")`` is ``"home"`` for every code of
        ``disposition.home``.
        """
        prefix = family + "."
        for code in self.coder.codes(concept):
            for name in self.concepts.of(code):
                if name.startswith(prefix):
                    return name.removeprefix(prefix)
        return None


def site_concepts(profile: SiteProfile) -> ConceptTables:
    """The concept tables with the site's own codes added; made once a profile."""
    return _site(profile).concepts


def site_coder(profile: SiteProfile) -> Coder:
    """The spelling of codes with the site's own systems; made once a profile, and remembers."""
    return _site(profile).coder


class _Site(NamedTuple):
    profile: SiteProfile
    concepts: ConceptTables
    coder: Coder


_sites: dict[int, _Site] = {}


def _site(profile: SiteProfile) -> _Site:
    # By identity: a profile holds dictionaries and has no hash. It is kept, so that its identity
    # cannot become that of another; a process sees a handful.
    site = _sites.get(id(profile))
    if site is None:
        concepts = load_concepts()
        if profile.concepts:
            concepts = concepts.with_site_codes(profile.concepts)
        site = _sites[id(profile)] = _Site(profile, concepts, Coder(profile.systems))
    return site


def event(
    subject: str,
    source: str,
    kind: Kind,
    code: str,
    when: Instant | None,
    *,
    end: Instant | None = None,
    known: Instant | None = None,
    value: float | None = None,
    unit: str | None = None,
    text: str | None = None,
    encounter: str | None = None,
    updated: int = 0,
    dated_by: DatedBy = "record",
) -> Event:
    """An event; where nothing says when the record could be seen, it is when the thing happened.

    A date without a clock is known at the end of its day, because that is the earliest moment at
    which it is certainly past.
    """
    time, known_at, utc_offset = times(when, known)
    return Event(
        subject,
        time,
        None if end is None else end.at,
        known_at,
        kind,
        code,
        value,
        unit,
        text,
        encounter,
        source,
        updated,
        utc_offset,
        dated_by,
    )


def times(when: Instant | None, known: Instant | None) -> tuple[int | None, int | None, int | None]:
    """When it happened, when it could first be seen, and the offset of the clock that says so.

    Nothing is seen before it happens, whatever the record says.
    """
    if when is None:
        return None, None if known is None else known.last, None
    at, utc_offset, last = when
    known_at = last if known is None else known.last
    return at, known_at if known_at > at else at, utc_offset
