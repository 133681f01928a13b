"""Errors: one shape everywhere, the right status, and nothing of what was sent."""

import importlib
import logging
import pkgutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

import fhir_mappings
import service
from fhir_mappings.errors import NotFHIRError, ReadmitError, RiskModelError
from service import serving
from service.follow_ups.examples import FOLLOW_UP
from service.follow_ups.follow_up import Change
from service.follow_ups.keep import ConflictError
from service.problems import problem_of

CANARY = "Canarina"
"""A name planted in what is sent; it may come back nowhere."""

FHIR = {"Content-Type": "application/fhir+json"}


def is_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert set(problem) - {"incident"} == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    assert problem["type"] == "about:blank" or problem["type"].startswith("urn:readmit:problem:")
    assert problem["title"]
    assert problem["detail"]
    return problem


def all_readmit_errors() -> set[type[ReadmitError]]:
    for package in (service, fhir_mappings):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):  # that one runs the command
                importlib.import_module(module.name)
    found: set[type[ReadmitError]] = set()
    waiting = [ReadmitError]
    while waiting:
        error = waiting.pop()
        found.add(error)
        waiting += error.__subclasses__()
    return found


def made(error: type[ReadmitError]) -> ReadmitError:
    """One of a kind; a conflict is always between two things."""
    if error is ConflictError:
        return ConflictError(FOLLOW_UP, Change())
    return error("element: reason")


def test_every_error_of_ours_is_a_problem_of_its_own() -> None:
    errors = all_readmit_errors()
    assert {NotFHIRError, RiskModelError, serving.BusyError} <= errors
    problems = [problem_of(made(error)) for error in errors]
    assert len({problem.type for problem in problems}) == len(errors)
    for problem in problems:
        assert 400 <= problem.status < 600
        assert problem.title
        assert problem.detail


def test_every_error_of_ours_is_answered_as_declared(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service import score_records as route

    for error in all_readmit_errors():

        def fail(*_: object, error: type[ReadmitError] = error) -> None:
            raise made(error)

        monkeypatch.setattr(route, "read_bundle", fail)
        problem = is_problem(client.score(), error.status)
        assert problem["title"] == error.title


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/{CANARY}", 404),
        ("POST", f"/v1/score/{CANARY}", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/score", 405),
        ("DELETE", "/v1/model", 405),
        ("POST", "/healthz", 405),
        ("PUT", "/readyz", 405),
    ],
)
def test_paths_and_methods_that_do_not_exist(
    client: Any, method: str, path: str, status: int
) -> None:
    answer = client.request(method, path)
    is_problem(answer, status)
    assert CANARY not in answer.text
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"as_of": CANARY},
        {"as_of": ""},
        {"as_of": "2026-03-09T11:30:00"},
        {"as_of": "2026-03-09"},
        {"as_of": "1741519800"},
        {"as_of": "2026-03-09T11:30:00 01:00"},
        {"as_of": "0001-01-01T00:00:00+14:00"},
        {"as_of": "9999-12-31T23:59:59-14:00"},
        {"as_of": "2026-03-09T11:30:00Z\x00"},
        {"as_of": "2" * 65},
        {"as_of": "1990-01-01T00:00:00Z"},
        {"encounter_id": CANARY},
        {"encounter_id": CANARY * 40},
        {"encounter_id": ""},
        {"encounter_id": ["example-stay", "example-earlier-stay"]},
        {"encounter": "example-earlier-stay"},
        {CANARY: "1"},
        {"encounter_id": "example-stay", "as_of": "2026-01-01T00:00:00Z"},
    ],
)
def test_parameters_that_cannot_be_answered(client: Any, parameters: dict[str, Any]) -> None:
    answer = client.score(**parameters)
    is_problem(answer, 422)
    assert CANARY not in answer.text


def test_a_time_without_offset_is_told_how_to_be_written(client: Any) -> None:
    unescaped = client.request(
        "POST", "/v1/score?as_of=2026-03-09T11:30:00+01:00", content=b"{}", headers=FHIR
    )
    assert "%2B" in is_problem(unescaped, 422)["detail"]
    naive = client.score(as_of="2026-03-09T11:30:00")
    assert "offset" in is_problem(naive, 422)["detail"]


