"""Forecasts by unit and week, on the simulated hospital with the risks that its records show."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from lived_stays import lived_stays, study_of
from scipy.stats import nbinom
from simulated_run import curve_of_returns

from fhir_mappings.events import DAY
from training.forecast.as_of import forecast_as_of
from training.forecast.forecast import count_interval, forecast
from training.forecast.overdispersion import overdispersion_of
from training.forecast.units import NOT_RECORDED, OTHER_UNITS, pooled
from training.monitoring.alerts import FORECASTS_OFF, forecast_alerts
from training.monitoring.findings import ForecastCheck
from training.monitoring.past_forecasts import check_forecasts
from training.return_times import return_curve

WEEK = 7 * DAY
LOWEST, HIGHEST = 0.93, 0.995
"""Of some 400 units and weeks 95 % leave chance between 0.93 and 0.97; counts are whole, so that
the intervals hold a little more than 95 %."""


@pytest.fixture(scope="module")
def learned():
    """The curve and the overdispersion of other patients than those that are forecast."""
    lived = lived_stays(1_500, 11)
    study = study_of(lived)
    curve = return_curve(study, resamples=20, seed=1)
    return curve, overdispersion_of(study, lived.risks, curve)


@pytest.fixture(scope="module")
def hospital():
    return lived_stays(2_500, 12)


def check(hospital, learned, **changed):
    curve, overdispersion = learned
    return check_forecasts(
        replace(hospital.stays, **changed),
        hospital.risks,
        curve=curve,
        overdispersion=overdispersion,
        until=None,
    )


def test_of_the_weeks_of_units_95_percent_are_within_their_intervals(hospital, learned):
    found = check(hospital, learned)
    assert found.unit_weeks > 300
    assert LOWEST <= found.inside / found.unit_weeks <= HIGHEST
    assert found.observed == pytest.approx(found.expected, rel=0.1)
    assert list(forecast_alerts(found)) == []


def test_so_they_are_four_weeks_ahead_when_most_discharges_are_still_to_come(hospital, learned):
    curve, overdispersion = learned
    stays = hospital.stays
    came = stays.discharged + np.nan_to_num(stays.days_to_readmission, nan=1e6) * DAY
    inside = []
    first, last = int(stays.discharged.min()) + 30 * DAY, int(stays.discharged.max()) - 4 * WEEK
    for moment in range(first, last, WEEK):
        rows, members = forecast_as_of(
            stays, hospital.risks, moment, curve=curve, overdispersion=overdispersion, weeks=4
        )
        begin = moment + 3 * WEEK
        that_week = (came > begin) & (came <= begin + WEEK)
        for row in rows:
            if row.week == 4:
                assert row.to_come > row.at_home
                of_unit = np.isin(stays.groups["site"].to_numpy(dtype=object), members[row.unit])
                inside.append(row.low <= (that_week & of_unit).sum() <= row.high)
    assert LOWEST <= np.mean(inside) <= HIGHEST


def the_year_of_a_surge(stays):
    """For ten weeks of a year a third of the patients who are at home come back at once."""
    start = int(np.median(stays.discharged))
    days = stays.days_to_readmission.copy()
    random = np.random.default_rng(1)
    in_surge = (stays.discharged > start) & (stays.discharged <= start + 10 * WEEK)
    back = in_surge & np.isnan(days) & (random.random(len(days)) < 1 / 3)
    days[back] = random.uniform(1, 10, back.sum())
    return days, start


def test_a_surge_is_an_alert_by_its_total_where_most_weeks_of_three_years_are_quiet(
    hospital, learned
):
    days, _ = the_year_of_a_surge(hospital.stays)
    found = check(hospital, learned, days_to_readmission=days)
    assert found.chance > FORECASTS_OFF > found.chance_of_total
    (alert,) = forecast_alerts(found)
    assert (alert.level, alert.about) == ("alert", "forecasts")
    assert f"{found.observed:,} came" in alert.sentence


def test_a_surge_is_an_alert_by_its_weeks_in_the_months_around_it(hospital, learned):
    days, start = the_year_of_a_surge(hospital.stays)
    around = abs(hospital.stays.discharged - start - 5 * WEEK) < 12 * WEEK
    stays = hospital.stays
    found = check_forecasts(
        replace(
            stays,
            values=stays.values[around],
            subjects=stays.subjects[around],
            discharged=stays.discharged[around],
            matured=stays.matured[around],
            outcome=stays.outcome[around],
            groups=stays.groups[around],
            days_to_readmission=days[around],
            days_to_leaving=stays.days_to_leaving[around],
        ),
        hospital.risks[around],
        curve=learned[0],
        overdispersion=learned[1],
        until=start + 12 * WEEK,
    )
    assert found.chance < FORECASTS_OFF
    assert [alert.about for alert in forecast_alerts(found)] == ["forecasts"]


def test_a_small_difference_over_a_long_time_is_no_alert():
    found = ForecastCheck(
        unit_weeks=9_000,
        inside=8_700,
        expected=50_000.0,
        observed=52_000,
        chance=1.0,
        chance_of_total=1e-18,
    )
    assert list(forecast_alerts(found)) == []
    assert len(list(forecast_alerts(msgspec.structs.replace(found, observed=56_000)))) == 1


def test_what_happened_later_does_not_reach_a_forecast(hospital, learned):
    curve, overdispersion = learned
    stays = hospital.stays
    moment = int(np.median(stays.discharged))

    def made(some):
        return forecast_as_of(
            some, hospital.risks, moment, curve=curve, overdispersion=overdispersion, weeks=4
        )

    later = stays.discharged + np.nan_to_num(stays.days_to_readmission, nan=0) * DAY > moment
    undone = replace(
        stays,
        days_to_readmission=np.where(later, np.nan, stays.days_to_readmission),
        days_to_leaving=np.where(
            stays.discharged + np.nan_to_num(stays.days_to_leaving) * DAY > moment,
            np.nan,
            stays.days_to_leaving,
        ),
    )
    assert made(undone) == made(stays)


def test_where_dates_are_shifted_or_too_few_weeks_passed_nothing_is_said(hospital, learned):
    assert check(hospital, learned, followed_until=None) is None
    soon = int(hospital.stays.discharged.min()) + 40 * DAY
    assert check(hospital, learned, followed_until=soon) is None


def test_patients_come_back_independently_unless_something_moves_many_at_once(learned):
    curve, overdispersion = learned
    assert 1 <= overdispersion < 1.3
    lived = lived_stays(1_500, 11)
    days = lived.stays.days_to_readmission.copy()
    # Every fourth month all that would have come back on days of their own come back on one.
    month = lived.stays.discharged // (30 * DAY)
    holiday = (month % 4 == 0) & ~np.isnan(days)
    at_end = ((month + 1) * 30 * DAY - lived.stays.discharged) / DAY
    days[holiday] = np.minimum(30, at_end[holiday])
    moved = lived._replace(stays=replace(lived.stays, days_to_readmission=days))
    assert overdispersion_of(study_of(moved), lived.risks, curve) > 1.5


def test_shifted_dates_and_no_curve_give_no_overdispersion(learned):
    lived = lived_stays(60, 2)
    study = study_of(lived)
    assert overdispersion_of(study, lived.risks, None) is None
    assert overdispersion_of(replace(study, calendar=False), lived.risks, learned[0]) is None


def simple(units, at_home=None, **options):
    count = len(units)
    return forecast(
        np.full(count, 0.2),
        np.linspace(0, 29, count),
        np.array(units, dtype=object),
        np.ones(count, dtype=bool) if at_home is None else at_home,
        curve=curve_of_returns(),
        **{"overdispersion": 1.0, "weeks": 2, **options},
    )


def test_a_unit_with_few_patients_is_never_shown_alone():
    rows = simple(["A"] * 30 + ["B"] * 7 + ["C"] * 5)
    assert {row.unit for row in rows} == {"A", OTHER_UNITS}
    assert {row.unit for row in simple(["A"] * 30 + ["B"] * 7)} == {"A"}
    assert simple(["A"] * 10) == ()
    few_at_home = np.arange(30) < 10
    assert simple(["A"] * 30, at_home=few_at_home) == ()


def test_those_who_are_pooled_are_counted_by_patients_at_home():
    units = np.array(["A"] * 11 + [NOT_RECORDED] * 30, dtype=object)
    at_home = np.arange(41) < 21
    assert set(pooled(units, at_home)) == {"A", None}


def test_the_weeks_of_those_at_home_add_up_to_what_is_left_of_their_risks():
    rows = simple(["A"] * 40, weeks=5)
    left = curve_of_returns().remaining(np.full(40, 0.2), np.linspace(0, 29, 40)).value
    assert sum(row.at_home for row in rows) == pytest.approx(left.sum())
    assert [row.week for row in rows] == [1, 2, 3, 4, 5]
    assert rows[4].to_come > rows[0].to_come


def test_a_steady_hospital_expects_as_many_as_are_discharged_times_their_risk():
    """Forty discharges spread over thirty days, a risk of 20 % each: 8 a month, 1.87 a week."""
    far = simple(["A"] * 40, weeks=6)[-1]
    assert far.at_home == pytest.approx(0, abs=1e-9)
    assert far.expected == pytest.approx(40 * 0.2 * 7 / 30)


def test_overdispersion_widens_the_interval_and_leaves_the_expectation():
    plain, wide = simple(["A"] * 300), simple(["A"] * 300, overdispersion=3.0)
    for one, other in zip(plain, wide, strict=True):
        assert one.expected == other.expected
        assert other.high - other.low > 1.4 * (one.high - one.low)


@pytest.mark.parametrize(("mean", "variance"), [(0.3, 0.3), (4.0, 3.0), (4.0, 9.0), (60.0, 90.0)])
def test_a_count_interval_holds_95_percent_and_no_end_could_be_left_out(mean, variance):
    low, high = count_interval(mean, variance)
    ratio = max(variance / mean, 1 + 1e-6)
    counts = nbinom(mean / (ratio - 1), 1 / ratio)
    assert counts.cdf(high) - counts.cdf(low - 1) >= 0.95 - 1e-6
    assert counts.cdf(high - 1) < 0.975 + 1e-6
    assert counts.sf(low) < 0.975 + 1e-6
    assert count_interval(0, 0) == (0, 0)
