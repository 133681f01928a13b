"""Risks that age: what is left of a risk after days at home, and the curve that says so."""

import hashlib

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_run import curve_of_returns

from fhir_mappings.errors import RiskModelError
from training.return_curve import ReturnCurve
from training.return_times import FEWEST_READMISSIONS, return_curve
from training.risk_model import RiskModel, load_risk_model

HORIZON = 30
probabilities = st.floats(0, 1)
days_at_home = st.floats(0, 40)


@st.composite
def curves(draw):
    """Any curve: steps, standstills, everything on one day, many who leave otherwise."""

    def rising(last):
        steps = draw(st.lists(st.floats(0, 1), min_size=HORIZON, max_size=HORIZON))
        total = sum(steps) or 1.0
        shares = np.clip(np.concatenate([[0], np.cumsum(steps) / total]), 0, 1) * last
        shares[-1] = last
        return tuple(np.maximum.accumulate(shares).tolist())

    returned = rising(1.0)
    lower = tuple(share**2 for share in returned)
    higher = tuple(share**0.5 for share in returned)
    left = rising(draw(st.floats(0, 1)))
    return ReturnCurve(returned=returned, low=lower, high=higher, left=left, readmissions=100)


@settings(max_examples=100, deadline=None)
@given(curve=curves(), p=probabilities, one=days_at_home, other=days_at_home)
def test_what_is_left_falls_with_the_days_and_never_exceeds_the_risk(curve, p, one, other):
    early, late = sorted((one, other))
    found = curve.remaining([p, p], [early, late])
    for each in found:
        assert 0 <= each[1] <= each[0] + 1e-12
        assert each[0] <= p + 1e-12
    assert np.all(found.low <= found.value + 1e-12)
    assert np.all(found.value <= found.high + 1e-12)


@settings(max_examples=100, deadline=None)
@given(curve=curves(), one=probabilities, other=probabilities, day=days_at_home)
def test_of_two_patients_on_the_same_day_the_one_with_the_higher_risk_keeps_it(
    curve, one, other, day
):
    lower, higher = sorted((one, other))
    found = curve.remaining([lower, higher], day).value
    assert found[0] <= found[1] + 1e-12


@settings(max_examples=100, deadline=None)
@given(curve=curves(), p=probabilities, beyond=st.floats(0, 1e6))
def test_the_whole_risk_is_there_at_discharge_and_nothing_after_the_horizon(curve, p, beyond):
    assert curve.remaining(p, 0).value == pytest.approx(p)
    assert curve.remaining(p, -3).value == pytest.approx(p)
    assert curve.remaining(p, HORIZON + beyond).value == 0
    assert curve.remaining(p, HORIZON + beyond).high == 0


@settings(max_examples=100, deadline=None)
@given(curve=curves(), p=probabilities, now=days_at_home)
def test_the_weeks_to_come_add_up_to_what_is_left(curve, p, now):
    until = now + np.array([0, 7, 14, 21, 60])
    sums = curve.returning(np.full(5, p), np.full(5, now), until)
    assert sums[0] == 0
    assert np.all(np.diff(sums) >= -1e-12)
    assert sums[-1] == pytest.approx(curve.remaining(p, now).value, abs=1e-12)


def test_without_other_ends_it_is_p_times_1_minus_f_over_1_minus_p_f():
    curve = msgspec.structs.replace(curve_of_returns(), left=(0.0,) * 31)
    p, day = np.array([0.05, 0.2, 0.6]), 7
    come = curve.returned[day]
    expected = p * (1 - come) / (1 - p * come)
    np.testing.assert_allclose(curve.remaining(p, day).value, expected, atol=1e-12)


@pytest.mark.parametrize("day", [1, 3, 7, 14, 21, 28])
def test_it_is_the_share_of_those_still_at_home_who_come_back_later(day):
    """Brute force: a million simulated patients, of whom some die or come back as planned."""
    random = np.random.default_rng(day)
    p = random.choice([0.08, 0.25, 0.5], 1_000_000)
    curve = curve_of_returns()
    readmitted = random.random(len(p)) < p
    come = np.interp(random.random(len(p)), curve.returned, np.arange(31))
    gone = np.interp(random.random(len(p)), curve.left, np.arange(31), right=np.inf)
    at_home = np.where(readmitted, come, gone) > day
    for each in np.unique(p):
        some = at_home & (p == each)
        share = readmitted[some].mean()
        error = 4 * np.sqrt(share * (1 - share) / some.sum())
        assert curve.remaining(each, day).value == pytest.approx(share, abs=error)


def dated(make_study, stays, **options):
    """Simulated stays with the days of their readmissions, early as at the simulated hospital."""
    study = make_study(stays, **options)
    random = np.random.default_rng(5)
    days = np.clip(random.exponential(9, len(study)), 0.1, 30)
    left = np.where(random.random(len(study)) < 0.04, random.uniform(0, 30, len(study)), np.nan)
    study.stays["days_to_readmission"] = np.where(study.outcome, days, np.nan)
    study.stays["days_to_leaving"] = np.where(study.outcome, np.nan, left)
    return study


