"""Promotion, refusal and rollback: one model in use, and a record that says why."""

import stat

import pytest
from promotion_runs import group, grouping, recorded

from fhir_mappings.errors import PromotionError, RiskModelError
from training import tracking
from training.findings import Fairness
from training.promotion import history, promote, recover, rollback, verify
from training.risk_model import Interval, champion, read_champion
from training.study import Gates, Study, Waiver

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


def in_use(mlruns) -> set[str]:
    """Every version that anything names as the one in use: record, alias, note."""
    aliased = {one.version for one in tracking.versions(mlruns) if "champion" in one.aliases}
    return {read_champion(mlruns).version, history(mlruns)[-1].version, *aliased}


def test_the_first_model_is_used_at_once_and_the_second_only_once_it_is_promoted(mlruns, make_run):
    first = recorded(mlruns, make_run())
    second = recorded(mlruns, make_run(name="2"), number="2")
    assert (first.alias, second.alias) == ("champion", "challenger")
    assert in_use(mlruns) == {"1"}
    decision = promote(mlruns, "2", by="Dr Simulated")
    assert decision.promoted
    assert (decision.before, decision.champion) == ("1", "2")
    assert in_use(mlruns) == {"2"}
    assert champion(mlruns).run_id == second.run_id
    entries = verify(mlruns).entries
    assert [(entry.action, entry.version) for entry in entries] == [
        ("first", "1"),
        ("promote", "2"),
    ]
    assert entries[1].by == "Dr Simulated"
    assert entries[1].manifest_sha256 == champion(mlruns).fingerprint
    assert entries[1].study_sha256 == Study().digest()
    assert entries[1].data_fingerprint == "0" * 64
    assert [gate.gate for gate in entries[1].gates] == [
        "discrimination",
        "calibration",
        "subgroup",
        "leakage",
        "reproducibility",
    ]


def test_the_first_model_is_provisional_until_it_has_passed_the_gates(mlruns, make_run):
    run = make_run()
    run.change("evaluation.json", readmissions=12)
    registered = recorded(mlruns, run)
    assert registered.alias == "champion"
    assert registered.provisional
    (reign,) = history(mlruns)
    assert reign.provisional
    assert any("12 readmissions" in reason for reason in reign.reasons)
    assert not promote(mlruns, "1").promoted
    assert [reign.provisional for reign in history(mlruns)] == [True]
    lenient = Study(gates=Gates(fewest_test_readmissions=10))
    assert promote(mlruns, "1", study=lenient).promoted
    assert [reign.provisional for reign in history(mlruns)] == [True, False]


def test_a_model_that_fails_a_gate_is_refused_and_the_refusal_is_on_record(mlruns, make_run):
    recorded(mlruns, make_run())
    behind = group("Asian", gaps={"auroc": Interval(-0.2, -0.3, -0.1)})
    run = make_run(name="behind")
    run.write("fairness.json", Fairness(11, (grouping("race", behind),), ()))
    recorded(mlruns, run, study="behind")
    decision = promote(mlruns, "2", by="Dr Simulated")
    assert not decision.promoted
    assert decision.champion == "1"
    assert in_use(mlruns) == {"1"}
    last = verify(mlruns).entries[-1]
    assert (last.action, last.version, last.by) == ("refuse", "2", "Dr Simulated")
    assert any("Race: Asian" in reason and "\u22120.200" in reason for reason in last.reasons)


def test_a_written_waiver_lets_a_group_through_by_name_and_is_on_record(mlruns, make_run):
    recorded(mlruns, make_run())
    behind = group("Asian", gaps={"auroc": Interval(-0.2, -0.3, -0.1)})
    run = make_run(name="behind")
    run.write("fairness.json", Fairness(11, (grouping("race", behind),), ()))
    recorded(mlruns, run, study="behind")
    waiver = Waiver(
        gate="subgroup",
        about="race: Asian",
        reason="used for women alone until the next study",
        by="Ethics board",
    )
    other = Waiver(gate="subgroup", about="race: White", reason="x" * 20, by="Ethics board")
    assert not promote(mlruns, "2", study=Study(gates=Gates(waivers=(other,)))).promoted
    decision = promote(mlruns, "2", study=Study(gates=Gates(waivers=(waiver,))))
    assert decision.promoted
    assert "Ethics board" in " ".join(decision.entry.reasons)
    assert decision.entry.study_sha256 != Study().digest()


