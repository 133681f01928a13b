"""Silence: what an operator sees of requests holds nothing of patients, whatever was sent."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from starlette.datastructures import Headers

from service.audit.anchor import AuditError
from service.observing import traces
from service.observing.logs import FIELDS, JSONLines

CANARY = "Canarina"
"""A name planted in what is sent; it may be seen nowhere."""


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What is logged meanwhile, as it would be written."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.removeHandler(handler)
    root.setLevel(level)


def fail_with_name(*_: object) -> None:
    raise KeyError(CANARY)


def hostile(client: Any, bundle: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests with a name wherever one can be put, answered and refused and failing."""
    bundle["entry"][0]["resource"]["name"] = [{"family": CANARY}]
    bundle["entry"][0]["resource"]["birthDate"] = "1931-07-19"
    client.score(bundle)
    client.score(bundle, encounter_id=CANARY)
    client.get(f"/Patient/{CANARY}%0d%0a%1b[31m?name={CANARY}")
    client.request(CANARY.upper(), "/v1/score")
    client.get(
        "/v1/model",
        headers={
            "X-Request-ID": CANARY,
            "User-Agent": f"{CANARY}\x1b[2J",
            "Traceparent": f"00-{CANARY}",
            "Tracestate": f"a={CANARY}",
            "Baggage": f"patient={CANARY}",
            "Origin": f"https://{CANARY}.example",
        },
    )
    client.get("/v1/model", headers={"Host": f"{CANARY}.example"})
    client.get("/v1/model", headers={"Authorization": f"Bearer {CANARY}"})
    with monkeypatch.context() as broken:
        broken.setattr("service.score_records.read_bundle", fail_with_name)
        client.score(bundle)


# Log lines


