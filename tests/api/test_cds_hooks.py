"""CDS Hooks over the service: what is shown, kept, fetched and refused."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hook_calls import DISCHARGE, VIEW, call_of
from openid_provider import OpenIDProvider
from trusting_service import OPTED_OUT, OTHER_UNIT, Service, bundle_of, trusting_service

from service.database import audit_entries
from service.database.cards import shown

SYSTEM = "system/RiskAssessment.c"
CANARY = "Quillfeather"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with trusting_service(tmp_path_factory.mktemp("service")) as running:
        yield at_high_risk(running)


def at_high_risk(service: Service) -> Service:
    """Everybody is, by the model that stands in."""
    service.app.state.serving.model.band = lambda probability: "high"
    return service


@pytest.fixture
def patient(request: pytest.FixtureRequest) -> str:
    """Somebody whom no other test has shown a card of."""
    return request.node.name.replace("_", "-").partition("[")[0][:60]


def asked(service: Service, call: dict[str, Any], path: str = DISCHARGE) -> Any:
    return service.ask("POST", path, service.system(SYSTEM), json=call)


def cards(service: Service, call: dict[str, Any], path: str = DISCHARGE) -> Any:
    answer = asked(service, call, path)
    assert answer.status_code == 200, answer.text
    return answer.json()["cards"]


def entries(service: Service) -> list[Any]:
    with service.keeping.database.reading() as connection:
        return list(audit_entries.entries(connection))


def test_a_patient_about_to_be_discharged_gets_a_card(service: Service, patient: str) -> None:
    (card,) = cards(service, call_of(bundle_of(patient)))
    assert card["summary"].startswith("Readmission risk ")
    with service.keeping.database.reading() as connection:
        kept = shown(connection, card["uuid"])
    assert kept is not None
    assert (kept.band, kept.number, kept.unit) == ("high", 1, "Cardiology")
    events = [entry.event for entry in entries(service)[-2:]]
    assert events == ["score_given", "card_shown"]


def test_a_card_is_not_shown_again_for_the_same_stay(service: Service, patient: str) -> None:
    call = call_of(bundle_of(patient))
    assert [len(cards(service, call)) for _ in range(3)] == [1, 0, 0]
    assert json.loads(entries(service)[-1].details)["suppressed"] is True


def test_a_card_is_shown_again_where_the_band_has_changed(
    service: Service, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = service.app.state.serving
    monkeypatch.setattr(
        here, "playbook", here.playbook.__class__(**{**_fields(here.playbook), "show_from": "low"})
    )
    call = call_of(bundle_of(patient))
    assert len(cards(service, call)) == 1
    monkeypatch.setattr(here.model, "band", lambda probability: "low")
    assert [len(cards(service, call)) for _ in range(2)] == [1, 0]


def _fields(struct: Any) -> dict[str, Any]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def test_a_patient_who_opted_out_gets_no_card(service: Service) -> None:
    service.opt_out.write_text(f"{OPTED_OUT}\n")
    assert cards(service, call_of(bundle_of(OPTED_OUT))) == []


def test_a_risk_below_the_playbooks_band_gets_no_card(
    service: Service, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service.app.state.serving.model, "band", lambda probability: "low")
    assert cards(service, call_of(bundle_of(patient))) == []


def test_an_encounter_that_is_no_hospital_stay_gets_no_card(service: Service, patient: str) -> None:
    bundle = bundle_of(patient)
    for entry in bundle["entry"]:
        if entry["resource"]["id"] == "example-stay":
            entry["resource"]["class"]["code"] = "AMB"
    assert cards(service, call_of(bundle)) == []


def test_a_chart_opened_years_after_the_last_stay_gets_no_card(
    service: Service, patient: str
) -> None:
    bundle = bundle_of(patient)
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "Encounter":
            period = entry["resource"]["period"]
            entry["resource"]["period"] = {
                name: moment.replace("2026", "2016").replace("2025", "2015")
                for name, moment in period.items()
            }
    assert cards(service, call_of(bundle, hook="patient-view"), VIEW) == []


def test_a_chart_opened_during_the_stay_gets_a_card(service: Service, patient: str) -> None:
    bundle = bundle_of(patient)
    for entry in bundle["entry"]:
        if entry["resource"]["id"] == "example-stay":
            del entry["resource"]["period"]["end"]
            entry["resource"]["status"] = "in-progress"
    assert len(cards(service, call_of(bundle, hook="patient-view"), VIEW)) == 1


def test_records_of_another_patient_than_the_calls_are_refused(service: Service) -> None:
    call = call_of(bundle_of("example-one"))
    call["context"] = {**call["context"], "patientId": "example-two"}
    answer = asked(service, call)
    assert answer.status_code == 400
    assert "example" not in answer.text


def test_the_encounter_must_be_among_the_records(service: Service, patient: str) -> None:
    call = call_of(bundle_of(patient))
    call["context"] = {**call["context"], "encounterId": "elsewhere"}
    assert asked(service, call).status_code == 412


def test_a_person_of_another_unit_is_refused(service: Service, patient: str) -> None:
    token = service.person("care_manager", units=[OTHER_UNIT])
    answer = service.ask("POST", DISCHARGE, token, json=call_of(bundle_of(patient)))
    assert answer.status_code == 403


# Feedback.


def reported(service: Service, *reports: dict[str, Any], path: str = DISCHARGE) -> int:
    token = service.system(SYSTEM)
    body = {"feedback": list(reports)}
    status: int = service.ask("POST", f"{path}/feedback", token, json=body).status_code
    return status


def kept_feedback(service: Service, card: str) -> list[Any]:
    with service.keeping.database.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT outcome, accepted, reason, comment_sealed FROM card_feedback WHERE card = ?",
            (card,),
        )
        return [tuple(row) for row in rows]


def overridden(card: str, **changes: Any) -> dict[str, Any]:
    return {
        "card": card,
        "outcome": "overridden",
        "outcomeTimestamp": "2026-03-09T12:00:00Z",
        **changes,
    }


def test_feedback_is_kept_once_with_its_reason_and_its_comment_sealed(
    service: Service, patient: str
) -> None:
    (card,) = cards(service, call_of(bundle_of(patient)))
    code = card["overrideReasons"][0]
    report = overridden(
        card["uuid"], overrideReason={"reason": code, "userComment": f"{CANARY} was here."}
    )
    assert [reported(service, report, report) for _ in range(2)] == [200, 200]
    ((outcome, accepted, reason, comment),) = kept_feedback(service, card["uuid"])
    assert (outcome, accepted, reason) == ("overridden", 0, code["code"])
    assert CANARY.encode() not in comment
    last = entries(service)[-1]
    assert (last.event, json.loads(last.details)["repeated"]) == ("card_feedback", True)
    assert CANARY not in str(entries(service))


def test_a_reason_that_is_not_the_playbooks_is_kept_as_other(
    service: Service, patient: str
) -> None:
    (card,) = cards(service, call_of(bundle_of(patient)))
    report = overridden(card["uuid"], overrideReason={"reason": {"code": CANARY}})
    assert reported(service, report) == 200
    assert [row[2] for row in kept_feedback(service, card["uuid"])] == ["other"]


def test_accepted_suggestions_are_counted(service: Service, patient: str) -> None:
    (card,) = cards(service, call_of(bundle_of(patient)))
    taken = [{"id": one["uuid"]} for one in card["suggestions"][:2]]
    report = overridden(card["uuid"], outcome="accepted", acceptedSuggestions=taken)
    assert reported(service, report) == 200
    assert [row[:2] for row in kept_feedback(service, card["uuid"])] == [("accepted", 2)]


def test_a_card_that_was_never_given_or_by_the_other_service_is_passed_over(
    service: Service, patient: str
) -> None:
    (card,) = cards(service, call_of(bundle_of(patient)))
    before = len(entries(service))
    assert reported(service, overridden("00000000-0000-5000-8000-000000000000")) == 200
    assert reported(service, overridden(card["uuid"]), path=VIEW) == 200
    assert kept_feedback(service, card["uuid"]) == []
    assert len(entries(service)) == before


# Fetching, and what is never connected to.


class Listener:
    """A FHIR server on loopback that counts who comes."""

    def __init__(self, bundle: dict[str, Any]) -> None:
        self.connections = 0
        self.tokens: set[str | None] = set()
        self.delay = 0.0
        resources = [entry["resource"] for entry in bundle["entry"]]
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.tokens.add(self.headers["Authorization"])
                time.sleep(listener.delay)
                kind = self.path.removeprefix("/fhir/").partition("?")[0].partition("/")[0]
                found = [one for one in resources if one["resourceType"] == kind]
                answer: Any = {
                    "resourceType": "Bundle",
                    "type": "searchset",
                    "entry": [{"resource": one} for one in found],
                }
                content = json.dumps(found[0] if kind == "Patient" else answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/fhir+json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                with suppress(BrokenPipeError):  # whoever asked did not wait
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def get_request(self) -> tuple[socket.socket, Any]:
                listener.connections += 1
                return super().get_request()

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]


@contextmanager
def listening(bundle: dict[str, Any]) -> Iterator[Listener]:
    listener = Listener(bundle)
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield listener
    finally:
        listener.server.shutdown()
        thread.join()
        listener.server.server_close()


PAIRED = """
[[fhir_server]]
url = "http://127.0.0.1:{port}/fhir"
issuer = "{issuer}"
addresses = ["127.0.0.1"]
"""

AUTHORIZATION = {
    "access_token": "example-access",
    "token_type": "Bearer",
    "expires_in": 300,
    "scope": "user/*.read",
    "subject": "readmit",
}

Pair = Callable[..., Service]


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, Listener]]:
    """A service whose issuer is paired with a FHIR server on loopback."""
    folder = tmp_path_factory.mktemp("paired")
    with listening(bundle_of("example-fetched")) as listener, _trusting(folder, listener) as here:
        yield here, listener


@contextmanager
def _trusting(folder: Path, listener: Listener) -> Iterator[Service]:
    import trusting_service as fixture

    plain = fixture.settings_in

    def with_server(folder: Path, issuer: OpenIDProvider, **settings: Any) -> Any:
        made = plain(folder, issuer, **settings)
        file = folder / "issuers.toml"
        server = PAIRED.format(port=listener.port, issuer=issuer.issuer)
        file.write_text(file.read_text() + server)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixture, "settings_in", with_server)
        with trusting_service(folder, fhir_deadline_seconds=1.0) as running:
            yield at_high_risk(running)


def unfetched(server: str | None, **changes: Any) -> dict[str, Any]:
    whole = call_of(bundle_of("example-fetched"), fhirServer=server, **changes)
    if server is not None:
        whole["fhirAuthorization"] = AUTHORIZATION
    return {name: part for name, part in whole.items() if name != "prefetch"}


def test_what_was_not_prefetched_is_fetched_from_the_paired_server(
    paired: tuple[Service, Listener],
) -> None:
    service, listener = paired
    assert len(cards(service, unfetched(f"http://127.0.0.1:{listener.port}/fhir/"))) == 1
    assert listener.tokens == {"Bearer example-access"}


def test_a_server_that_takes_longer_than_the_deadline_is_not_waited_for(
    paired: tuple[Service, Listener],
) -> None:
    service, listener = paired
    listener.delay = 2.0
    try:
        answer = asked(service, unfetched(f"http://127.0.0.1:{listener.port}/fhir"))
    finally:
        listener.delay = 0.0
    assert answer.status_code == 412


def test_without_a_server_what_lacks_is_named(service: Service) -> None:
    answer = asked(service, unfetched(None))
    assert answer.status_code == 412
    assert "encounters" in answer.json()["detail"]


HOSTILE = [
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/fhir/../admin",
    "http://127.0.0.1:{port}/other",
    "http://127.0.0.1:{port}/fhir?x=1",
    "http://127.0.0.1:{port}/fhir#x",
    "http://user:secret@127.0.0.1:{port}/fhir",
    "http://ehr.example@127.0.0.1:{port}/fhir",
    "http://localhost:{port}/fhir",
    "http://[::ffff:127.0.0.1]:{port}/fhir",
    "http://2130706433:{port}/fhir",
    "http://0x7f000001:{port}/fhir",
    "http://0177.0.0.1:{port}/fhir",
    "http://127.1:{port}/fhir",
    "http://0.0.0.0:{port}/fhir",
    "http://127.0.0.1.nip.io:{port}/fhir",
    "https://127.0.0.1:{port}/fhir",
    "ftp://127.0.0.1:{port}/fhir",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "//127.0.0.1:{port}/fhir",
    "127.0.0.1:{port}/fhir",
    "http:\\\\127.0.0.1:{port}\\fhir",
    "http://127.0.0.1:{port}\t/fhir",
    "http://127.0.0.1:{port}/fhir\r\nHost: x",
    "http://127.0.0.1:{port}%2f/fhir",
    "http://169.254.169.254/latest/meta-data",
    "http://[fd00:ec2::254]/latest",
    "https://",
    "",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
]
"""Each of them would lead to the listener, or into the operator's network, for a careless
client."""


@pytest.mark.parametrize("address", HOSTILE)
def test_a_server_that_is_not_paired_is_never_connected_to(
    paired: tuple[Service, Listener], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, listener = paired
    opened: list[str] = []
    monkeypatch.setattr(
        "service.fhir_servers.client.FHIRServer.__init__", lambda *_, **__: opened.append("server")
    )
    before = listener.connections
    answer = asked(service, unfetched(address.format(port=listener.port)))
    assert answer.status_code == 412
    assert (listener.connections, opened) == (before, [])


def test_another_issuers_server_is_not_asked(
    service: Service, paired: tuple[Service, Listener]
) -> None:
    _, listener = paired
    before = listener.connections
    answer = asked(service, unfetched(f"http://127.0.0.1:{listener.port}/fhir"))
    assert (answer.status_code, listener.connections) == (412, before)
