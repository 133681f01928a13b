"""A score from a whole record, against MLflow's scoring server given the finished row.

Peer: ``mlflow models serve`` with the same trees, which gets the feature row ready-made and returns
the contributions. Ours gets about half a megabyte of FHIR, reads it, finds the stay, computes the
row, and answers with probability, reasons, evidence, LACE and HOSPITAL. Between the two stands the
floor (``benchmarks/floor.py``): the same bytes received and decoded, the same contributions, and
nothing else. Requests go in turns.
"""

import os
import re
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import mlflow
import msgspec
import numpy as np

from benchmarks.floor import Given
from benchmarks.measuring import Result, at_most, figure, in_turns
from fhir_mappings.consent import used_now
from fhir_mappings.eligibility import why_not
from fhir_mappings.features.engine import View
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.reading import read_bundle
from fhir_mappings.records.bundles import unbundle
from fhir_mappings.records.decoding import Rejected, decode
from fhir_mappings.records.files import export_files, pieces
from fhir_mappings.records.resources import RESOURCES
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import open_store
from fhir_mappings.timeline import Timeline
from service.scoring import score_stay
from training.cohort.selection import CohortRules
from training.dataset import study_data
from training.risk_model import champion, read_champion
from training.simulated_hospital import simulate
from training.study import EvaluationRules, Study
from training.train import train
from training.vocabulary import VocabularyRules

PATIENTS, REQUESTS, WARM_UP = 1500, 200, 20
RECORD_BYTES, CANDIDATES = 500_000, 20
_OWNER = re.compile(rb'"subject":\s*\{"reference":\s*"Patient/([^"]+)"')
_PATIENT = re.compile(rb'^\{"resourceType":\s*"Patient",\s*"id":\s*"([^"]+)"')


def run(folder: Path) -> list[Result]:
    """Train on a simulated hospital, start both servers, and ask them in turns."""
    mlruns = trained(folder)
    body, profile = record(folder)
    row = _row(mlruns, body, profile)
    with (
        ours(mlruns, profile.name) as (our_url, _),
        theirs(folder, mlruns) as (their_url, _),
        floor(folder, mlruns, body, row) as (floor_url, _),
    ):
        fhir, plain = "application/fhir+json", "application/json"
        seconds = _asked_in_turns(
            {
                "ours": (f"{our_url}/v1/score", body, fhir),
                "theirs": (f"{their_url}/invocations", msgspec.json.encode(row), plain),
                "floor": (f"{floor_url}/", body, fhir),
            }
        )
    middle = {name: statistics.median(values) * 1000 for name, values in seconds.items()}
    return [
        at_most(
            "POST /v1/score with a raw record, p50 / mlflow models serve with a row, p50",
            middle["ours"] / middle["theirs"],
            0.7,
            detail=f"{middle['ours']:.1f} ms, {middle['theirs']:.1f} ms; "
            f"{len(body):,} bytes, {profile.name} record",
        ),
        figure(
            "floor (received, decoded, contributions), p50 / mlflow models serve, p50",
            middle["floor"] / middle["theirs"],
            "x",
            f"{middle['floor']:.1f} ms, {middle['theirs']:.1f} ms; 0.7 x would leave "
            f"{0.7 * middle['theirs'] - middle['floor']:.1f} ms for all else",
        ),
        figure(
            "POST /v1/score, p50 / floor, p50",
            middle["ours"] / middle["floor"],
            "x",
            f"{middle['ours']:.1f} ms, {middle['floor']:.1f} ms; all else takes "
            f"{middle['ours'] - middle['floor']:.1f} ms",
        ),
        figure("POST /v1/score, p95", float(np.quantile(seconds["ours"], 0.95)) * 1000, "ms"),
        *_parts(mlruns, body, profile),
    ]


