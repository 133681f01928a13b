"""Dates told to the year, or moved with all that lies between them; and nobody over 89."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.deidentification.dates import Calendar, Dates, Span
from fhir_mappings.deidentification.measurements import quantity, whole_number
from fhir_mappings.deidentification.pseudonyms import Pseudonyms

moments = st.datetimes(datetime.fromisoformat("1990-01-01"), datetime.fromisoformat("2100-01-01"))
weeks = st.integers(-52, 52).filter(bool)
births = st.dates(date(1900, 1, 1), date(2024, 1, 1))
latests = st.dates(date(2024, 1, 1), date(2025, 12, 31))


def shifted(weeks: int, span: Span | None = None) -> Calendar:
    return Calendar(Dates.SHIFTED, weeks, span or Span())


@given(moments, moments, weeks)
def test_intervals_order_weekday_and_time_of_day_stay(first, second, by):
    calendar = shifted(by)
    told = [calendar.moment(each.isoformat() + "-05:00") for each in (first, second)]
    a, b = (datetime.fromisoformat(each).replace(tzinfo=None) for each in told)
    assert b - a == second - first
    assert (a.weekday(), a.time()) == (first.weekday(), first.time())
    assert a != first


@given(moments, moments, weeks)
def test_what_is_coarser_than_a_day_stays_so_and_in_order(first, second, by):
    for length in (4, 7):
        written = [each.isoformat()[:length] for each in sorted((first, second))]
        told = [shifted(by).moment(each) for each in written]
        assert [len(each) for each in told] == [length, length]
        assert told == sorted(told)


@given(births, latests, weeks, st.sampled_from(Dates))
def test_nobody_can_be_told_to_be_older_than_ninety(birth, latest, by, dates):
    calendar = Calendar(dates, by, Span(birth, latest))
    told, pooled = calendar.birth(birth.isoformat())
    last = calendar.moment(latest.isoformat())
    assert int(last[:4]) - int(told[:4]) <= 90
    older = Calendar(dates, by, Span(date(1880, 6, 1), latest)).birth("1880-06-01")[0]
    age = latest.year - birth.year - ((latest.month, latest.day) < (birth.month, birth.day))
    if age >= 90:
        assert pooled
        assert told == older, "a hundred years old and ninety are told alike"
    if latest.year - birth.year < 89:
        assert not pooled


@given(st.dates(date(1900, 1, 1), date(2024, 12, 31)), latests, weeks, st.sampled_from(Dates))
def test_no_date_reaches_back_over_ninety_years(day, latest, by, dates):
    calendar = Calendar(dates, by, Span(None, latest))
    told = calendar.moment(day.isoformat())
    if told is not None:
        assert int(calendar.moment(latest.isoformat())[:4]) - int(told[:4]) <= 90
    elif latest.year - day.year < 90:
        pytest.fail("a date that tells no age was dropped")


def test_of_several_birth_dates_the_earliest_makes_the_age():
    calendar = Calendar(Dates.YEAR, 1, Span(date(1920, 1, 1), date(2024, 1, 1)))
    assert calendar.birth("1950-01-01") == ("1934", True)


@pytest.mark.parametrize("text", ["2024-03-01", "2024-03-01T10:00:00Z", "2024-03", "2024"])
def test_a_year_is_a_year(text):
    assert Calendar(Dates.YEAR, 5, Span()).moment(text) == "2024"


@pytest.mark.parametrize(
    "text", ["", "spring of 2024", "2024-02-30", "9999-12-31", 2024, None, ["2024"], "2024-W10-1"]
)
def test_what_is_no_date_is_none(text):
    for dates in Dates:
        calendar = Calendar(dates, 5, Span())
        assert calendar.moment(text) is None
        assert calendar.instant(text) is None
        assert calendar.birth(text) == (None, False)


def test_an_instant_has_no_year_of_its_own():
    assert Calendar(Dates.YEAR, 5, Span()).instant("2024-03-01T10:00:00Z") is None
    assert shifted(1).instant("2024-03-01T10:00:00Z") == "2024-03-08T10:00:00Z"


def test_a_date_that_means_no_end_does_not_tell_the_move():
    calendar = shifted(-3, Span(None, date(2024, 6, 1)))
    assert calendar.planned("2099-12-31") is None
    assert calendar.planned("2024-09-01") == "2024-08-11"
    assert calendar.calendar_date("2024-01-01") == "2023"


@given(st.text(min_size=1, max_size=20))
def test_every_patient_moves_by_one_to_fifty_two_weeks(patient):
    moves = Pseudonyms(bytes(32), b"").weeks(patient)
    assert 1 <= abs(moves) <= 52
    first, second = date(2024, 1, 1), date(2024, 1, 1) + timedelta(weeks=moves)
    assert abs((second - first).days) <= 364


def test_patients_move_differently_and_every_move_occurs():
    names = Pseudonyms(bytes(32), b"")
    assert {names.weeks(str(number)) for number in range(3000)} == {*range(-52, 53)} - {0}


@given(st.floats(0, 200), st.sampled_from([("a", 1), ("mo", 12), ("d", 365.25)]))
def test_ages_over_eighty_nine_are_one_age(years, unit):
    code, parts = unit
    kept = quantity({"value": years * parts, "code": code}, is_age=True)
    assert kept is not None
    told = kept["value"] / {"a": 1, "mo": 12, "d": 365.25}[kept["code"]]
    assert told <= 90
    if years < 89.9:
        assert kept["value"] == years * parts
    assert whole_number(int(years), is_age=True) == min(int(years), 90)


@pytest.mark.parametrize(
    "value",
    [
        {"value": 5, "unit": "Quillfeathers"},
        {"value": "5", "unit": "mg/dL"},
        {"value": True, "unit": "mg/dL"},
        {"value": 123456789, "unit": "mg/dL"},
        {"value": 5550147},
        {"unit": "mg/dL"},
        "5 mg/dL",
    ],
)
def test_a_number_that_is_no_measurement_is_none(value):
    assert quantity(value) is None