def deep(levels: int) -> bytes:
    return b'{"resourceType":"Bundle","entry":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"not json " + CANARY.encode(),
        b'{"resourceType":"Bundle","entry":[',
        b'{"resourceType":"' + CANARY.encode() + b'"}',
        b'{"resourceType":"Patient","name":[{"family":"' + CANARY.encode() + b'"}]}',
        b'{"resourceType":"Bundle","entry":"' + CANARY.encode() + b'"}',
        b'{"resourceType":"Bundle","total":NaN}',
        b'{"resourceType":"Bundle","id":"a","id":"' + CANARY.encode() + b'"}',
        b'\xef\xbb\xbf{"resourceType":"Bundle"}',
        b'{"resourceType":"Bundle","id":"' + CANARY.encode() + b'\xff"}',
        b'{"resourceType":"Bundle","id":"\x00' + CANARY.encode() + b'"}',
        deep(65),
        deep(5_000),
        deep(200_000),
    ],
    ids=range(16),
)
def test_what_is_not_a_bundle_is_refused_and_not_quoted(
    client: Any, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = client.score(body)
    is_problem(answer, 400)
    assert CANARY not in answer.text
    assert CANARY not in caplog.text


def test_two_patients_in_one_bundle_are_refused(
    client: Any, bundle: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    other = {
        "resourceType": "Patient",
        "id": CANARY,
        "name": [{"family": CANARY}],
        "birthDate": "1950-01-01",
    }
    bundle["entry"].append({"resource": other})
    with caplog.at_level(logging.DEBUG):
        answer = client.score(bundle)
    assert "2 patients" in is_problem(answer, 422)["detail"]
    assert CANARY not in answer.text + caplog.text


def test_records_without_a_hospital_stay_are_refused_with_what_is_missing(client: Any) -> None:
    patient = {"resourceType": "Patient", "id": "lonely", "birthDate": "1950-01-01"}
    answer = client.score(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": patient}]}
    )
    assert "no inpatient stay" in is_problem(answer, 422)["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/xml"},
        {"Content-Type": "application/fhir+xml"},
        {"Content-Type": CANARY},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_only_fhir_json_in_utf_8_is_taken(client: Any, headers: dict[str, str]) -> None:
    answer = client.request("POST", "/v1/score", content=b"{}", headers=headers)
    is_problem(answer, 415)
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/fhir+json; charset=utf-8", "Application/FHIR+JSON"],
)
def test_fhir_json_is_taken_however_it_is_announced(client: Any, content_type: str) -> None:
    headers = {"Content-Type": content_type}
    answer = client.request("POST", "/v1/score", content=b"{}", headers=headers)
    is_problem(answer, 400)


class Chunks(httpx.AsyncByteStream):
    """A body without end, which counts how much of it was asked for."""

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.sent += 1
            yield b" " * 1_000


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(client: Any) -> None:
    body = Chunks()
    headers = FHIR | {"Content-Length": str(200_000_000)}
    answer = client.request("POST", "/v1/score", content=body, headers=headers)
    is_problem(answer, 413)
    assert body.sent == 0


def test_a_body_without_a_length_is_refused_where_it_exceeds_the_limit(
    client_with: Callable[..., Any],
) -> None:
    body = Chunks()
    client = client_with(body_limit=10_000)
    answer = client.request("POST", "/v1/score", content=body, headers=FHIR)
    is_problem(answer, 413)
    assert body.sent == 11


def test_a_body_that_understates_its_length_is_refused_all_the_same(
    client_with: Callable[..., Any],
) -> None:
    headers = FHIR | {"Content-Length": "10"}
    answer = client_with(body_limit=10_000).request(
        "POST", "/v1/score", content=Chunks(), headers=headers
    )
    is_problem(answer, 413)


def test_a_body_at_the_limit_is_read(client_with: Callable[..., Any]) -> None:
    client = client_with(body_limit=10_000)
    is_problem(client.score(b" " * 10_000), 400)
    is_problem(client.score(b" " * 10_001), 413)


def test_a_body_that_does_not_arrive_in_time_gives_up_its_place(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio

    from service import body

    class Slow(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"{"
            await anyio.sleep_forever()

    monkeypatch.setattr(body, "READ_WITHIN_SECONDS", 0.01)
    is_problem(client.request("POST", "/v1/score", content=Slow(), headers=FHIR), 408)


def test_beyond_its_room_the_service_says_so_and_when_to_come_back(
    client_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "AT_ONCE", 1)
    client = client_with()
    with client.app.state.serving.room():
        answer = client.score()
        is_problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0
    assert client.score().status_code == 200


def test_room_is_given_back_after_a_failure(
    client_with: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "AT_ONCE", 1)
    client = client_with()
    for _ in range(3):
        is_problem(client.score(b"{"), 400)
    assert client.score().status_code == 200


def test_without_a_model_the_service_is_alive_and_not_ready(
    client_loading: Callable[[Path], Any], tmp_path: Path
) -> None:
    client = client_loading(tmp_path / "absent")
    assert client.get("/healthz").json() == {"status": "alive"}
    for answer in (client.get("/readyz"), client.get("/v1/model"), client.score()):
        is_problem(answer, 503)
        assert int(answer.headers["retry-after"]) > 0


def test_an_unforeseen_error_has_an_incident_id_and_no_message(
    client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from service import score_records as route

    def fail(*_: object) -> None:
        raise KeyError(CANARY)

    monkeypatch.setattr(route, "read_bundle", fail)
    with caplog.at_level(logging.DEBUG):
        answers = [client.score() for _ in range(2)]
    incidents = [is_problem(answer, 500)["incident"] for answer in answers]
    assert incidents[0] != incidents[1]
    assert incidents[0] in caplog.text
    assert "KeyError" in caplog.text
    assert "in fail" in caplog.text or " fail" in caplog.text
    assert CANARY not in answers[0].text + caplog.text


def test_the_access_line_has_the_route_and_no_identifier(
    client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="readmit.access"):
        client.score(encounter_id=CANARY)
        client.get(f"/Patient/{CANARY}%0d%0aforged")
    lines: list[Any] = [r.msg for r in caplog.records if r.name == "readmit.access"]
    told = [(line["method"], line["route"], line["status"]) for line in lines]
    assert told == [("POST", "/v1/score", 422), ("GET", "(no route)", 404)]
    assert CANARY not in str(lines)


@pytest.mark.parametrize(
    "host", ["hospital.example", "127.0.0.1.hospital.example", "", "[::2]", "localhost.x:80"]
)
def test_a_name_that_somebody_pointed_at_this_machine_is_not_answered(
    client: Any, host: str
) -> None:
    is_problem(client.get("/v1/model", headers={"Host": host}), 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "LOCALHOST:8000", "[::1]:8000"])
def test_this_machines_own_names_are_answered(client: Any, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/model", "/nowhere", "/openapi.json"])
def test_every_answer_keeps_out_of_caches_and_is_what_it_says(client: Any, path: str) -> None:
    headers = client.get(path).headers
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
