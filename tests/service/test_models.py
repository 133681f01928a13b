"""The commands about models: history, promotion, rollback, and replay of a score."""

import csv
import json
import shutil
import stat

import pytest

from training.risk_model import read_champion

# mlflow 3.17 configures its own tables with a loader strategy that SQLAlchemy 2.1 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture
def ward(hospital, tmp_path):
    """A copy of the simulated hospital, to change as a test needs."""
    for name in ("mlruns", "store", "tables"):
        shutil.copytree(hospital.folder / name, tmp_path / name, symlinks=True)
    return hospital._replace(folder=tmp_path)


def answer_of(finished):
    assert finished.out.count("\n") == 1
    return json.loads(finished.out)


def test_models_shows_who_put_which_version_into_use_and_that_the_record_holds(readmit, ward):
    answer = answer_of(readmit("models", "--mlruns", ward.mlruns, "--json"))
    (version,), (reign,) = answer["versions"], answer["history"]
    assert version["aliases"] == ["champion"]
    assert (reign["version"], reign["action"], reign["until"]) == ("1", "first", None)
    assert reign["provisional"]
    assert version["manifest_sha256"] == reign["manifest_sha256"]
    finished = readmit("models", "--mlruns", ward.mlruns)
    assert finished.code == 0
    assert "first (provisional)" in finished.out
    assert answer["head_sha256"] in finished.out


def test_where_nothing_was_ever_trained_there_is_no_history_and_nothing_is_made(readmit, tmp_path):
    answer = answer_of(readmit("models", "--mlruns", tmp_path / "none", "--json"))
    assert (answer["versions"], answer["history"], answer["entries"]) == ([], [], 0)
    assert readmit("promote", "1", "--mlruns", tmp_path / "none").code == 6
    assert not (tmp_path / "none").exists()


def test_a_small_simulated_hospitals_model_is_refused_with_reasons(readmit, ward):
    before = read_champion(ward.mlruns)
    finished = readmit("promote", "1", "--mlruns", ward.mlruns, "--by", "Dr [red]", "--json")
    assert finished.code == 7
    assert "refused" in finished.err
    answer = answer_of(finished)
    assert not answer["promoted"]
    assert answer["entry"]["by"] == "Dr [red]"
    assert answer["entry"]["reasons"]
    finished = readmit("promote", "1", "--mlruns", ward.mlruns, "--by", "Dr [red]")
    assert "not passed" in finished.out
    assert "Dr [red]" in finished.out
    assert read_champion(ward.mlruns) == before
    assert len(answer_of(readmit("models", "--mlruns", ward.mlruns, "--json"))["refused"]) == 2


def test_an_edited_record_is_refused_by_every_command(readmit, ward):
    record = ward.mlruns / "promotions.jsonl"
    record.write_bytes(record.read_bytes().replace(b'"version":"1"', b'"version":"2"'))
    for command in (
        ("models",),
        ("promote", "1"),
        ("rollback", "--reason", "because"),
    ):
        finished = readmit(*command, "--mlruns", ward.mlruns)
        assert finished.code == 7
        assert "entry 1" in finished.err


def test_nothing_to_roll_back_to_is_said(readmit, ward):
    finished = readmit("rollback", "--reason", "alerts", "--mlruns", ward.mlruns)
    assert finished.code == 7
    assert "no other model" in finished.err


def test_a_key_of_ones_own_is_made_for_its_owner_alone(readmit, tmp_path):
    path = tmp_path / "vault" / "key.pem"
    answer = answer_of(readmit("keygen", path, "--json"))
    assert len(answer["fingerprint"]) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert readmit("keygen", path).code == 7


def test_every_score_has_an_id_by_which_it_is_computed_again(readmit, ward):
    with (ward.folder / "tables" / "scores.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert all(bool(line["score_id"]) == (line["status"] == "scored") for line in lines)
    scored = [line for line in lines if line["score_id"]]
    assert len({line["score_id"] for line in scored}) == len(scored)
    where = ("--store", ward.store, "--mlruns", ward.mlruns)
    for line in scored[:: len(scored) // 5]:
        answer = answer_of(readmit("replay", line["score_id"], *where, "--json"))
        assert answer["identical"]
        assert answer["differences"] == []
        assert not {line["subject"], line["encounter_id"]} & set(map(str, answer.values()))
        assert round(answer["probability_again"], 6) == float(line["probability"])
        assert answer["probability_today"] == answer["probability"]
    finished = readmit("replay", scored[0]["score_id"], *where)
    assert "to the last bit" in finished.out
    assert scored[0]["subject"] not in finished.out, "whose it is, the table says"
    assert scored[0]["encounter_id"] not in finished.out
    finished = readmit("replay", "f" * 20, *where)
    assert finished.code == 2
    assert "no score" in finished.err


def test_a_model_that_was_swapped_does_not_answer_for_the_old_one(readmit, ward):
    note = read_champion(ward.mlruns)
    (ward.mlruns / note.folder / "model.ubj").write_bytes(b"other")
    with (ward.folder / "tables" / "scores.csv").open(encoding="utf-8", newline="") as file:
        score_id = next(line["score_id"] for line in csv.DictReader(file) if line["score_id"])
    finished = readmit("replay", score_id, "--store", ward.store, "--mlruns", ward.mlruns)
    assert finished.code == 6
    assert "model.ubj" in finished.err
