"""Measures: how the events of a window become one number."""

import math

import pytest
from records import encounter, lab, moment, timeline

from fhir_mappings.features.declaration import Measure
from fhir_mappings.features.measures import MEASURES, days_since


def sodium(*points):
    """Sodium results: (day, value), or a day alone for one without a usable value."""
    records = [
        lab(str(place), *(point if isinstance(point, tuple) else (point, 1.0)), unit=unit)
        for place, (point, unit) in enumerate(
            (point, "mmol/L" if isinstance(point, tuple) else "grains") for point in points
        )
    ]
    return timeline(*records).series("lab.sodium").events if records else []


RISING = [(0, 130.0), (1, 134.0), (2, 132.0), (4, 138.0)]


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("count", 4.0),
        ("distinct", 1.0),
        ("present", 1.0),
        ("latest", 138.0),
        ("first", 130.0),
        ("minimum", 130.0),
        ("maximum", 138.0),
        ("mean", 133.5),
        ("sum", 534.0),
        ("change", 8.0),
        ("slope", 62 / 35),
    ],
)
def test_measure_of_a_series(measure, value):
    assert MEASURES[measure](sodium(*RISING)) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_recorded_counts_nothing_and_measures_nothing(measure):
    value = MEASURES[measure]([])
    if measure in ("count", "distinct", "present", "sum"):
        assert value == 0.0
    else:
        assert math.isnan(value)


@pytest.mark.parametrize("measure", ["latest", "first", "minimum", "maximum", "mean", "slope"])
def test_record_without_a_usable_value_is_passed_by(measure):
    assert MEASURES[measure](sodium(-1, *RISING, 9)) == MEASURES[measure](sodium(*RISING))


def test_record_without_a_usable_value_is_still_a_record():
    assert MEASURES["count"](sodium(0, 1)) == 2.0
    assert MEASURES["present"](sodium(0)) == 1.0
    assert math.isnan(MEASURES["latest"](sodium(0)))


@pytest.mark.parametrize("measure", ["change", "slope"])
def test_one_value_is_no_course(measure):
    assert math.isnan(MEASURES[measure](sodium((0, 140.0))))


def test_values_of_one_moment_have_no_slope():
    assert math.isnan(MEASURES["slope"](sodium((0, 140.0), (0, 150.0))))


def test_slope_is_in_units_a_day():
    assert MEASURES["slope"](sodium((0, 140.0), (0.5, 141.0))) == pytest.approx(2.0)


def test_components_of_one_record_count_once():
    part = {"code": {"coding": [{"system": "http://loinc.org", "code": "2947-0"}]}}
    part["valueQuantity"] = {"value": 139.0, "code": "mmol/L"}
    events = timeline(lab("a", 0, component=[part])).series("lab.sodium").events
    assert MEASURES["count"](events) == 1.0
    assert MEASURES["distinct"](events) == 2.0


def test_days_since_the_last_record():
    assert days_since(sodium(*RISING), moment(7)) == 3.0
    assert math.isnan(days_since([], moment(7)))


def test_days_since_a_visit_are_counted_from_its_end():
    visits = timeline(encounter("a", 0, 5), encounter("b", 1, 2)).series("kind:encounter").events
    assert days_since(visits, moment(7)) == 2.0


def test_end_that_lies_ahead_does_not_count():
    visits = timeline(encounter("a", 0, 5)).series("kind:encounter").events
    assert days_since(visits, moment(3)) == 3.0


def test_every_declared_measure_is_computed():
    of_the_view = {"age", "sex", "stay", "weighted", "days_since"}
    assert set(Measure.__args__) == set(MEASURES) | of_the_view
