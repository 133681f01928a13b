"""Procedure: what was done."""

import pytest
from records import clock, encounter, events, mapped, moment, procedure, timeline


@pytest.mark.parametrize("status", ["not-done", "entered-in-error", "preparation"])
def test_procedure_that_was_not_done_leaves_nothing(status):
    assert events(procedure("p", 0, status=status)) == []


@pytest.mark.parametrize("status", ["completed", "in-progress", "stopped", "on-hold", "unknown"])
def test_procedure_that_was_begun_counts(status):
    assert len(events(procedure("p", 0, status=status))) == 1


def test_procedure_is_known_when_it_began():
    period = {"start": clock(1), "end": clock(2)}
    (one,) = events(procedure("p", 0, performedDateTime=None, performedPeriod=period))
    assert (one.time, one.end, one.known_at) == (moment(1), moment(2), moment(1))


def test_undated_procedure_of_a_stay_happened_by_its_end():
    record = procedure("p", 0, performedDateTime=None, encounter={"reference": "Encounter/e"})
    found = timeline(encounter("e", 0, 3), record).by_code["SNOMED|265764009"]
    assert [(event.time, event.known_at) for event in found] == [(moment(3), moment(3))]


def test_period_that_ends_before_it_starts_keeps_its_start():
    period = {"start": clock(2), "end": clock(1)}
    record = procedure("p", 0, performedDateTime=None, performedPeriod=period)
    (one,), questionable = mapped(record)
    assert (one.time, one.end) == (moment(2), None)
    assert questionable == {("Procedure.performedPeriod", "ends before it starts"): 1}
