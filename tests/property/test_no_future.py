"""What is dated or known after the moment of scoring never changes a feature."""

import random

import made_up
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from records import (
    bundle,
    bundle_timeline,
    clock,
    condition,
    encounter,
    lab,
    left_for,
    moment,
    order,
    patient,
    problem,
    procedure,
)
from samples import SAMPLES, sample_timeline

from fhir_mappings.events import DAY
from fhir_mappings.timeline import Timeline

after = st.floats(0.01, 400).map(lambda day: round(day, 2))


@st.composite
def what_comes(draw, as_of):
    """Records that happen, or become known, after that day."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        day = as_of + draw(after)
        name = f"future-{number}"
        before = draw(made_up.days.filter(lambda earlier: earlier <= as_of))
        found.append(
            draw(
                st.sampled_from(
                    [
                        encounter(name, day, day + 3, hospitalization=left_for("exp")),
                        encounter(name, day, None, kind="EMER"),
                        encounter(name, day, day + 1, kind="OBSENC"),
                        lab(name, day, 111.0),
                        lab(name, before, 111.0, issued=clock(day)),
                        condition(name, "C78.00", stay="index", recordedDate=clock(day)),
                        condition(name, "C78.00", onsetDateTime="2020", recordedDate=clock(day)),
                        problem(name, "I50.9", clock(day)),
                        order(name, day),
                        procedure(name, day),
                        patient(deceasedDateTime=clock(day))
                        | {"meta": {"lastUpdated": clock(day)}},
                    ]
                )
            )
        )
    return found


@settings(max_examples=150, deadline=None)
@given(st.data(), made_up.records(), st.sampled_from([0.5, 2.0, 3.99, 4.0]))
def test_records_to_come_change_nothing(data, past, day):
    past = [record for record in past if not record.get("deceasedDateTime")]
    coming = data.draw(what_comes(day))
    gender = past[0]["gender"]
    coming = [
        record | {"gender": gender} if record["resourceType"] == "Patient" else record
        for record in coming
    ]
    assert made_up.row_of(past + coming, moment(day)) == made_up.row_of(past, moment(day))


@settings(max_examples=100, deadline=None)
@given(
    made_up.records(),
    st.sampled_from([0.5, 2.0, 3.99]),
    st.sampled_from([None, 4.0, 9.0, 200.0]),
)
@example(
    [patient(), made_up.index_stay(), condition("c", stay="index", recordedDate="2024-03-02")],
    3.0,
    9.0,
)
def test_how_long_a_stay_under_way_will_last_changes_nothing(past, day, end):
    others = [record for record in past if record["id"] != "index"]
    longer = [*others, made_up.index_stay(end)]
    assert made_up.row_of(longer, moment(day)) == made_up.row_of(past, moment(day))


@settings(max_examples=100, deadline=None)
@given(made_up.records(), st.sampled_from([0.5, 2.0, 3.99, 4.0, 9.0]))
def test_erasing_the_future_changes_nothing(past, day):
    whole = bundle_timeline(bundle(*past))
    erased = without_future(whole, moment(day))
    # Which encounters make the stay is told by what was seen, not by what will be merged into it.
    stay = made_up.stay_of(erased)
    assert made_up.row(erased, moment(day), stay) == made_up.row(whole, moment(day), stay)


def without_future(timeline, as_of):
    """The timeline as if the record had stopped at that moment."""
    known = [
        event._replace(end=None) if event.end is not None and event.end > as_of else event
        for event in timeline.events
        if event.time <= as_of and event.known_at is not None and event.known_at <= as_of
    ]
    return Timeline(timeline.subject, known, timeline.concepts, timeline.profile)


@pytest.mark.records
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_erasing_the_future_of_records_beside_the_project_changes_nothing(sample):
    checked = 0
    for subject in sample.patients():
        whole = sample_timeline(sample, subject)
        moments = random.Random(0)
        for stay in whole.stays[:4]:
            until = stay.end if stay.end is not None else stay.start + DAY
            for as_of in (until, moments.randint(stay.start, until)):
                erased = without_future(whole, as_of)
                seen = made_up.stay_of(erased, earliest(whole, stay))
                assert made_up.row(erased, as_of, seen) == made_up.row(whole, as_of, seen)
                checked += 1
    assert checked > 4


def earliest(timeline, stay):
    """The encounter that a stay begins with."""
    starts = {visit.encounter: visit.start for visit in timeline.visits}
    return min(stay.encounters, key=lambda name: (starts[name], name))