def _asked_in_turns(requests: dict[str, tuple[str, bytes, str]]) -> dict[str, list[float]]:
    """Seconds of each answer: every address is asked once a round, with its body and its type."""
    seconds: dict[str, list[float]] = {name: [] for name in requests}
    client = httpx.Client(timeout=30, trust_env=False)
    for number in range(REQUESTS + WARM_UP):
        for name, (url, content, content_type) in requests.items():
            began = time.perf_counter()
            answer = client.post(url, content=content, headers={"Content-Type": content_type})
            took = time.perf_counter() - began
            answer.raise_for_status()
            if number >= WARM_UP:
                seconds[name].append(took)
    return seconds


def _parts(mlruns: Path, body: bytes, profile: SiteProfile) -> list[Result]:
    """Where the time of one record goes, without HTTP, each step by itself."""
    model = champion(mlruns)
    timeline = _timeline(body, profile)
    stay = timeline.stays[-1]
    row = View(timeline, stay, stay.end or 0).row(model.features)
    nobody = used_now(profile)
    steps: dict[str, Callable[[], object]] = {
        "bare msgspec decoding": lambda: msgspec.json.decode(body),
        "taken apart, checked and decoded": lambda: unbundle(body),
        "the same, mapped into events": lambda: read_bundle(body, profile),
        "row of the model's features": lambda: View(timeline, stay, stay.end or 0).row(
            model.features
        ),
        "contributions": lambda: model.explain(row),
        "score with reasons, LACE and HOSPITAL": lambda: score_stay(
            model, timeline, stay, stay.end or 0, opt_outs=nobody
        ),
    }
    seconds = in_turns(40, **steps)
    return [figure(f"in the process: {name}", seconds[name] * 1000, "ms") for name in steps]


def trained(folder: Path) -> Path:
    """A model trained on a small simulated hospital; its MLflow home."""
    records, store, mlruns = folder / "records", folder / "store", folder / "mlruns"
    profile = load_profile("default")
    simulate(records, PATIENTS, 1)
    ingest([records], store, profile)
    with open_store(store) as opened:
        data = study_data(opened, profile, CohortRules(), vocabulary=VocabularyRules())
    train(data, mlruns, quick_study())
    return mlruns


def quick_study() -> Study:
    """A study without what only its report needs."""
    rules = EvaluationRules(resamples=100, stability_refits=0, learning_shares=(), attributes=())
    return Study(evaluation=rules)


def record(folder: Path) -> tuple[bytes, SiteProfile]:
    """Half a megabyte of one patient's records as one Bundle, and the profile to read it with.

    A patient of the generated records beside the project where they are there, since their
    resources are as large as an EHR's; else a simulated one. Of all patients with a stay to score
    the one whose record comes closest in size.
    """
    beside = Path(__file__).parents[2] / "shared" / "data" / "clinosim"
    source, name = (beside, "clinosim") if beside.is_dir() else (folder / "records", "default")
    profile = load_profile(name)
    sizes: Counter[bytes] = Counter()
    for owner, line in _owned_lines(source):
        sizes[owner] += len(line)
    near = sorted(sizes, key=lambda owner: abs(sizes[owner] - RECORD_BYTES))[:CANDIDATES]
    lines: dict[bytes, list[bytes]] = {owner: [] for owner in near}
    for owner, line in _owned_lines(source):
        if owner in lines:
            lines[owner].append(line)
    for owner in near:
        body = _bundle(lines[owner])
        timeline = _timeline(body, profile)
        stay = timeline.stays[-1] if timeline.stays else None
        ended = stay is not None and stay.end is not None
        if not stay or not ended:
            continue
        if why_not(View(timeline, stay, stay.end or 0), "scoring", used_now(profile)) is None:
            return body, profile
    raise RuntimeError("no patient with a stay to score")