def test_nothing_that_was_sent_is_in_the_log(
    client: Any,
    bundle: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[dict[str, Any]]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    hostile(client, bundle, monkeypatch)
    written = lines()
    assert [line for line in written if line["event"] == "request"]
    assert CANARY.lower() not in json.dumps(written).lower()
    assert "1931" not in json.dumps(written)
    # Neither in what the standard library's loggers hold, before anything is formatted.
    ours = [record for record in caplog.records if record.name.startswith("readmit.")]
    assert CANARY.lower() not in repr([record.__dict__ for record in ours]).lower()


def test_every_field_of_our_lines_is_on_the_list(
    client: Any,
    bundle: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    hostile(client, bundle, monkeypatch)
    for line in lines():
        assert line.keys() <= FIELDS.keys() | {"time", "level", "logger"}


@pytest.mark.parametrize(
    "path",
    [
        "/Patient/a%0d%0aforged",
        "/%1b%5b31mred%1b%5b0m",
        "/%e2%80%a8line-separator",
        "/%c2%85next-line",
        "/%00nul",
        '/"},{"event":"forged',
    ],
)
def test_a_request_is_one_line_whatever_its_path(
    client: Any, lines: Callable[[], list[dict[str, Any]]], path: str
) -> None:
    client.get(path)
    (line,) = [line for line in lines() if line["logger"] == "readmit.access"]
    assert (line["method"], line["route"], line["status"]) == ("GET", "(no route)", 404)


def test_the_access_line_says_what_was_asked_by_whom_and_how_it_went(
    client: Any, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    request = "0" * 32
    client.get("/v1/model", headers={"X-Request-ID": request})
    client.get("/v1/model")
    client.get("/healthz")
    first, second, health = [line for line in lines() if line["event"] == "request"]
    assert (first["method"], first["route"], first["status"]) == ("GET", "/v1/model", 200)
    assert first["milliseconds"] >= 0
    assert first["request"] == request
    assert first["level"] == "info"
    assert first["caller"] == second["caller"]
    assert len(first["caller"]) == 16
    assert "developer" not in json.dumps(first)
    assert "caller" not in health
    assert "request" not in second


def test_an_incident_is_found_again_by_its_id_and_says_where(
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    lines: Callable[[], list[dict[str, Any]]],
) -> None:
    monkeypatch.setattr("service.score_records.read_bundle", fail_with_name)
    answered = client.score().json()["incident"]
    (line,) = [line for line in lines() if line["event"] == "incident"]
    assert line["incident"] == answered
    assert line["error"] == "KeyError"
    assert "fail_with_name" in line["where"].split(" < ")[0]
    assert "service/routes/score.py" in line["where"]


# Metrics


def numbers(client: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def count(client: Any, name: str, **labels: str) -> float:
    return numbers(client).get((name, tuple(sorted(labels.items()))), 0.0)


def test_requests_are_counted_by_route_method_and_class_of_status(client_with: Any) -> None:
    client = client_with()
    client.score()
    client.score(encounter_id="nobody")
    client.get(f"/Patient/{CANARY}")
    client.request("BREW", "/v1/score")
    found = "readmit_request_seconds_count"
    assert count(client, found, method="POST", route="/v1/score", status="2xx") == 1
    assert count(client, found, method="POST", route="/v1/score", status="4xx") == 1
    assert count(client, found, method="GET", route="(no route)", status="4xx") == 1
    assert [key for key in numbers(client) if ("method", "OTHER") in key[1]]
    assert not [key for key in numbers(client) if ("method", "BREW") in key[1]]


def test_scores_are_counted_by_what_they_said_and_which_model(
    client_with: Any, bundle: dict[str, Any], resource: Callable[[str], dict[str, Any]]
) -> None:
    client = client_with()
    band = client.score().json()["band"]
    labels = {"model": "linear", "version": "1"}
    assert count(client, "readmit_scores_total", status="scored", band=band, **labels) == 1
    stay = resource("example-stay")
    stay["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] = "aadvice"
    client.score(bundle)
    assert count(client, "readmit_scores_total", status="not_scored", band="none", **labels) == 1


def test_refusals_are_counted_by_kind(client_with: Any) -> None:
    client = client_with(requests_per_minute=4, failed_identifications_per_minute=2)
    kinds = "readmit_refusals_total"
    client.get("/v1/model", headers={"Host": "evil.example"})
    client.get("/v1/model", headers={"Authorization": "Bearer guessed"})
    assert count(client, kinds, kind="misdirected") == 1
    assert count(client, kinds, kind="not_identified") == 1
    client.get("/v1/model")
    client.get("/v1/model")
    assert client.get("/v1/model").status_code == 429  # the fifth, with the two of /metrics
    metrics = client.app.state.serving.metrics.exposition().decode()
    assert 'readmit_refusals_total{kind="caller_too_often"} 1.0' in metrics
    client.get("/v1/model", headers={"Authorization": "Bearer guessed"})
    assert client.get("/v1/model").status_code == 429
    metrics = client.app.state.serving.metrics.exposition().decode()
    assert 'readmit_refusals_total{kind="address_too_often"} 1.0' in metrics


def test_a_failing_audit_is_counted(client_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_with()

    def full(*_: object) -> None:
        raise AuditError("the audit's anchor cannot be written: No space left on device")

    assert count(client, "readmit_audit_failures_total") == 0
    with monkeypatch.context() as broken:
        broken.setattr("service.audit.ledger.write_anchor", full)
        assert client.score().status_code == 503
    assert count(client, "readmit_audit_failures_total") == 1


def test_what_runs_and_which_model_is_said(client_with: Any) -> None:
    found = numbers(client_with())
    build = [dict(labels) for name, labels in found if name == "readmit_build"]
    assert build[0]["mode"] == "development"
    assert (
        "readmit_model",
        tuple(sorted({"model": "linear", "version": "1", "fingerprint": "0" * 16}.items())),
    ) in found


def test_two_apps_count_apart(client_with: Any) -> None:
    first, second = client_with(), client_with()
    first.get("/v1/model")
    found = "readmit_request_seconds_count"
    assert count(first, found, method="GET", route="/v1/model", status="2xx") == 1
    assert count(second, found, method="GET", route="/v1/model", status="2xx") == 0


def test_no_label_holds_anything_that_was_sent(
    client: Any, bundle: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile(client, bundle, monkeypatch)
    text = client.get("/metrics").text
    assert CANARY.lower() not in text.lower()
    assert "example-patient" not in text
    assert "developer" not in text


def test_whoever_may_not_read_the_metrics_is_refused(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.identity import access
    from service.identity.caller import Caller
    from service.identity.roles import Role

    for role in Role:

        async def identify(_: object, role: Role = role) -> Caller:
            return Caller(way="bearer", issuer="i", subject="s", roles=frozenset({role}))

        monkeypatch.setattr(access, "identify", identify)
        expected = 200 if role is Role.ADMINISTRATOR else 403
        assert client.get("/metrics").status_code == expected, role


# Traces


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans of an operator who configured OpenTelemetry's SDK."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "tracer", provider.get_tracer("readmit"))
    yield exporter
    provider.shutdown()


def test_a_request_is_one_span_named_by_its_route(client: Any, spans: InMemorySpanExporter) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    client.score(encounter_id="nobody", as_of="2026-03-09T11:30:00Z")
    client.get("/v1/model", headers={"Traceparent": parent, "Tracestate": f"a={CANARY}"})
    scored, model = spans.get_finished_spans()
    assert scored.name == "POST /v1/score"
    assert dict(scored.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/score",
        "http.response.status_code": 422,
    }
    assert model.context is not None
    assert model.parent is not None
    assert f"{model.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert f"{model.parent.span_id:016x}" == "b7ad6b7169203331"
    assert not model.context.trace_state


def test_nothing_that_was_sent_is_in_a_span(
    client: Any,
    bundle: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    spans: InMemorySpanExporter,
) -> None:
    hostile(client, bundle, monkeypatch)
    finished = spans.get_finished_spans()
    assert len(finished) == 8
    text = "".join(str(span.to_json()) for span in finished).lower()
    for told in (CANARY.lower(), "example-patient", "example-stay", "127.0.0.1", "1931", "?"):
        assert told not in text, told
    allowed = {"http.request.method", "http.route", "http.response.status_code"}
    assert all(set(span.attributes or {}) <= allowed for span in finished)


def test_an_errors_message_is_not_recorded(
    client: Any, monkeypatch: pytest.MonkeyPatch, spans: InMemorySpanExporter
) -> None:
    monkeypatch.setattr("service.score_records.read_bundle", fail_with_name)
    client.score()
    (span,) = spans.get_finished_spans()
    assert span.events == ()
    assert not span.status.is_ok
    assert span.status.description is None


def test_without_an_sdk_nothing_is_recorded(client: Any) -> None:
    assert client.get("/v1/model").status_code == 200
    assert not traces.begin("GET", Headers()).is_recording()
