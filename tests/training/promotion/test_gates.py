"""The gates: what each lets through, what it stops, and what it says it could not judge."""

import pytest
from promotion_runs import GOOD, group, grouping

from training.findings import Fairness, LeakageAudit, LeakFinding
from training.promotion.gates import InUse, allowed, judge
from training.risk_model import Interval
from training.study import Gates, Study, Waiver

CHAMPION = InUse("4", "ef" * 32)


def stopped(run, **options) -> dict[str, str]:
    """The gates that were not passed, and why."""
    results = judge(run.folder, Study(), **options)
    return {one.gate: " ".join(one.failures) for one in results if not one.passed}


def test_a_model_that_shows_what_it_must_passes_and_what_was_measured_is_said(make_run):
    results = judge(make_run().folder, Study(), champion=CHAMPION)
    assert allowed(results)
    told = " ".join(sentence for one in results for sentence in one.sentences)
    assert "AUROC 0.710 (0.670 to 0.750)" in told
    assert "the model in use (version 4)" in told
    unjudged = " ".join(sentence for one in results for sentence in one.unjudged)
    assert "Race: the records do not say it" in unjudged
    assert "refit" in unjudged


@pytest.mark.parametrize(
    ("gate", "measures", "told"),
    [
        ("discrimination", {"auroc": Interval(0.71, 0.58, 0.8)}, "reach below 0.6"),
        ("discrimination", {"auroc": Interval(0.9, 0.88, 0.92)}, "leakage until shown otherwise"),
        ("discrimination", {"auroc": Interval(0.7, None, None)}, "no interval"),
        ("calibration", {"calibration_slope": Interval(0.7, 0.5, 0.9)}, "slope 0.70"),
        ("calibration", {"calibration_slope": Interval(1.3, 1.0, 1.6)}, "slope 1.30"),
        ("calibration", {"calibration_intercept": Interval(-0.4, -0.6, -0.2)}, "\u22120.40"),
        ("calibration", {"calibration_slope": Interval(None, None, None)}, "not be estimated"),
    ],
)
def test_a_measure_outside_what_the_study_asks_stops_the_model(make_run, gate, measures, told):
    run = make_run()
    run.change("evaluation.json", model={**GOOD, **measures})
    assert list(stopped(run)) == [gate]
    assert told in stopped(run)[gate]


def test_too_few_readmissions_stop_a_model_however_good_it_looks(make_run):
    run = make_run()
    run.change("evaluation.json", readmissions=49)
    assert "49 readmissions" in stopped(run)["discrimination"]
    run.change("evaluation.json", readmissions=50)
    assert stopped(run) == {}


def test_a_peer_stops_a_model_that_is_clearly_behind_it_and_not_one_that_may_be(make_run):
    run = make_run()
    level = {"auroc": Interval(-0.02, -0.05, 0.01)}
    behind = {"auroc": Interval(-0.05, -0.08, -0.02)}
    run.change("evaluation.json", differences={"lace": level, "hospital": level})
    assert stopped(run) == {}
    run.change("evaluation.json", differences={"lace": level, "hospital": behind})
    assert "HOSPITAL" in stopped(run)["discrimination"]
    run.change("evaluation.json", differences={"lace": level})
    assert "not compared with HOSPITAL" in stopped(run)["discrimination"]


def test_the_champion_compared_must_be_the_one_in_use(make_run):
    run = make_run()
    run.change("run.json", champion_sha256="ef" * 32)
    assert stopped(run, champion=CHAMPION) == {}
    run.change("run.json", champion_sha256="12" * 32)
    assert "no longer in use" in stopped(run, champion=CHAMPION)["discrimination"]
    assert stopped(run) == {}


