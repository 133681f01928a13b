"""Where patients' names, identifiers and birth dates must not turn up, searched byte by byte.

The simulated hospital's patients are the canaries: each has a name, a record number, a birth date,
an address and an id that occur nowhere else. Commands and service are run as an operator runs them,
in processes of their own, and then everything they left behind is searched.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from fhir_mappings.records.files import export_files, pieces

FHIR = {"Content-Type": "application/fhir+json"}
TYPED = "Quillfeather-Typed"
"""What somebody types where nothing of the kind belongs: a path, a parameter, a header."""


class Canaries(NamedTuple):
    """What could name a patient, by what it is."""

    found_by: dict[str, re.Pattern[bytes]]

    def found(self, content: bytes, *but: str) -> list[str]:
        """Which kinds occur in some bytes; the kinds in ``but`` may."""
        return [
            kind
            for kind, any_of in self.found_by.items()
            if kind not in but and any_of.search(content)
        ]


@pytest.fixture(scope="module")
def patients(hospital: Any) -> list[dict[str, Any]]:
    lines = (hospital.records / "Patient.ndjson").read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue  # the export holds broken lines on purpose
    assert len(found) > 200
    return found


@pytest.fixture(scope="module")
def canaries(patients: list[dict[str, Any]]) -> Canaries:
    planted = {
        "name": {name["family"] for one in patients for name in one["name"]},
        "given name": {
            given for one in patients for name in one["name"] for given in name["given"]
        },
        "record number": {number["value"] for one in patients for number in one["identifier"]},
        "birth date": {one["birthDate"] for one in patients},
        "city": {address["city"] for one in patients for address in one["address"]},
        "patient id": {one["id"] for one in patients},
        "typed": {TYPED},
    }
    return Canaries(
        {
            kind: re.compile(b"|".join(re.escape(word.encode()) for word in sorted(words)))
            for kind, words in planted.items()
        }
    )


class Served(NamedTuple):
    """A running service and what it writes."""

    url: str
    folder: Path
    log: Path


@pytest.fixture(scope="module")
def served(hospital: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """``readmit serve`` in development mode, asked all sorts of things, well and badly."""
    folder = tmp_path_factory.mktemp("canaries")
    log = folder / "service.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("READMIT_")}
    environment |= {
        "READMIT_DEVELOPMENT": "true",
        "READMIT_DATABASE": f"sqlite:///{folder / 'readmit.db'}",
        "PYTHONPATH": str(Path.cwd()),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0", "--mlruns", hospital.mlruns],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
        )
        try:
            yield Served(_address(log, process), folder, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        if found := re.search(r'"port": ?(\d+)', log.read_text(encoding="utf-8")):
            return f"http://127.0.0.1:{found[1]}"
        assert process.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError("the service did not start")


@pytest.fixture(scope="module")
def asked(served: Served, hospital: Any, patients: list[dict[str, Any]]) -> list[httpx.Response]:
    """What the service answered: scores, readings, and every kind of refusal."""
    bundles = list(_bundles(hospital, patients[:20]))
    with httpx.Client(base_url=served.url, trust_env=False, timeout=30) as client:
        answers = [client.post("/v1/score", content=one, headers=FHIR) for one in bundles]
        assert any(answer.status_code == 200 for answer in answers)
        someone = patients[0]
        name, identifier = someone["name"][0]["family"], someone["id"]
        damaged = bundles[0].replace(b'"gender"', b'"gender": "x", "gender"')
        two = json.dumps(
            {
                "resourceType": "Bundle",
                "entry": [{"resource": patients[0]}, {"resource": patients[1]}],
            }
        ).encode()
        answers += [
            client.post("/v1/score", content=damaged, headers=FHIR),
            client.post("/v1/score", content=bundles[0][:-40], headers=FHIR),
            client.post("/v1/score", content=two, headers=FHIR),
            client.post("/v1/score", content=bundles[0], headers={"Content-Type": name}),
            client.post(
                "/v1/score", content=bundles[0], headers=FHIR, params={"encounter_id": TYPED}
            ),
            client.post("/v1/score", content=bundles[0], headers=FHIR, params={"as_of": TYPED}),
            client.post("/v1/score", content=bundles[0], headers=FHIR, params={TYPED: identifier}),
            client.post("/v1/score", content=bundles[0], headers={**FHIR, "Authorization": TYPED}),
            client.post("/v1/score", content=bundles[0], headers={**FHIR, "Purpose-Of-Use": TYPED}),
            client.post("/v1/score", content=bundles[0], headers={**FHIR, "Traceparent": TYPED}),
            client.get(f"/v1/patients/{name}/nothing"),
            client.get(f"/{TYPED}/{identifier}"),
            client.get(f"/v1/scores/{TYPED}"),
            client.get(f"/v1/patients/{identifier}/scores", params={"cursor": TYPED}),
            client.get(f"/v1/patients/{identifier}/scores"),
            client.get(f"/v1/patients/{identifier}/disclosures"),
            client.post(
                f"/v1/patients/{identifier}/break-glass",
                json={"reason": TYPED, "explanation": f"{name} {TYPED}"},
            ),
            client.get("/", headers={"Cookie": f"readmit={TYPED}", "Accept": "text/html"}),
            client.request(TYPED, "/v1/score"),
        ]
    return answers


def _bundles(hospital: Any, patients: list[dict[str, Any]]) -> Iterator[bytes]:
    """The records of some patients, one Bundle each."""
    entries: dict[str, list[dict[str, Any]]] = {one["id"]: [{"resource": one}] for one in patients}
    for file in export_files(hospital.records):
        for piece in pieces(file):
            try:
                resource = json.loads(piece.raw)
            except ValueError:
                continue  # the export holds broken lines on purpose
            subject = resource.get("subject") if isinstance(resource, dict) else None
            about = subject.get("reference", "") if isinstance(subject, dict) else ""
            if (owner := str(about).removeprefix("Patient/")) in entries:
                entries[owner].append({"resource": resource})
    for each in entries.values():
        yield json.dumps({"resourceType": "Bundle", "type": "collection", "entry": each}).encode()


def test_the_canaries_would_be_found(hospital: Any, canaries: Canaries) -> None:
    """The search itself: in the records it finds every kind but what was never typed there."""
    found = canaries.found((hospital.records / "Patient.ndjson").read_bytes())
    assert set(found) == set(canaries.found_by) - {"typed"}


@pytest.mark.parametrize("command", ["simulate", "ingest", "cohort", "coverage", "train", "score"])
def test_no_command_tells_of_a_patient(hospital: Any, canaries: Canaries, command: str) -> None:
    finished = hospital.finished(command)
    assert finished.code == 0
    assert canaries.found(f"{finished.out}{finished.err}".encode()) == []


def test_runs_and_models_hold_nothing_that_names_a_patient(
    hospital: Any, canaries: Canaries
) -> None:
    searched = 0
    for file in hospital.mlruns.rglob("*"):
        if file.is_file():
            searched += 1
            found = canaries.found(str(file.name).encode() + b"\n" + _plain(file))
            assert found == [], file.relative_to(hospital.mlruns)
    assert searched > 20


def _plain(file: Path) -> bytes:
    """A file's bytes; of a Parquet file also its values, which may be compressed."""
    content = file.read_bytes()
    if file.suffix == ".parquet":
        import pyarrow.parquet as pq

        content += repr(pq.read_table(file).to_pydict()).encode()
    return content


