"""Every documented route, asked at random by its own documentation (schemathesis).

No request may end in a 500, and no answer may be of a status, type or shape that the documentation
does not promise. Valid and invalid requests are both made up. The caller is identified by a real
token of somebody with every role, so that all routes are reached.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from trusting_service import Service, trusting_service

from service.app import create_app
from service.identity.roles import Role
from service.settings import Settings

load_all_checks()

REQUESTS_A_ROUTE = 60
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DOCUMENTED = schemathesis.openapi.from_dict(create_app(Settings(development=True)).openapi())
OPERATIONS = [found.ok() for found in DOCUMENTED.get_all_operations()]
ASKED = [
    pytest.param(operation, mode, id=f"{operation.label}-{mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    # Where a route takes nothing but a header, no request is wrong by its documentation.
    if mode is GenerationMode.POSITIVE
    or operation.body
    or {parameter.location.value for parameter in operation.iter_parameters()} - {"header"}
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("fuzzed")
    # More is asked than one caller may.
    with trusting_service(folder, requests_per_minute=1_000_000) as running:
        yield running


@pytest.mark.parametrize(("operation", "mode"), ASKED)
def test_every_answer_is_as_documented(
    operation: Any, mode: GenerationMode, service: Service
) -> None:
    token = service.person(*(role.value for role in Role), subject="fuzzer")

    @settings(
        max_examples=REQUESTS_A_ROUTE,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        sent = case.as_transport_kwargs(base_url="http://127.0.0.1")
        sent.pop("cookies", None)
        if isinstance(sent.get("data"), str | bytes):
            sent["content"] = sent.pop("data")
        answer = service.ask(sent.pop("method"), sent.pop("url"), token, **sent)
        case.validate_response(answer, checks=CHECKS)

    ask()