def test_a_gate_says_where_the_champion_may_know_the_patients_of_the_test(make_run):
    run = make_run()
    behind = {"auroc": Interval(-0.05, -0.08, -0.02)}
    run.change("evaluation.json", differences={"champion": behind})
    run.change("run.json", champion_sha256="ef" * 32, champion_unseen=False)
    assert "may have learned from" in stopped(run, champion=CHAMPION)["discrimination"]
    run.change("run.json", champion_unseen=True)
    assert "may have learned from" not in stopped(run, champion=CHAMPION)["discrimination"]
    run.change("run.json", champion_sha256=None, champion_unseen=None)
    run.change("evaluation.json", differences={})
    told = stopped(run, champion=CHAMPION)["discrimination"]
    assert "not compared with the model in use" in told
    assert "may have learned from" not in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gaps": {"auroc": Interval(-0.12, -0.18, -0.06)}}, "AUROC"),
        ({"gaps": {"sensitivity": Interval(-0.2, -0.3, -0.11)}}, "sensitivity"),
        ({"measures": {"calibration_intercept": Interval(0.6, 0.4, 0.8)}}, "intercept"),
        ({"measures": {"calibration_intercept": Interval(-0.6, -0.8, -0.4)}}, "intercept"),
    ],
)
def test_a_group_that_is_clearly_worse_served_stops_the_model(make_run, changes, told):
    run = make_run()
    groups = (group("Asian", **changes), group("White"))
    run.write("fairness.json", Fairness(11, (grouping("race", *groups),), ()))
    found = stopped(run)
    assert list(found) == ["subgroup"]
    assert "Race: Asian" in found["subgroup"]
    assert told in found["subgroup"]
    assert "White" not in found["subgroup"]


def test_the_young_are_found_less_often_at_one_threshold_and_that_alone_stops_nothing(make_run):
    run = make_run()
    young = group("18 to 44", gaps={"sensitivity": Interval(-0.3, -0.4, -0.2)})
    run.write("fairness.json", Fairness(11, (grouping("age_band", young),), ()))
    assert stopped(run) == {}
    worse = group("18 to 44", gaps={"auroc": Interval(-0.3, -0.4, -0.2)})
    run.write("fairness.json", Fairness(11, (grouping("age_band", worse),), ()))
    assert "Age: 18 to 44" in stopped(run)["subgroup"]


def test_a_group_that_may_be_worse_served_does_not_and_a_suppressed_one_is_said(make_run):
    run = make_run()
    groups = (
        group("Asian", gaps={"auroc": Interval(-0.12, -0.3, 0.02)}),
        group("White", suppressed=True, stays=None, readmissions=None, measures={}, gaps={}),
    )
    run.write("fairness.json", Fairness(11, (grouping("race", *groups),), ()))
    results = judge(run.folder, Study())
    assert allowed(results)
    unjudged = results[2].unjudged
    assert any("White: too few" in sentence for sentence in unjudged)
    assert any("Asian: no interval for sensitivity" in sentence for sentence in unjudged)


def test_where_no_group_can_be_judged_fairness_is_not_shown(make_run):
    run = make_run()
    run.write("fairness.json", Fairness(11, (), ("sex", "race")))
    assert "no group could be judged" in stopped(run)["subgroup"]


def test_a_leak_stops_the_model_by_the_name_of_its_feature(make_run):
    run = make_run()
    leak = LeakFinding("f3", "implausible_alone", Interval(0.8, 0.7, 0.9), "f3 alone has 0.80")
    run.write("leakage.json", LeakageAudit(10, 0.75, (), (leak,)))
    assert stopped(run) == {"leakage": "f3 alone has 0.80"}


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("evaluation.json", {"discrimination", "calibration"}),
        ("fairness.json", {"subgroup"}),
        ("leakage.json", {"leakage"}),
        ("run.json", {"reproducibility"}),
        ("study.json", {"reproducibility"}),
        ("model/model.ubj", {"reproducibility"}),
    ],
)
def test_what_is_absent_or_damaged_is_not_passed(make_run, name, gates):
    run = make_run()
    (run.folder / name).write_bytes(b'{"odd": 1')
    assert set(stopped(run)) == gates
    (run.folder / name).unlink()
    assert set(stopped(run)) == gates


def test_another_study_or_other_data_than_the_run_names_are_not_reproducible(make_run):
    run = make_run()
    run.write("study.json", Study(seed=5))
    assert "study" in stopped(run)["reproducibility"]
    run = make_run(name="other")
    run.change("run.json", data_fingerprint="1" * 64)
    assert "data" in stopped(run)["reproducibility"]


@pytest.mark.parametrize("about", ["race: Asian", "Race: Asian"])
def test_a_waiver_may_name_a_group_as_the_study_or_as_the_refusal_does(make_run, about):
    run = make_run()
    behind = group("Asian", gaps={"auroc": Interval(-0.12, -0.18, -0.06)})
    run.write("fairness.json", Fairness(11, (grouping("race", behind),), ()))
    waiver = Waiver(
        gate="subgroup",
        about=about,
        reason="Records arrive from March on.",
        by="Dr Simulated",
    )
    results = judge(run.folder, Study(gates=Gates(waivers=(waiver,))))
    assert allowed(results)
    assert results[2].waivers == (waiver,)