def test_the_event_store_holds_no_name_and_no_record_number(
    hospital: Any, canaries: Canaries
) -> None:
    for file in hospital.store.rglob("*"):
        if file.is_file():
            # Ids and birth dates belong there: a stay and an age are made of them.
            assert canaries.found(_plain(file), "patient id", "birth date") == [], file.name


def test_the_log_holds_nothing_that_names_a_patient(
    served: Served, asked: list[httpx.Response], canaries: Canaries
) -> None:
    log = served.log.read_bytes()
    assert log.count(b"/v1/score") >= len(asked) - 10
    assert canaries.found(log) == []


def test_no_error_quotes_what_was_sent(asked: list[httpx.Response], canaries: Canaries) -> None:
    refused = [answer for answer in asked if answer.status_code >= 400]
    assert len(refused) >= 12
    for answer in refused:
        shown = answer.content + repr(answer.headers).encode()
        assert canaries.found(shown) == [], (answer.status_code, answer.request.method)


def test_metrics_hold_nothing_that_names_a_patient(
    served: Served, asked: list[httpx.Response], canaries: Canaries
) -> None:
    metrics = httpx.get(f"{served.url}/metrics", trust_env=False)
    assert metrics.status_code == 200
    assert b"/v1/score" in metrics.content
    assert canaries.found(metrics.content) == []


def test_the_database_holds_nothing_that_names_a_patient(
    served: Served, asked: list[httpx.Response], canaries: Canaries
) -> None:
    files = [file for file in served.folder.iterdir() if file != served.log]
    assert any(file.name == "readmit.db" for file in files)
    for file in files:
        assert canaries.found(file.read_bytes()) == [], file.name
