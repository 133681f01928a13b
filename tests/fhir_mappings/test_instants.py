"""FHIR dates and times: what they mean, and which are taken for a slip."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fhir_mappings.events import DAY, HOUR
from fhir_mappings.records.instants import as_datetime, from_datetime, parse_instant

MIDNIGHT = from_datetime(datetime(2024, 3, 1, tzinfo=UTC))


def test_time_with_an_offset_is_utc_inside_and_keeps_its_clock():
    instant = parse_instant("2024-03-01T01:30:00+01:00", "UTC")
    assert instant.at == MIDNIGHT + HOUR // 2
    assert instant.utc_offset == 60
    assert instant.last == instant.at


def test_z_is_an_offset_of_nothing():
    assert parse_instant("2024-03-01T00:00:00Z", "America/New_York") == (MIDNIGHT, 0, MIDNIGHT)


def test_fractions_of_a_second_are_kept_to_the_microsecond():
    assert parse_instant("2024-03-01T00:00:00.1234567Z", "UTC").at == MIDNIGHT + 123_456


def test_time_without_an_offset_is_read_on_the_clock_of_the_site():
    winter = parse_instant("2024-03-01T00:00:00", "America/New_York")
    summer = parse_instant("2024-07-01T00:00:00", "America/New_York")
    assert (winter.at - MIDNIGHT) // HOUR == 5
    assert (winter.utc_offset, summer.utc_offset) == (-300, -240)


def test_date_has_no_clock_and_may_mean_any_moment_of_its_day():
    instant = parse_instant("2024-03-01", "UTC")
    assert instant == (MIDNIGHT, None, MIDNIGHT + DAY - 1)


@pytest.mark.parametrize(
    ("text", "days"), [("2024", 366), ("2023", 365), ("2024-02", 29), ("2024-12", 31)]
)
def test_month_or_year_begins_on_its_first_day_and_is_past_after_its_last(text, days):
    instant = parse_instant(text, "UTC")
    assert instant.last - instant.at + 1 == days * DAY


@pytest.mark.parametrize(("text", "hours"), [("2024-03-10", 23), ("2024-11-03", 25)])
def test_day_on_which_clocks_change_is_as_long_as_it_is(text, hours):
    instant = parse_instant(text, "America/New_York")
    assert instant.last - instant.at + 1 == hours * HOUR


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-01T24:00:00Z",
        "2024-03-01T24:00:00",
        "24:00:00",
        "2024-03-01T10:61:00Z",
        "2024-02-30",
        "2024-13",
        "0000",
        "0001-01-01",
        "1066-10-14",
        "1879-12-31",
        "2301",
        "9999-12-31",
        "9999-12-31T23:59:59-14:00",
        "2024-03-01T00:00:00+25:00",
        "2024-W09-5",
        "20240301",
        "20240301T120000Z",
        "03/01/2024",
        "yesterday",
        "",
        " ",
        "2024-03-01\x00",
        "٢٠٢٤",
    ],
)
def test_what_is_no_fhir_date_or_of_an_absurd_year_is_none(text):
    assert parse_instant(text, "UTC") is None


@pytest.mark.parametrize("text", ["1880-01-01", "2201-07-04T10:00:00-04:00", "2300"])
def test_shifted_years_of_deidentified_data_are_read(text):
    assert parse_instant(text, "UTC") is not None


def test_moment_is_shown_on_the_clock_of_its_record():
    shown = as_datetime(MIDNIGHT, -300)
    assert shown == datetime(2024, 2, 29, 19, tzinfo=timezone(timedelta(hours=-5)))
    assert shown.hour == 19
    assert as_datetime(MIDNIGHT).hour == 0
    assert from_datetime(shown) == MIDNIGHT