def test_the_curve_is_what_happened_counted(make_study):
    study = dated(make_study, 3_000)
    curve = return_curve(study, resamples=200, seed=1)
    days = study.stays["days_to_readmission"].to_numpy()[study.outcome]
    assert curve.readmissions == study.outcome.sum()
    for day in (1, 7, 20):
        assert curve.returned[day] == pytest.approx((days <= day).mean())
        assert curve.low[day] < curve.returned[day] < curve.high[day]
    left = study.stays["days_to_leaving"].to_numpy()[~study.outcome]
    assert curve.left[30] == pytest.approx((left <= 30).mean())


def test_ten_times_the_patients_know_the_days_three_times_as_well(make_study):
    width = {}
    for stays in (600, 6_000):
        curve = return_curve(dated(make_study, stays), resamples=200, seed=1)
        width[stays] = curve.high[7] - curve.low[7]
    assert width[600] / width[6_000] == pytest.approx(np.sqrt(10), rel=0.35)


def test_the_same_stays_give_the_same_curve_to_the_byte(make_study):
    made = [return_curve(dated(make_study, 1_000).ordered(), resamples=50, seed=3) for _ in "ab"]
    assert msgspec.json.encode(made[0]) == msgspec.json.encode(made[1])


def test_too_few_readmissions_or_none_with_a_day_give_no_curve(make_study):
    study = dated(make_study, 400)
    assert return_curve(make_study(400), resamples=10, seed=1) is None
    days = study.stays["days_to_readmission"].to_numpy(copy=True)
    days[np.flatnonzero(study.outcome)[FEWEST_READMISSIONS - 1 :]] = np.nan
    study.stays["days_to_readmission"] = days
    assert return_curve(study, resamples=10, seed=1) is None


@pytest.mark.parametrize(
    "change",
    [
        {"returned": (0.0, 1.0)},
        {"returned": (0.1, *curve_of_returns().returned[1:])},
        {"left": (0.5, *curve_of_returns().left[1:])},
        {"high": (*curve_of_returns().high[:-1], 1.5)},
        {"low": (float("nan"),) * 31},
    ],
)
def test_a_curve_that_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match="curve of returns"):
        msgspec.structs.replace(curve_of_returns(), **change)


def aging(model: RiskModel, curve: ReturnCurve | None) -> RiskModel:
    reference = msgspec.structs.replace(model.reference, returns=curve)
    return RiskModel(
        booster=None,
        features=model.features,
        calibration=model.calibration,
        reference=reference,
        name=model.name,
        version=model.version,
        run_id=None,
        fingerprint=model.fingerprint,
    )


def test_a_model_gives_the_risk_that_is_left_with_its_interval(risk_model):
    model = aging(risk_model, curve_of_returns())
    start, week, over = (model.remaining_risk(0.3, day) for day in (0, 7, 30))
    assert (start.value, start.low, start.high) == pytest.approx((0.3, 0.3, 0.3))
    assert week.low < week.value < week.high < 0.3
    assert (over.value, over.low, over.high) == (0, 0, 0)
    many = model.remaining_risks([0.3, 0.1], [7, 7])
    assert many.value[0] == week.value
    assert many.high[1] < week.low


def test_a_model_from_before_the_curve_was_kept_loads_and_says_nothing(save, tmp_path):
    save(tmp_path / "model")
    path, manifest = tmp_path / "model/reference.json", tmp_path / "model/manifest.json"
    reference = msgspec.json.decode(path.read_bytes())
    del reference["returns"], reference["overdispersion"]
    path.write_bytes(msgspec.json.encode(reference))
    listed = msgspec.json.decode(manifest.read_bytes())
    listed["files"]["reference.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_bytes(msgspec.json.encode(listed))
    model = load_risk_model(tmp_path / "model")
    assert model.reference.returns is None
    assert model.remaining_risk(0.3, 7) == model.remaining_risk(0.3, 0)
    assert model.remaining_risk(0.3, 7).value is None
    assert np.isnan(model.remaining_risks([0.3, 0.4], 7).value).tolist() == [True, True]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon_days": 14}, "another horizon"),
        ({"overdispersion": 0.5}, "overdispersion"),
        ({"returns": {"returned": [0.0, 0.5]}}, "reference.json"),
    ],
)
def test_a_curve_that_does_not_belong_to_the_model_is_refused(save, tmp_path, change, words):
    save(tmp_path / "model")
    path, manifest = tmp_path / "model/reference.json", tmp_path / "model/manifest.json"
    reference = msgspec.json.decode(path.read_bytes())
    reference["returns"] = msgspec.to_builtins(curve_of_returns())
    path.write_bytes(msgspec.json.encode(reference | change))
    listed = msgspec.json.decode(manifest.read_bytes())
    listed["files"]["reference.json"] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest.write_bytes(msgspec.json.encode(listed))
    with pytest.raises(RiskModelError, match=words):
        load_risk_model(tmp_path / "model")
