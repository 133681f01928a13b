"""Whether a study's values could have been known at the discharge, checked on the records.

No window reaches past the moment of scoring, so a later record cannot count by its date. What can
still go wrong is found by computing rows anew from less:

- From the record as it stood at the discharge: every later event taken away, every encounter that
  went on left open. A value of the matrix that differs knew something later, or did not come from
  the records at all. That is a leak.
- From what says of itself that it was known: without the diagnoses and procedures of the stay that
  carry no time of their own and are taken as known when it ended (``dated_by`` encounter-end). A
  value that changes rests on this assumption. Where a hospital codes its stays after the discharge,
  the assumption is wrong, and the site profile should say ``coding.known = "after-discharge"``.
  The records cannot tell, so it is a caution.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec
import numpy as np

from fhir_mappings.errors import DeclarationError, StudyError
from fhir_mappings.events import Event
from fhir_mappings.features.declaration import Feature
from fhir_mappings.features.engine import View, check
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.pseudonyms import Pseudonyms
from fhir_mappings.records.instants import from_datetime
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.stays import Stay
from fhir_mappings.timeline import Timeline
from training.study_data import BoolArray, FloatArray, StudyData
from training.study_records import Records, StudyRecords, number_of, study_records

MOST_CHECKED = 1_000
"""Stays whose rows are computed anew; a share of 1 % would show with some certainty."""
_STRUCTURE = ("patient", "encounter")
"""Kinds of record that are seen from their own time on, whatever was known when."""
_DISPOSITION = "readmit/disposition|"


class FeatureRecords(msgspec.Struct, frozen=True):
    """What computing a feature anew showed."""

    feature: str
    stays: int
    """Stays for which it was computed anew; 0 where no record can give it."""
    later: float
    """Share of stays with another value by the record as it stood at the discharge."""
    assumed: float
    """Share of stays with another value without what is only assumed to have been known."""


def check_records(
    store: Records, profile: SiteProfile, data: StudyData, *, most: int = MOST_CHECKED
) -> tuple[FeatureRecords, ...]:
    """Compute rows of a study anew from what was known at the discharge, and compare.

    Patients are taken shard by shard until there are stays enough; which shard a patient is in
    depends on nothing but the id.

    Args:
        store: the events that the matrix was made from.
        profile: how the site codes.
        data: the study.
        most: stays to compute anew.

    Raises:
        StudyError: if the store lacks a stay, or every patient, of the study.
    """
    names = site_concepts(profile).names()
    known = np.array([_computable(feature, names) for feature in data.features], dtype=np.bool_)
    features = [data.features[column] for column in np.flatnonzero(known)]
    later = np.zeros(len(data.features), dtype=np.int64)
    assumed = np.zeros(len(data.features), dtype=np.int64)
    checked = 0
    door = study_records(store, profile)
    for row, timeline in _sample(door, data, most):
        as_of = from_datetime(data.stays["discharged"].iloc[row])
        encounter = str(data.stays["encounter_id"].iloc[row])
        then = _with_events(timeline, _as_it_stood(timeline.events, as_of))
        stay = _stay_of(then, encounter, door.pseudonyms)
        certain = _with_events(then, _certain(then, stay))
        values = _row(then, stay, as_of, features)
        later[known] += _differ(data.values[row, known].astype(np.float64), values)
        assumed[known] += _differ(values, _row(certain, stay, as_of, features))
        checked += 1
    if not checked:
        raise StudyError("no patient of the study is in the store")
    stays = np.where(known, checked, 0)
    return tuple(
        FeatureRecords(feature.name, int(count), float(late), float(taken))
        for feature, count, late, taken in zip(
            data.features,
            stays,
            later / checked,
            assumed / checked,
            strict=True,
        )
    )


def _computable(feature: Feature, names: Iterable[str]) -> bool:
    """Whether the engine knows what the declaration asks for."""
    try:
        check((feature,), names)
    except DeclarationError:
        return False
    return True


def _sample(records: StudyRecords, data: StudyData, most: int) -> Iterator[tuple[int, Timeline]]:
    """Rows of the study with their patient's timeline, at most so many."""
    rows: dict[str, list[int]] = {}
    for row, subject in enumerate(data.subjects.astype(str)):
        rows.setdefault(subject, []).append(row)
    left = most
    for shard in range(records.shards):
        for timeline in records.timelines(shard):
            for row in rows.get(number_of(timeline.subject), ()):
                if left == 0:
                    return
                yield row, timeline
                left -= 1


def _with_events(timeline: Timeline, events: Iterable[Event]) -> Timeline:
    return Timeline(timeline.subject, events, timeline.concepts, timeline.profile)


def _as_it_stood(events: Sequence[Event], as_of: int) -> Iterator[Event]:
    """What could be seen at the discharge; what goes on has neither end nor disposition yet."""
    ongoing = {
        event.encounter
        for event in events
        if event.kind == "encounter" and event.end is not None and event.end > as_of
    }
    for event in events:
        if event.time is None or event.time > as_of:
            continue
        if event.kind == "encounter" and event.encounter in ongoing:
            if not event.code.startswith(_DISPOSITION):
                yield event._replace(end=None)
        elif event.kind in _STRUCTURE or (event.known_at is not None and event.known_at <= as_of):
            yield event


def _certain(timeline: Timeline, stay: Stay) -> list[Event]:
    """All but the stay's records that have no time of their own and count as known at its end.

    Where the profile says how long coding takes, they are known when it says, and no guess.
    """
    ends = {
        visit.encounter: visit.end
        for visit in timeline.visits
        if visit.encounter in stay.all_encounters
    }
    return [
        event
        for event in timeline.events
        if event.dated_by != "encounter-end" or event.known_at != ends.get(event.encounter or "")
    ]


def _row(timeline: Timeline, stay: Stay, as_of: int, features: Sequence[Feature]) -> FloatArray:
    return np.array(View(timeline, stay, as_of).row(features))


def _stay_of(timeline: Timeline, encounter: str, pseudonyms: Pseudonyms) -> Stay:
    for stay in timeline.stays:
        if encounter in {pseudonyms.of("Encounter", name) for name in stay.encounters}:
            return stay
    raise StudyError(
        "the store lacks a stay of the study: it has changed since the matrix was made"
    )


def _differ(ours: FloatArray, anew: FloatArray) -> BoolArray:
    """Which values differ; two that are missing do not. The matrix is in single precision."""
    return ~np.isclose(ours, anew, rtol=1e-5, atol=1e-6, equal_nan=True)
