"""Observation: values, units and when a result could be seen."""

import pytest
from records import clock, concept, events, lab, mapped, moment

LOINC = "http://loinc.org"


def ratio(numerator, denominator):
    return {
        "valueRatio": {"numerator": {"value": numerator}, "denominator": {"value": denominator}}
    }


@pytest.mark.parametrize("status", ["entered-in-error", "cancelled", "registered"])
def test_observation_without_a_result_leaves_nothing(status):
    assert events(lab("a", 0, status=status)) == []


@pytest.mark.parametrize("status", ["preliminary", "final", "amended", "corrected", "unknown"])
def test_observation_with_a_result_counts(status):
    assert len(events(lab("a", 0, status=status))) == 1


def test_result_is_known_when_it_was_issued():
    (one,) = events(lab("a", 0, issued=clock(2)))
    assert (one.time, one.known_at) == (moment(0), moment(2))


def test_result_is_not_known_before_it_was_measured():
    (one,) = events(lab("a", 2, issued=clock(0)))
    assert (one.time, one.known_at) == (moment(2), moment(2))


def test_result_with_a_date_alone_is_known_at_the_end_of_the_day():
    (one,) = events(lab("a", 0, effectiveDateTime="2024-03-01"))
    assert (one.time, one.known_at) == (moment(0), moment(1) - 1)


def test_result_of_a_period_is_known_at_its_end():
    period = {"start": clock(0), "end": clock(1)}
    (one,) = events(lab("a", 0, effectiveDateTime=None, effectivePeriod=period))
    assert (one.time, one.end, one.known_at) == (moment(0), moment(1), moment(1))


def test_result_without_an_effective_time_happened_when_it_was_issued():
    (one,) = events(lab("a", 0, effectiveDateTime=None, issued=clock(2)))
    assert (one.time, one.known_at) == (moment(2), moment(2))


def test_instant_is_read():
    (one,) = events(lab("a", 0, effectiveDateTime=None, effectiveInstant=clock(1)))
    assert one.time == moment(1)


@pytest.mark.parametrize(
    ("value", "number", "unit", "text"),
    [
        ({"valueQuantity": {"value": 5, "unit": "mg", "code": "mg/dL"}}, 5.0, "mg/dL", None),
        ({"valueQuantity": {"value": 5, "unit": "mg"}}, 5.0, "mg", None),
        ({"valueQuantity": {"value": 5}}, 5.0, None, None),
        ({"valueQuantity": {"value": 5, "comparator": ">", "unit": "ng/L"}}, 5.0, "ng/L", ">"),
        ({"valueQuantity": {"value": 0}}, 0.0, None, None),
        ({"valueQuantity": {"value": -1.5}}, -1.5, None, None),
        ({"valueInteger": 0}, 0.0, "1", None),
        ({"valueBoolean": False}, 0.0, "1", None),
        ({"valueString": " 12 "}, None, None, "12"),
        ({"valueTime": "10:00:00"}, None, None, "10:00:00"),
        ({"valueDateTime": "2024-03-01"}, None, None, "2024-03-01"),
        ({"valuePeriod": {"start": "2024-03-01"}}, None, None, None),
        ({"valueSampledData": {"data": "1 2 3"}}, None, None, None),
        ({"valueCodeableConcept": {"text": "Positive"}}, None, None, "text|positive"),
        ({"valueRange": {"low": {"value": 2}, "high": {"value": 4}}}, 3.0, None, "range"),
        ({"valueRange": {"low": {"value": 2}}}, None, None, "range"),
        (
            {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 4}}},
            0.25,
            None,
            None,
        ),
        (
            {"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 0}}},
            None,
            None,
            None,
        ),
    ],
)
def test_value_of_every_type(value, number, unit, text):
    (one,) = events(lab("a", 0, None, **value))
    assert (one.value, one.unit, one.text) == (number, unit, text)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"dataAbsentReason": concept("http://x", "unknown")},
        {"valueQuantity": {"unit": "mg"}},
        {"valueQuantity": {"value": None, "comparator": "<"}},
        {"valueCodeableConcept": {}},
        {"valueString": ""},
    ],
)
def test_observation_that_gives_no_value_leaves_nothing(value):
    assert events(lab("a", 0, None, **value)) == []


def test_panel_without_a_value_leaves_its_components():
    part = {"code": concept(LOINC, "8480-6"), "valueQuantity": {"value": 128, "code": "mm[Hg]"}}
    absent = {"code": concept(LOINC, "8462-4"), "dataAbsentReason": concept("http://x", "error")}
    found = events(lab("a", 0, None, loinc="85354-9", component=[part, absent]))
    assert [(event.code, event.value) for event in found] == [("LOINC|8480-6", 128.0)]
    assert found[0].source == "Observation/a"


def test_observation_keeps_its_value_beside_its_components():
    part = {"code": concept(LOINC, "1"), "valueInteger": 1}
    assert [e.code for e in events(lab("a", 0, component=[part]))] == ["LOINC|2951-2", "LOINC|1"]


def test_absurd_date_is_counted_and_not_used():
    (one,), questionable = mapped(lab("a", 0, effectiveDateTime="0024-03-01"))
    assert one.time is None
    assert questionable == {("Observation.effective", "no FHIR date, or an absurd year"): 1}