def _owned_lines(source: Path) -> Iterator[tuple[bytes, bytes]]:
    """Every whole line of an export that belongs to a patient, with the patient's id."""
    for file in export_files(source):
        for piece in pieces(file):
            found = _OWNER.search(piece.raw) or _PATIENT.search(piece.raw)
            if found is not None and not isinstance(decode(piece.raw), Rejected):
                yield found.group(1), piece.raw.strip()


def _bundle(lines: list[bytes]) -> bytes:
    entries = b",".join(b'{"resource":' + line + b"}" for line in lines)
    return b'{"resourceType":"Bundle","type":"collection","entry":[' + entries + b"]}"


def _timeline(body: bytes, profile: SiteProfile) -> Timeline:
    records = read_bundle(body, profile)
    return Timeline(records.subject, records.events, site_concepts(profile), profile)


def _row(mlruns: Path, body: bytes, profile: SiteProfile) -> dict[str, Any]:
    """The row of the model's features, as MLflow takes it."""
    model = champion(mlruns)
    timeline = _timeline(body, profile)
    stay = timeline.stays[-1]
    values = View(timeline, stay, stay.end or 0).row(model.features)
    split = {
        "columns": [feature.name for feature in model.features],
        "data": [[None if value != value else value for value in values]],
    }
    return {"dataframe_split": split}


@contextmanager
def ours(mlruns: Path, profile: str = "default") -> Iterator[tuple[str, float]]:
    """Our service in a process of its own: its address, and seconds until it was ready."""
    port = _free_port()
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    command += ["--profile", profile, "--mlruns", str(mlruns), "--development"]
    # What is timed is more than one caller may ask.
    unlimited = {"READMIT_REQUESTS_PER_MINUTE": "1000000"}
    with _server(command, f"http://127.0.0.1:{port}/readyz", unlimited) as took:
        yield f"http://127.0.0.1:{port}", took


@contextmanager
def theirs(folder: Path, mlruns: Path) -> Iterator[tuple[str, float]]:
    """MLflow's scoring server with the same trees: its address, and seconds until ready."""
    home = folder / "peer"
    if not home.exists():
        mlflow.pyfunc.save_model(
            str(home),
            python_model=str(Path(__file__).with_name("mlflow_peer.py")),
            artifacts={"trees": str(_trees(mlruns))},
        )
    port = _free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(home)]
    command += ["-p", str(port), "-h", "127.0.0.1", "--env-manager", "local"]
    with _server(command, f"http://127.0.0.1:{port}/ping") as took:
        yield f"http://127.0.0.1:{port}", took


@contextmanager
def floor(
    folder: Path, mlruns: Path, body: bytes, row: dict[str, Any]
) -> Iterator[tuple[str, float]]:
    """The floor in a process of its own: its address, and seconds until it was ready."""
    types = {resource["resourceType"] for resource in _resources(body)}
    given = Given(
        str(_trees(mlruns)), row["dataframe_split"]["data"][0], sorted(types - RESOURCES.keys())
    )
    (folder / "floor.json").write_bytes(msgspec.json.encode(given))
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.floor", str(port), str(folder / "floor.json")]
    with _server(command, f"http://127.0.0.1:{port}/") as took:
        yield f"http://127.0.0.1:{port}", took


def _resources(body: bytes) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in msgspec.json.decode(body)["entry"]]


def _trees(mlruns: Path) -> Path:
    note = read_champion(mlruns)
    if note is None:
        raise RuntimeError("no champion")
    return mlruns / note.folder / "model.ubj"


@contextmanager
def _server(
    command: list[str], ready: str, settings: Mapping[str, str] | None = None
) -> Iterator[float]:
    began = time.perf_counter()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PATH": path} | dict(settings or {}),
        start_new_session=True,
    )
    try:
        while time.perf_counter() - began < 120:
            if process.poll() is not None:
                raise RuntimeError(f"{command[2]} ended with {process.returncode}")
            try:
                if httpx.get(ready, trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        else:
            raise RuntimeError(f"{command[2]} was not ready within two minutes")
        yield time.perf_counter() - began
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
