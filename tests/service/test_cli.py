"""The command ``readmit``: one JSON object or tables, errors in one line, and one engine."""

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow.parquet as pq
import pytest
from anyio.from_thread import start_blocking_portal
from records import condition, encounter, ingested, lab, ndjson, patient
from typer.testing import CliRunner

from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from service import batch, cli
from service.app import create_app
from service.cli import app
from service.demo import _bundle_to_try
from service.settings import Settings
from training.risk_model import RiskModel, champion

COMMANDS = ("simulate", "ingest", "coverage", "cohort", "train", "score", "serve", "demo")
EVERY = [command.callback.__name__ for command in app.registered_commands if command.callback]
WITH_JSON = COMMANDS[:6]
WITHOUT_JSON = ("report", "card", "serve", "demo", "mcp")
"""What they make is a page, or a service."""
METRICS = {"auroc", "auprc", "brier", "log_loss", "calibration_slope", "calibration_intercept"}
Ask = Callable[..., dict[str, Any]]


def scores(hospital) -> list[dict[str, str]]:
    with (hospital.folder / "tables" / "scores.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def model(hospital) -> RiskModel:
    return champion(hospital.mlruns)


@pytest.fixture(scope="module")
def ask(hospital, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The service with the model that the command has trained."""
    settings = Settings(
        mlruns=hospital.mlruns,
        max_reasons=batch.REASONS,
        development=True,
        requests_per_minute=1_000_000,
        database=f"sqlite:///{tmp_path_factory.mktemp('served')}/readmit.db",
    )
    app = create_app(settings)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
    ):
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1", timeout=60
        )

        async def post(body: bytes, **parameters: str) -> httpx.Response:
            return await client.post(
                "/v1/score",
                content=body,
                params=parameters,
                headers={"Content-Type": "application/fhir+json"},
            )

        def score(body: bytes, encounter_id: str) -> dict[str, Any]:
            response = portal.call(lambda: post(body, encounter_id=encounter_id))
            assert response.status_code == 200, response.text
            content: dict[str, Any] = response.json()
            return content

        yield score


# --json


@pytest.mark.parametrize("command", WITH_JSON)
def test_with_json_one_object_is_on_standard_output_and_nothing_else(hospital, command):
    finished = hospital.finished(command)
    assert finished.code == 0, finished.err
    assert finished.out.count("\n") == 1
    assert finished.out.endswith("}\n")
    assert isinstance(json.loads(finished.out), dict)
    assert "Traceback" not in finished.err


def test_ingest_counts_what_it_read(hospital):
    answer = hospital.answer("ingest")
    by_type = answer["by_type"]
    assert {"resources", "events", "patients", "rejected", "seconds"} <= answer.keys()
    assert answer["resources"] == sum(each["resources"] for each in by_type.values())
    assert answer["patients"] == by_type["Patient"]["resources"]
    assert answer["events"] > answer["patients"]
    for each in by_type.values():
        assert each["resources"] == each["mapped"] + each["without_events"] + each["passed_over"]
    with (hospital.store / "rejects.csv").open(newline="") as listed:
        assert len(list(csv.DictReader(listed))) == answer["rejected"] > 0


def test_the_flow_table_adds_up_from_stays_to_index_stays(hospital):
    answer = hospital.answer("cohort")
    flow = answer["flow"]
    assert all({"step", "excluded", "left"} == step.keys() for step in flow)
    assert flow[0]["left"] == answer["stays"]
    for before, step in pairwise(flow):
        assert step["left"] == before["left"] - step["excluded"]
    assert flow[-1]["left"] == answer["index_stays"] > 0


def test_cohort_counts_patients_stays_and_what_followed(hospital):
    answer = hospital.answer("cohort")
    assert answer["patients"] == hospital.answer("ingest")["patients"]
    assert answer["encounters"] >= answer["stays"] >= answer["index_stays"]
    assert 0 < answer["readmissions"] < answer["index_stays"]
    assert answer["deaths_in_hospital"] > 0
    apart = answer["without_observation"]
    assert apart.keys() == {"encounters", "stays", "returns_30d", "deaths_in_hospital"}
    assert all(apart[name] <= answer[name] for name in apart)
    assert apart["stays"] < answer["stays"]


def test_train_tells_every_metric_with_its_interval_beside_the_baselines(hospital):
    answer = hospital.answer("train")
    assert {"run_id", "model", "version", "seconds"} <= answer.keys()
    assert answer["features"] > 0
    test = answer["test"]
    assert 0 < test["readmissions"] < test["stays"] < hospital.answer("cohort")["index_stays"]
    assert answer["baselines"].keys() == {"lace", "hospital", "prevalence", "logistic"}
    for each in (test, *answer["baselines"].values()):
        assert each.keys() >= METRICS
        for name in METRICS:
            metric = each[name]
            assert metric.keys() == {"value", "low", "high"}
            if metric["low"] is not None:
                assert metric["low"] <= metric["high"]
    assert test["auroc"]["low"] <= test["auroc"]["value"] <= test["auroc"]["high"]


def test_score_accounts_for_every_stay(hospital):
    answer = hospital.answer("score")
    assert answer.keys() == {"stays", "scored", "not_scored", "seconds"}
    assert answer["stays"] == answer["scored"] + sum(answer["not_scored"].values())
    assert answer["stays"] == hospital.answer("cohort")["without_observation"]["stays"]
    lines = scores(hospital)
    assert len(lines) == answer["stays"] - answer["not_scored"].get("no_discharge", 0)
    assert sum(line["status"] == "scored" for line in lines) == answer["scored"] > 0
    for line in lines:
        assert bool(line["probability"]) == (line["status"] == "scored") != bool(line["not_scored"])


def test_the_coverage_report_is_also_written_where_it_was_asked_for(hospital):
    written = (hospital.folder / "reports" / "coverage.json").read_text(encoding="utf-8")
    assert json.loads(written) == hospital.answer("coverage")


def test_a_figure_that_does_not_exist_is_null(readmit, tmp_path):
    finished = readmit("simulate", tmp_path / "one", "--patients", "1", "--json")
    assert finished.code == 0, finished.err
    assert json.loads(finished.out)["best_possible_auroc"] is None


# Tables for people


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("coverage", "Most frequent codes that no concept knows"),
        ("cohort", "From stays to index stays"),
    ],
)
def test_without_json_results_are_tables_and_progress_is_on_standard_error(
    readmit, hospital, command, told
):
    finished = readmit(command, "--store", hospital.store)
    assert finished.code == 0
    assert told in finished.out
    assert "cohort: 16 of 16" not in finished.out
    assert ("cohort: 16 of 16" in finished.err) == (command == "cohort")


def test_simulate_and_ingest_tell_what_they_did(readmit, tmp_path):
    simulated = readmit("simulate", tmp_path / "[/records]", "--patients", "3")
    assert simulated.code == 0, simulated.err
    assert "Simulated hospital in" in simulated.out
    assert "[/records]" in simulated.out.replace("\n", "")
    read = readmit(
        "ingest", tmp_path / "[/records]", "--store", tmp_path / "store", "--shards", "2"
    )
    assert read.code == 0, read.err
    assert "Resources read" in read.out
    assert "rejected: see" in read.out.replace("\n", " ")


def test_train_shows_the_model_beside_the_baselines(readmit, hospital, monkeypatch, tmp_path):
    answer = hospital.answer("train")
    asked = {}

    def trained(store, profile, mlruns, study, *, tune, cohort_file, reading, progress):
        asked.update(mlruns=mlruns, study=study, tune=tune, cohort_file=cohort_file)
        progress("fit")
        return answer

    monkeypatch.setattr("training.experiment.run_study", trained)
    (tmp_path / "study.toml").write_text("seed = 4\n[cohort]\nhorizon_days = 90\n")
    options = ("--seed", "5", "--no-vocabulary", "--split", "patient", "--tune", "3")
    finished = readmit(
        *("train", "--store", hospital.store, "--mlruns", tmp_path, *options),
        *("--study", tmp_path / "study.toml"),
    )
    assert finished.code == 0, finished.err
    study = asked.pop("study")
    assert asked == {"mlruns": tmp_path, "tune": 3, "cohort_file": None}
    assert (study.seed, study.split.by, study.cohort.horizon_days) == (5, "patient", 90)
    assert not study.features.use_vocabulary
    header = next(line for line in finished.out.splitlines() if "lace" in line)
    assert header.split() == ["model", "lace", "hospital", "prevalence", "logistic"]
    assert f"{answer['test']['auroc']['value']:.3f}" in finished.out
    assert answer["run_id"] in finished.out
    assert "train: fit" in finished.err


def test_a_choice_that_there_is_not_is_refused_by_its_name(readmit, hospital, tmp_path):
    finished = readmit("train", "--store", hospital.store, "--mlruns", tmp_path, "--split", "luck")
    assert finished.code == 5
    assert "split.by" in finished.err


@pytest.mark.parametrize("command", EVERY)
def test_every_command_explains_itself(command):
    result = CliRunner().invoke(
        cli.app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    )
    assert result.exit_code == 0
    assert f"readmit {command}" in result.output
    assert "[bold]" not in result.output
    assert ("--json" in result.output) == (command not in WITHOUT_JSON)


def test_the_list_of_commands_does_not_wait_for_mlflow():
    program = (
        "import sys; sys.argv = ['readmit', '--help']\n"
        "from service.cli import main\n"
        "try: main()\n"
        "finally: print(*(set(sys.modules) & {'mlflow', 'pandas', 'xgboost', 'fastapi'}),"
        " file=sys.stderr, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert all(command in done.stdout for command in EVERY)


# Errors


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ("cohort --store NOWHERE", 4, "no event store"),
        ("coverage --store NOWHERE", 4, "no event store"),
        ("train --store NOWHERE --json", 4, "no event store"),
        ("ingest NOWHERE --store new", 2, "no such file"),
        ("cohort --store STORE --profile nowhere", 2, "no site profile 'nowhere'"),
        ("cohort --store STORE --profile mimic", 2, "'default', not 'mimic'"),
        ("ingest RECORDS --store STORE --profile mimic", 2, "'default', not 'mimic'"),
        ("score --store STORE --mlruns NOWHERE", 6, "champion.json"),
        ("score --store STORE --model NOWHERE", 6, "risk model"),
        ("score --store STORE --mlruns MLRUNS --out s.txt", 2, ".csv or .parquet"),
        ("train --store STORE --study RECORDS", 5, "cannot be read"),
        ("models --mlruns RECORDS/../a-file", 1, "Not a directory"),
        ("promote 99 --mlruns NOWHERE", 6, "no version 99"),
        ("serve --mlruns MLRUNS", 2, "READMIT_ISSUERS"),
        ("serve --development --host 0.0.0.0 --mlruns MLRUNS", 2, "READMIT_HOST"),
        ("simulate RECORDS/../store --patients 1 --seed 1 --profile x", 2, None),
    ],
)
def test_an_error_of_ours_is_one_line_and_an_exit_code(
    readmit, hospital, monkeypatch, tmp_path, arguments, code, said
):
    monkeypatch.chdir(tmp_path)
    (hospital.folder / "a-file").touch()
    places = {"STORE": hospital.store, "RECORDS": hospital.records, "MLRUNS": hospital.mlruns}
    for name, place in {**places, "NOWHERE": tmp_path / "nowhere"}.items():
        arguments = arguments.replace(name, str(place))
    finished = readmit(*arguments.split())
    assert finished.code == code
    assert finished.out == ""
    assert "Traceback" not in finished.err
    if said is not None:
        assert finished.err.startswith("readmit: ")
        assert finished.err.count("\n") == 1
        assert said in finished.err
    assert list(tmp_path.iterdir()) == []


def test_a_malformed_setting_is_named_and_not_quoted(readmit, monkeypatch):
    monkeypatch.setenv("READMIT_BODY_LIMIT", "plenty-of-it")
    finished = readmit("serve")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err.startswith("readmit: READMIT_BODY_LIMIT: ")
    assert "plenty-of-it" not in finished.err


@pytest.mark.parametrize("command", ["cohort", "train"])
def test_a_profile_that_is_not_the_sites_is_noticed(readmit, tmp_path, command):
    resources = [
        encounter(f"{who}-{n}", n, n, kind=kind, who=who)
        for who in ("ada", "bob")
        for n, kind in enumerate(("AMB", "AMB", "EMER"))
    ]
    ingested(tmp_path / "store", ("a.ndjson", ndjson(patient("ada"), patient("bob"), *resources)))
    finished = readmit(command, "--store", tmp_path / "store", "--mlruns", tmp_path, "--json")
    if command == "cohort":
        finished = readmit(command, "--store", tmp_path / "store", "--json")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == (
        "readmit: 0 inpatient stays found among 6 encounters with the site profile 'default'; "
        "classes seen: AMB 4, EMER 2\n"
    )


def test_a_store_of_a_profile_of_the_sites_own_asks_for_its_file(readmit, tmp_path):
    ours = tmp_path / "ours.toml"
    ours.write_text('name = "ours"\ndescription = "Testwood"\n')
    export = tmp_path / "a.ndjson"
    export.write_bytes(ndjson(patient(), encounter("e", 0, 3)))
    store = tmp_path / "store"
    assert readmit("ingest", export, "--store", store, "--profile", ours).code == 0
    without = readmit("cohort", "--store", store)
    assert without.code == 2
    assert "'ours'; name its file with --profile" in without.err
    named = readmit("cohort", "--store", store, "--profile", ours, "--json")
    assert json.loads(named.out)["stays"] == 1


# The table of scores


def test_csv_and_parquet_hold_the_same_scores(readmit, hospital, tmp_path):
    out = tmp_path / "scores.parquet"
    finished = readmit(
        "score", "--store", hospital.store, "--mlruns", hospital.mlruns, "--out", out
    )
    assert finished.code == 0, finished.err
    assert "scored" in finished.out
    table = pq.read_table(out)
    assert tuple(table.column_names) == batch.COLUMNS
    as_text = [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in table.to_pylist()
    ]
    assert as_text == scores(hospital)
    assert [file.name for file in tmp_path.iterdir()] == [out.name]


def test_no_cell_of_the_table_is_a_formula(hospital, model, monkeypatch, tmp_path):
    real = batch.score_stay

    def with_phrases_of_a_site(*arguments, **options):
        score = real(*arguments, **options)
        starts = ("=cmd()", "+1", "-1", "@SUM(A1)", "\tx")
        reasons = tuple(
            msgspec.structs.replace(reason, phrase=start)
            for reason, start in zip(score.reasons, starts, strict=True)
        )
        return msgspec.structs.replace(score, reasons=reasons)

    monkeypatch.setattr(batch, "score_stay", with_phrases_of_a_site)
    (line,) = scored_alone(
        model,
        tmp_path,
        patient("-1"),
        encounter("-2", 0, 3, who="-1"),
        condition("c", stay="-2", who="-1"),
    )
    assert (line["subject"], line["encounter_id"]) == ("'-1", "'-2")
    named = [line[f"reason_{number}"] for number in range(1, batch.REASONS + 1)]
    assert all(reason.startswith("'") for reason in named)
    assert named[0].startswith("'=cmd() (")


def test_a_value_beyond_computing_does_not_stop_the_other_stays(hospital, model, tmp_path):
    code = next(f.of for f in model.features if f.family == "vocabulary" and f.measure == "latest")
    system, _, bare = code.removeprefix("code:").rpartition("|")
    address = "http://loinc.org" if system == "LOINC" else system
    absurd = {"coding": [{"system": address, "code": bare}]}
    lines = scored_alone(
        model,
        tmp_path,
        patient("ada"),
        patient("bob"),
        encounter("a", 0, 3),
        encounter("b", 0, 3, who="bob"),
        condition("c", stay="b", who="bob"),
        lab("x", 1, 1e39, code=absurd),
    )
    told = {line["encounter_id"]: (line["status"], line["not_scored"]) for line in lines}
    assert told == {"a": ("not_scored", "unprocessable"), "b": ("scored", "")}


def scored_alone(model: RiskModel, folder: Path, *resources) -> list[dict[str, str]]:
    """The lines of a table of scores of these resources alone."""
    ingested(folder / "store", ("a.ndjson", ndjson(*resources)))
    out = folder / "out" / "scores.csv"
    with open_store(folder / "store") as store:
        batch.score_store(store, load_profile("default"), model, out, lambda *_: None)
    with out.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_of_whom_a_consent_cannot_be_read_is_counted_apart_and_not_listed(model, tmp_path):
    consent = {"resourceType": "Consent", "id": "c", "status": "active", "provision": [{}]}
    consent["patient"] = {"reference": "Patient/ada"}
    records = ndjson(patient(), encounter("a", 0, 3), lab("l", 1), consent)
    ingested(tmp_path / "store", ("a.ndjson", records))
    out = tmp_path / "scores.csv"
    with open_store(tmp_path / "store") as store:
        done = batch.score_store(store, load_profile("default"), model, out, lambda *_: None)
    assert (done.scored, done.not_scored) == (0, {"consent_unreadable": 1})
    assert len(out.read_text(encoding="utf-8").splitlines()) == 1


def test_who_opted_out_is_counted_and_not_listed(readmit, hospital, tmp_path):
    """By the list that is named: in the table of scores, and in the flow of the cohort."""
    lines = scores(hospital)
    subject = lines[0]["subject"]
    named = tmp_path / "opt-out.csv"
    named.write_text(f"# by telephone\n{subject}\n", encoding="utf-8")
    out = tmp_path / "scores.csv"
    common = ("--store", hospital.store, "--opt-out", named, "--json")
    done = readmit("score", *common, "--mlruns", hospital.mlruns, "--out", out)
    stays = sum(line["subject"] == subject for line in lines)
    assert json.loads(done.out)["not_scored"]["opted_out"] >= stays > 0
    with out.open(encoding="utf-8", newline="") as file:
        listed = list(csv.DictReader(file))
    assert listed == [
        {**line, "score_id": now["score_id"]}
        for line, now in zip(
            [line for line in lines if line["subject"] != subject], listed, strict=True
        )
    ]
    flow = json.loads(readmit("cohort", *common).out)["flow"]
    (left_out,) = [step for step in flow if step["step"] == "The patient has opted out."]
    assert left_out["excluded"] >= stays


@pytest.mark.parametrize("command", ["score", "cohort", "train", "monitor"])
def test_a_list_that_is_named_and_absent_stops_the_command(readmit, hospital, tmp_path, command):
    more = () if command == "cohort" else ("--mlruns", hospital.mlruns)
    absent = tmp_path / "absent.csv"
    done = readmit(command, "--store", hospital.store, "--opt-out", absent, *more)
    assert done.code == 2
    assert "absent.csv: no such opt-out list" in done.err


# One engine


def bundle_of(records: Path, subject: str) -> bytes:
    """A patient's records and every drug of the formulary, as an EHR would send them."""
    person = f'{{"resourceType":"Patient","id":"{subject}"'
    about = f'"subject":{{"reference":"Patient/{subject}"'
    entries = []
    for file in sorted(records.glob("*.ndjson*")):
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode()
        entries += [
            f'{{"resource":{line}}}'
            for line in text.splitlines()
            if about in line or line.startswith((person, '{"resourceType":"Medication",'))
        ]
    return f'{{"resourceType":"Bundle","type":"collection","entry":[{",".join(entries)}]}}'.encode()


def assert_same(answer: dict[str, Any], line: dict[str, str]) -> None:
    assert (answer["status"], answer["as_of"]) == (line["status"], line["as_of"])
    if answer["status"] == "not_scored":
        assert answer["reason"]["code"] == line["not_scored"]
        return
    assert round(answer["probability"], 6) == float(line["probability"])
    assert answer["band"] == line["band"]
    assert str(answer["lace"]["points"]) == line["lace"]
    assert str(answer["hospital"]["points"]) == line["hospital"]
    told = [f"{reason['phrase']} ({reason['direction']} the risk)" for reason in answer["reasons"]]
    named = [line[f"reason_{number}"] for number in range(1, batch.REASONS + 1)]
    assert told == [reason for reason in named if reason]


def test_a_line_of_the_batch_is_what_the_service_answers_for_the_same_record(hospital, ask):
    by_subject: dict[str, list[dict[str, str]]] = {}
    for line in scores(hospital):
        by_subject.setdefault(line["subject"], []).append(line)
    most = sorted(by_subject, key=lambda name: (-len(by_subject[name]), name))[:4]
    compared = 0
    for subject in most:
        body = bundle_of(hospital.records, subject)
        for line in by_subject[subject]:
            assert_same(ask(body, line["encounter_id"]), line)
            compared += line["status"] == "scored"
    assert compared >= 8


def test_the_demos_bundle_holds_all_that_the_batch_has_seen(hospital, ask, tmp_path):
    (tmp_path / "scores.csv").write_bytes((hospital.folder / "tables/scores.csv").read_bytes())
    body = _bundle_to_try(hospital.records, tmp_path).read_bytes()
    resources = [entry["resource"] for entry in json.loads(body)["entry"]]
    (subject,) = {each["id"] for each in resources if each["resourceType"] == "Patient"}
    lines = [line for line in scores(hospital) if line["subject"] == subject]
    assert lines[-1]["probability"], "the service scores the latest stay"
    for line in lines:
        assert_same(ask(body, line["encounter_id"]), line)


def test_the_demo_goes_from_records_to_scores(readmit, hospital, monkeypatch, tmp_path):
    """Training apart, which has its own tests: the model is the one that the command trained."""
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mlruns").symlink_to(hospital.mlruns)
    monkeypatch.setattr("service.demo.run_study", lambda *_, **__: hospital.answer("train"))
    finished = readmit("demo", "--folder", tmp_path / "demo", "--patients", "200", "--no-serve")
    assert finished.code == 0, finished.err
    for told in ("Simulated hospital", "Resources read", "Best possible AUROC", "/v1/score"):
        assert told in finished.out
    assert (tmp_path / "demo" / "scores.csv").stat().st_size > 0
    bundle = json.loads((tmp_path / "demo" / "bundle.json").read_text())
    assert bundle["resourceType"] == "Bundle"
