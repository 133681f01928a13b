"""A simulated hospital is looked after: quiet where nothing changed, and loud where it did."""

from datetime import UTC, date, datetime

import msgspec
import pytest

from fhir_mappings.errors import RiskModelError, StudyError
from fhir_mappings.store import open_store
from training.findings import RunFacts
from training.monitoring.monitor import monitor
from training.monitoring.period import end_of_training
from training.study import Monitoring

LATE = date(2999, 1, 1)
MADE = datetime(2026, 1, 31, 12, tzinfo=UTC)


def report_of(hospital, model, study, **period):
    with open_store(hospital.store) as store:
        return monitor(store, hospital.profile, model, study, made=MADE, **period)


@pytest.fixture(scope="module")
def undisturbed(hospital, hospital_model, quick_study):
    return report_of(hospital, hospital_model, quick_study)


@pytest.fixture(scope="module")
def disturbed(hospital_with_another_unit, hospital_model, quick_study):
    return report_of(hospital_with_another_unit, hospital_model, quick_study)


def test_the_stays_that_the_model_was_made_from_show_no_drift(undisturbed):
    assert undisturbed.drifted == ()
    assert undisturbed.unit_changes == ()
    # It learned these very stays, so its risks of them are surer than those out of fold.
    assert {alert.about for alert in undisturbed.alerts} <= {"calibration_slope", "scores"}


def test_records_of_another_profile_than_the_models_are_named_first(
    hospital, hospital_model, quick_study, undisturbed
):
    other = msgspec.structs.replace(hospital.profile, name="elsewhere")
    found = report_of(hospital._replace(profile=other), hospital_model, quick_study)
    assert (found.alerts[0].level, found.alerts[0].about) == ("alert", "profile")
    assert "'simulated'" in found.alerts[0].sentence
    assert "'elsewhere'" in found.alerts[0].sentence
    few = report_of(hospital._replace(profile=other), hospital_model, quick_study, since=LATE)
    assert not few.enough
    assert [alert.about for alert in few.alerts] == ["profile"]
    assert "profile" not in {alert.about for alert in undisturbed.alerts}


def test_the_report_says_what_of_whom_and_that_it_is_simulated(undisturbed, hospital_model):
    assert undisturbed.made == "2026-01-31T12:00:00+00:00"
    assert undisturbed.fingerprint == hospital_model.fingerprint
    assert undisturbed.simulated
    assert 0 < undisturbed.readmissions < undisturbed.matured < undisturbed.stays
    assert undisturbed.matured == hospital_model.reference.training_stays
    assert sum(undisturbed.scores.bands.values()) == pytest.approx(1)


def test_every_attribute_counts_every_stay_once(undisturbed):
    assert {"band", "sex", "age_band", "race", "payer"} <= set(undisturbed.groups)
    for counts in undisturbed.groups.values():
        assert sum(counts.values()) == undisturbed.stays
    assert sum(undisturbed.outcomes.values()) == undisturbed.matured


def test_measures_have_intervals_and_months_add_up_to_what_is_known(undisturbed):
    assert {"auroc", "brier", "calibration_slope", "observed_to_expected"} <= set(
        undisturbed.performance
    )
    for name in ("auroc", "observed_to_expected"):
        measure = undisturbed.performance[name]
        assert measure.low < measure.value < measure.high
    assert sum(month.observed for month in undisturbed.months) == undisturbed.readmissions
    assert sum(month.stays for month in undisturbed.months) == undisturbed.matured
    assert "assumes that the model is still calibrated" in undisturbed.estimate_assumes


def test_a_laboratory_that_changes_its_unit_is_caught_and_named(disturbed):
    named = {change.feature: change for change in disturbed.unit_changes}
    change = named["haemoglobin_latest"]
    assert (change.concept, change.expected, change.probable) == ("lab.haemoglobin", "g/dL", "g/L")
    assert change.ratio == pytest.approx(10, rel=0.15)
    assert change.refused
    (alert,) = [alert for alert in disturbed.alerts if alert.about == "lab.haemoglobin"]
    assert alert.level == "alert"
    assert "times as large as in training: g/dL -> g/L?" in alert.sentence
    assert "haemoglobin_latest" in alert.sentence
    assert "laboratory" in alert.look_at


