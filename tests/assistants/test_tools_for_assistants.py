"""An assistant gets what its user's token gets, by a real client of the protocol, and no more."""

import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from browsing import service as plain_service
from listed_patients import listed, put_on_the_list
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from trusting_service import OTHER_UNIT, PATIENT, Service

from service.assistants.tools import TOOLS, described
from service.database.audit_entries import entries
from service.settings import Settings


def call(
    service: Service, token: str | None, tool: str, arguments: Mapping[str, Any] | None = None
) -> Any:
    """Call a tool over HTTP as an assistant does, within the service's own event loop."""

    async def asked() -> Any:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        transport = httpx2.ASGITransport(app=service.app)
        async with (
            httpx2.AsyncClient(transport=transport, headers=headers) as http,
            Client(streamable_http_client("http://127.0.0.1/mcp", http_client=http)) as client,
        ):
            if tool == "tools/list":
                return await client.list_tools()
            return await client.call_tool(tool, dict(arguments or {}))

    return service.portal.call(asked)


@pytest.fixture(scope="module")
def patients(service: Service) -> str:
    kept = service.kept()
    put_on_the_list(
        service.keeping,
        [
            listed(service.keeping, PATIENT, score_id=kept),
            listed(service.keeping, "of-another-unit", unit=OTHER_UNIT, remaining=0.1),
        ],
    )
    return kept


def test_a_real_client_finds_the_tools_and_none_of_them_writes(service: Service) -> None:
    found = call(service, service.person("care_manager"), "tools/list").tools
    assert {one.name for one in found} == {tool.name for tool in TOOLS}
    assert all(one.annotations.read_only_hint for one in found)


def test_an_assistant_lists_the_patients_of_its_users_units(
    service: Service, patients: str
) -> None:
    answer = call(service, service.person("care_manager"), "list_patients", {"band": ["high"]})
    assert not answer.is_error
    (one,) = answer.structured_content["patients"]
    assert (one["patient"], one["score_id"]) == (PATIENT, patients)
    both = call(service, service.person("clinician"), "list_patients").structured_content
    assert both["total"] == 2


def test_an_assistant_reads_a_score_with_its_reasons(service: Service, patients: str) -> None:
    answer = call(service, service.person("clinician"), "get_score", {"score_id": patients})
    assert answer.structured_content["reasons"][0]["evidence"]
    listing = call(service, service.person("clinician"), "list_scores", {"patient": PATIENT})
    assert listing.structured_content["scores"][0]["score_id"] == patients
    model = call(service, service.person("clinician"), "get_model")
    assert model.structured_content["model"]["name"] == "of-one-mind"


def test_an_assistant_gets_the_weeks_to_come_of_its_users_units(
    service: Service, patients: str
) -> None:
    answer = call(service, service.person("care_manager"), "get_unit_forecast", {"weeks": 2})
    assert not answer.is_error
    # Two patients are on the list: too few to be shown, and no batch run made it.
    assert answer.structured_content["units"] == []
    refused = call(service, service.person("auditor"), "get_unit_forecast")
    assert refused.is_error
    assert call(service, service.person("clinician"), "get_unit_forecast", {"weeks": 13}).is_error


def test_what_an_assistant_read_is_in_the_audit_as_its_users_reading(
    service: Service, patients: str
) -> None:
    call(service, service.person("care_manager", subject="somebody"), "list_patients")
    with service.keeping.database.reading() as connection:
        last = list(entries(connection))[-1]
    assert (last.event, last.actor, last.route) == ("work_list_read", "somebody", "/v1/worklist")
    assert last.patient_index == service.pseudonym()


@pytest.mark.parametrize("role", ["data_scientist", "auditor", "administrator"])
def test_without_the_scope_a_tool_is_refused_in_words(
    service: Service, patients: str, role: str
) -> None:
    answer = call(service, service.person(role), "list_patients")
    assert answer.is_error
    assert "List.r" in answer.content[0].text


def test_a_token_that_grants_less_than_the_role_gets_less(service: Service, patients: str) -> None:
    token = service.person("clinician", scope="user/RiskAssessment.r")
    assert not call(service, token, "get_score", {"score_id": patients}).is_error
    assert call(service, token, "list_patients").is_error


def test_without_a_token_nothing_is_answered(service: Service) -> None:
    with pytest.raises(BaseException) as refused:
        call(service, None, "list_patients")
    assert "401" in repr(refused.value) or "401" in str(refused.getrepr())


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_score", {"score_id": "../metrics"}),
        ("list_scores", {"patient": "x/../../metrics"}),
        ("list_patients", {"limit": 51}),
        ("list_patients", {"after": "x"}),
        ("list_patients", {"band": "high"}),
        ("get_score", {}),
        ("no_such_tool", {}),
    ],
)
def test_what_a_tool_does_not_take_asks_nothing(
    service: Service, tool: str, arguments: dict[str, Any]
) -> None:
    answer = call(service, service.person("clinician"), tool, arguments)
    assert answer.is_error
    assert "metrics" not in answer.content[0].text


def test_every_argument_is_described() -> None:
    for tool in TOOLS:
        for name, schema in described(tool).input_schema["properties"].items():
            assert schema["description"], (tool.name, name)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    """A service in development mode that listens."""
    app = plain_service(Settings(development=True, database=f"sqlite:///{tmp_path / 'readmit.db'}"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    put_on_the_list(app.state.serving.keeping, [listed(app.state.serving.keeping, PATIENT)])
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_the_command_answers_over_standard_input_and_output(service: Service, running: str) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "service", "mcp", "--url", running]
    )

    async def asked() -> Any:
        async with Client(command) as client:
            return await client.call_tool("list_patients", {})

    answer = service.portal.call(asked)
    assert answer.structured_content["patients"][0]["patient"] == PATIENT