def test_rolling_back_twice_goes_two_models_back_and_not_to_the_one_just_left(mlruns, make_run):
    for number in ("1", "2", "3"):
        recorded(mlruns, make_run(name=number), number=number)
    promote(mlruns, "2")
    promote(mlruns, "3")
    assert rollback(mlruns, by="Dr Simulated", reason="too many alerts").champion == "2"
    assert rollback(mlruns, reason="still too many").champion == "1"
    assert in_use(mlruns) == {"1"}
    with pytest.raises(PromotionError, match="no other model"):
        rollback(mlruns, reason="further")
    assert rollback(mlruns, reason="it was the drug list after all", to="3").champion == "3"
    assert [reign.version for reign in history(mlruns)] == ["1", "2", "3", "2", "1", "3"]
    reigns = history(mlruns)
    assert [reign.until for reign in reigns] == [*(reign.since for reign in reigns[1:]), None]
    assert (reigns[3].by, reigns[3].reasons) == ("Dr Simulated", ("too many alerts",))


def test_a_version_that_was_never_in_use_is_promoted_and_not_rolled_back_to(mlruns, make_run):
    recorded(mlruns, make_run())
    recorded(mlruns, make_run(name="2"), number="2")
    with pytest.raises(PromotionError, match="never in use"):
        rollback(mlruns, reason="try it", to="2")
    with pytest.raises(PromotionError, match="a reason"):
        rollback(mlruns, reason=" ", to="1")
    with pytest.raises(RiskModelError, match="no version 9"):
        promote(mlruns, "9")
    assert len(verify(mlruns).entries) == 1


def test_a_damaged_model_in_use_can_be_left_but_not_gone_back_to(mlruns, make_run):
    first = recorded(mlruns, make_run())
    second = recorded(mlruns, make_run(name="2"), number="2")
    promote(mlruns, "2")
    (second.folder / "model.ubj").write_bytes(b"damaged")
    assert rollback(mlruns, reason="the file is damaged").champion == "1"
    decision = promote(mlruns, "2")
    assert not decision.promoted
    assert any("model.ubj" in reason for reason in decision.entry.reasons)
    with pytest.raises(RiskModelError, match=r"model\.ubj"):
        rollback(mlruns, reason="again", to="2")
    assert in_use(mlruns) == {"1"}
    assert champion(mlruns).run_id == first.run_id


def test_what_a_hand_changed_follows_the_record_again(mlruns, make_run):
    recorded(mlruns, make_run())
    recorded(mlruns, make_run(name="2"), number="2")
    note = (mlruns / "champion.json").read_bytes()
    (mlruns / "champion.json").write_bytes(note.replace(b'"version": "1"', b'"version": "2"'))
    tracking.registry.connect(mlruns).set_registered_model_alias("readmit", "champion", "2")
    recover(mlruns)
    assert in_use(mlruns) == {"1"}
    assert (mlruns / "champion.json").read_bytes() == note


def test_without_its_record_a_model_in_use_stops_everything_until_somebody_looks(mlruns, make_run):
    recorded(mlruns, make_run())
    for name in ("promotions.jsonl", "promotions.head.json"):
        (mlruns / name).unlink()
    with pytest.raises(PromotionError, match="record of promotions is absent"):
        recorded(mlruns, make_run(name="2"), number="2")
    with pytest.raises(PromotionError, match="record of promotions is absent"):
        promote(mlruns, "1")


def test_a_refit_that_gives_other_trees_is_refused(mlruns, make_run):
    registered = recorded(mlruns, make_run())
    trees = (registered.folder / "model.ubj").read_bytes()
    assert not promote(mlruns, "1", refit=lambda: trees + b"!").promoted
    decision = promote(mlruns, "1", refit=lambda: trees)
    assert decision.promoted
    assert "byte for byte" in " ".join(decision.entry.gates[-1].sentences)


def test_the_key_made_for_one_machine_is_its_owners_alone(mlruns, make_run):
    recorded(mlruns, make_run())
    path = mlruns / "keys" / "promotions.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    with pytest.raises(PromotionError, match="others than its owner"):
        promote(mlruns, "1")


def test_gates_are_kept_with_the_run_for_its_report(mlruns, make_run):
    registered = recorded(mlruns, make_run())
    kept = tracking.run_folder(mlruns, registered.version)
    assert kept == tracking.run_folder(mlruns, registered.run_id) == tracking.run_folder(mlruns)
    assert b'"gate":"reproducibility"' in (kept / "gates.json").read_bytes()