def test_only_inputs_of_that_laboratory_value_have_drifted(disturbed):
    assert disturbed.drifted
    assert {drift.name.partition("_")[0] for drift in disturbed.drifted} == {"haemoglobin"}
    assert {change.concept for change in disturbed.unit_changes} == {"lab.haemoglobin"}


def test_a_short_period_says_nothing_but_that_it_is_short(hospital, hospital_model, quick_study):
    report = report_of(hospital, hospital_model, quick_study, since=date(2024, 12, 20))
    assert 0 < report.stays < quick_study.monitoring.fewest_stays
    assert not report.enough
    assert report.scores is None
    assert report.alerts == ()
    assert report.performance == report.estimate == {}


def test_an_empty_period_is_a_short_one_even_if_no_stay_is_asked_for(
    hospital, hospital_model, quick_study
):
    study = msgspec.structs.replace(quick_study, monitoring=Monitoring(fewest_stays=0))
    report = report_of(hospital, hospital_model, study, since=date(2030, 1, 1))
    assert (report.stays, report.enough, report.first_discharge) == (0, False, None)


def test_a_period_holds_the_discharges_from_its_beginning_and_before_its_end(
    hospital, hospital_model, quick_study, undisturbed
):
    middle = date(2023, 6, 1)
    before = report_of(hospital, hospital_model, quick_study, until=middle)
    after = report_of(hospital, hospital_model, quick_study, since=middle)
    assert before.stays + after.stays == undisturbed.stays
    assert before.last_discharge < middle.isoformat() <= after.first_discharge


def test_outcomes_that_are_not_on_record_yet_are_estimated_and_not_measured(
    hospital, hospital_model, quick_study
):
    report = report_of(
        hospital,
        hospital_model,
        quick_study,
        since=date(2023, 1, 1),
        followed_until=datetime(2023, 1, 2, tzinfo=UTC),
    )
    assert (report.matured, report.readmissions) == (0, 0)
    assert report.performance == {}
    assert report.months == ()
    assert 0.5 < report.estimate["auroc"].value < 1
    assert report.estimate["readmission_rate"].value == pytest.approx(report.scores.mean)


def test_where_dates_are_shifted_a_period_is_refused_and_every_outcome_counts(
    hospital, hospital_model, quick_study
):
    shifted = hospital._replace(profile=msgspec.structs.replace(hospital.profile, calendar=False))
    with pytest.raises(StudyError, match="shifts dates per patient"):
        report_of(shifted, hospital_model, quick_study, since=date(2024, 1, 1))
    report = report_of(shifted, hospital_model, quick_study)
    assert report.matured == report.stays
    assert report.first_discharge is None
    assert report.months == ()


def test_a_period_that_ends_before_it_begins_is_refused(hospital, hospital_model, quick_study):
    with pytest.raises(StudyError, match="ends before"):
        report_of(
            hospital,
            hospital_model,
            quick_study,
            since=date(2024, 1, 2),
            until=date(2024, 1, 1),
        )


def test_the_end_of_training_is_what_the_run_says(tmp_path):
    model = tmp_path / "model"
    assert end_of_training(model) is None
    facts = RunFacts(
        study_name="", study_sha256="", data_fingerprint="", code_version="", seed=1,
        profile="simulated", simulated=True, horizon_days=30, calendar=True, split="",
        train_stays=1, train_patients=1, train_readmissions=1, first_discharge="2022-01-01",
        last_discharge="2024-12-31", features=1, features_used=1, trees=1, packages={},
    )  # fmt: skip
    (tmp_path / "run.json").write_bytes(msgspec.json.encode(facts))
    assert end_of_training(model) == date(2024, 12, 31)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RiskModelError, match=r"run\.json"):
        end_of_training(model)
