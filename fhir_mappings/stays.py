"""Hospital stays, found in a patient's encounters.

An encounter is a piece of administration; a stay is what a patient remembers: from the door of the
emergency department to the way home. Stays are found by times and identity. ``Encounter.partOf``
is not enough, since it leads from an inpatient stay to the emergency visit before it, to the
earlier stay that it follows, or from a newborn to the mother, depending on who wrote it.
"""

from collections.abc import Mapping, Sequence

import msgspec

from fhir_mappings.events import DAY, HOUR, Event
from fhir_mappings.profiles import StayRules


class Visit(msgspec.Struct, frozen=True):
    """One encounter as it was recorded."""

    encounter: str
    kind: str
    """inpatient, observation, emergency, outpatient, unit or other."""
    start: int
    end: int | None
    utc_offset: int | None
    urgency: str | None = None
    admission_source: str | None = None
    disposition: str | None = None
    service: str | None = None
    site: str | None = None


class Stay(msgspec.Struct, frozen=True):
    """One continuous hospital stay. Times are microseconds UTC."""

    encounters: tuple[str, ...]
    """The ids of its encounters in the order of time; the last one names the stay."""
    arrival: int
    """When the patient came through the door: the emergency visit's start, or ``start``."""
    start: int
    end: int | None
    """The discharge; None while the patient is in hospital, or where the record has none."""
    utc_offset: int | None
    urgency: str | None
    """emergency, urgent, elective, routine or unknown; of the first encounter."""
    admission_source: str | None
    disposition: str | None
    """Where the patient went; of the last encounter."""
    services: tuple[str, ...]
    emergency_visit: str | None
    """The id of the emergency encounter that led to it."""
    merged: int
    """How many encounters were merged into it."""
    site: str | None = None
    """The unit that had the patient last: the Encounter's service provider, by the site profile's
    name for it. None where no encounter of the stay names one."""

    @property
    def name(self) -> str:
        """The encounter id that stands for the stay: that of the discharge."""
        return self.encounters[-1]

    @property
    def all_encounters(self) -> tuple[str, ...]:
        """Its encounters with the emergency visit before them."""
        if self.emergency_visit is None:
            return self.encounters
        return (self.emergency_visit, *self.encounters)


_FACETS = ("urgency", "admission-source", "disposition", "service", "site")


def find_visits(by_code: Mapping[str, Sequence[Event]], death: int | None) -> tuple[Visit, ...]:
    """Every encounter of a timeline, in the order of time.

    One that starts more than a day after the patient's death is a slip of the record and is left
    out; the day allows for a death dated without a clock.
    """
    facets: dict[str, dict[str, str]] = {}
    for code, events in by_code.items():
        head, _, value = code.partition("|")
        facet = head.removeprefix("readmit/")
        if head != facet and facet in _FACETS:
            for event in events:
                facets.setdefault(event.encounter or "", {})[facet] = value
    visits = []
    for code, events in by_code.items():
        if not code.startswith("readmit/encounter|"):
            continue
        for event in events:
            if event.time is None or event.encounter is None:
                continue
            if death is not None and event.time > death + DAY:
                continue
            facts = facets.get(event.encounter, {})
            visits.append(_visit(event.encounter, event.time, event, facts))
    return tuple(sorted(visits, key=_order))


def _order(visit: Visit) -> tuple[int, int, str]:
    return visit.start, visit.end or 0, visit.encounter


def visible(visits: Sequence[Visit], as_of: int) -> tuple[Visit, ...]:
    """The visits as they could be seen at a moment: none to come, and no end that lies ahead.

    They are put in order anew, since an end that is not known yet must not decide it.
    """
    seen = (
        visit
        if visit.end is not None and visit.end <= as_of
        else msgspec.structs.replace(visit, end=None, disposition=None)
        for visit in visits
        if visit.start <= as_of
    )
    return tuple(sorted(seen, key=_order))


def _visit(encounter: str, start: int, event: Event, facets: Mapping[str, str]) -> Visit:
    return Visit(
        encounter=encounter,
        kind=event.code.partition("|")[2],
        start=start,
        end=event.end,
        utc_offset=event.utc_offset,
        urgency=facets.get("urgency"),
        admission_source=facets.get("admission-source"),
        disposition=facets.get("disposition"),
        service=facets.get("service"),
        site=facets.get("site"),
    )


def find_stays(visits: Sequence[Visit], kinds: Sequence[str], rules: StayRules) -> tuple[Stay, ...]:
    """Stays made of the encounters of these kinds, merged where one continues another.

    Args:
        visits: every encounter of a patient, in the order of time.
        kinds: which kinds make a stay: ``("inpatient",)``, or with ``"observation"``.
        rules: how near is near enough.

    """
    chains: list[list[Visit]] = []
    until: int | None = None
    gap = int(rules.merge_within_hours * HOUR)
    for visit in visits:
        if visit.kind not in kinds:
            continue
        if chains and (until is None or visit.start <= until + gap) and _joins(chains[-1], visit):
            chains[-1].append(visit)
        else:
            chains.append([visit])
            until = visit.end
            continue
        until = None if visit.end is None else max(until or visit.end, visit.end)
    emergencies = [visit for visit in visits if visit.kind == "emergency"]
    return tuple(_stay(chain, emergencies, rules) for chain in chains)


def _joins(chain: Sequence[Visit], visit: Visit) -> bool:
    """Whether a chain may go on; one without an end only takes what starts with it.

    A stay left open by mistake would otherwise swallow every later one of that patient.
    """
    open_ended = [each for each in chain if each.end is None]
    return not open_ended or visit.start <= open_ended[-1].start + DAY


def _stay(chain: Sequence[Visit], emergencies: Sequence[Visit], rules: StayRules) -> Stay:
    ends = [visit.end for visit in chain]
    known = [end for end in ends if end is not None]
    end = max(known) if len(known) == len(chain) else None
    last = max(chain, key=lambda visit: (visit.end or 2**62, visit.start, visit.encounter))
    start = chain[0].start
    led_to = _emergency_before(start, emergencies, rules)
    in_order = [v for v in chain if v is not last] + [last]
    before = [] if led_to is None else [led_to]
    return Stay(
        encounters=tuple(visit.encounter for visit in in_order),
        arrival=start if led_to is None else min(led_to.start, start),
        start=start,
        end=end,
        utc_offset=last.utc_offset,
        urgency=chain[0].urgency,
        admission_source=chain[0].admission_source,
        disposition=last.disposition,
        services=tuple(visit.service for visit in chain if visit.service),
        emergency_visit=None if led_to is None else led_to.encounter,
        merged=len(chain),
        site=next((v.site for v in reversed(before + in_order) if v.site is not None), None),
    )


def _emergency_before(start: int, emergencies: Sequence[Visit], rules: StayRules) -> Visit | None:
    """The emergency visit that led to a stay: the first that overlaps it, or ends just before."""
    near = int(rules.emergency_within_hours * HOUR)
    longest = int(rules.longest_emergency_days * DAY)
    for visit in emergencies:
        if visit.start > start:
            break
        if visit.end is None or visit.end - visit.start > longest:
            continue
        if visit.end >= start - near:
            return visit
    return None
