"""Windows: from where to where a feature looks."""

import pytest
from records import encounter, lab, moment, timeline

from fhir_mappings.features.engine import View
from fhir_mappings.features.windows import WINDOWS, limits
from fhir_mappings.timeline import Timeline

ARRIVAL, AS_OF = moment(0), moment(5)


@pytest.mark.parametrize(
    ("window", "start", "end", "end_included"),
    [
        ("stay", 0, 5, True),
        ("first_day", 0, 1, False),
        ("last_day", 4, 5, True),
        ("last_two_days", 3, 5, True),
        ("six_months_before", -183, 0, False),
        ("year_before", -365, 0, False),
        ("two_years_before", -730, 0, False),
        ("year_and_stay", -365, 5, True),
    ],
)
def test_bounds_of_a_window(window, start, end, end_included):
    assert limits(WINDOWS[window], ARRIVAL, AS_OF) == (moment(start), moment(end))
    assert WINDOWS[window].end_included is end_included


@pytest.mark.parametrize(("window", "end"), [("before", 0), ("ever", 5)])
def test_window_without_a_start_reaches_back_for_ever(window, end):
    start, found = limits(WINDOWS[window], ARRIVAL, AS_OF)
    assert start < moment(-365 * 2000)
    assert found == moment(end)


def test_every_window_is_tested_here():
    assert len(WINDOWS) == 10


@pytest.mark.parametrize("window", WINDOWS)
def test_no_window_reaches_past_the_moment_of_scoring(window):
    for as_of in (ARRIVAL, ARRIVAL + 1, moment(0.5), AS_OF):
        assert limits(WINDOWS[window], ARRIVAL, as_of)[1] <= as_of


@pytest.mark.parametrize("window", WINDOWS)
def test_both_bounds_hold_to_the_microsecond(window):
    start, end = limits(WINDOWS[window], ARRIVAL, AS_OF)
    start = max(start, moment(-9000))
    instants = {"before": start - 1, "start": start, "end": end, "after": end + 1}
    whole = timeline(encounter("e", 0, 5), *(lab(name, 0) for name in instants))
    placed = [
        event._replace(time=instants[event.source.removeprefix("Observation/")], known_at=0)
        if event.kind == "observation"
        else event
        for event in whole.events
    ]
    moved = Timeline("ada", placed, whole.concepts, whole.profile)
    view = View(moved, moved.stays[0], AS_OF)
    found = {e.source.removeprefix("Observation/") for e in view.select("lab.sodium", window)}
    wanted = {"start"} | ({"end"} if WINDOWS[window].end_included else set())
    if WINDOWS[window].start is None:
        wanted.add("before")
    assert found == wanted
