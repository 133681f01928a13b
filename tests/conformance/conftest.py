"""A service that two EHRs call, each as one of those that exist."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from calling_ehrs import EHR, ISSUER, ORIGIN, SHAPES
from openid_provider import openid_provider
from trusting_service import ModelOfOneMind, Service, settings_in

from service.app import create_app

LAUNCHING = """
[[fhir_server]]
url = "https://{0}.example/fhir"
issuer = "{1.issuer}"
client_id = "readmit-app"
"""


@pytest.fixture(scope="session")
def ehrs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, EHR]]:
    """The public sandbox (ES384, no sub, the URL as audience) and Epic (RS384, nbf, sub)."""
    folder = tmp_path_factory.mktemp("conformance")
    with ExitStack() as stack:
        people = stack.enter_context(openid_provider())
        settings = settings_in(folder, people, cors_origins=(ORIGIN,))
        providers = {}
        file = folder / "issuers.toml"
        for name, (algorithm, audience, _) in SHAPES.items():
            providers[name] = stack.enter_context(openid_provider(algorithm))
            listed = ISSUER.format(
                issuer=providers[name].issuer, audience=audience, algorithm=algorithm
            )
            file.write_text(file.read_text() + listed + LAUNCHING.format(name, providers[name]))
        model = ModelOfOneMind()
        model.band = lambda probability: "high"  # type: ignore[method-assign]  # for every stay
        app = create_app(settings, model)  # type: ignore[arg-type]  # stands in
        portal = stack.enter_context(start_blocking_portal())
        stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
        service = Service(app, people, folder / "opt-out.txt", portal)
        yield {name: EHR(providers[name], service, SHAPES[name][2]) for name in SHAPES}


@pytest.fixture(params=list(SHAPES))
def ehr(request: pytest.FixtureRequest, ehrs: dict[str, EHR]) -> EHR:
    """Each of the two."""
    return ehrs[request.param]


@pytest.fixture
def patient(request: pytest.FixtureRequest) -> str:
    """Somebody whom no other test has shown a card of."""
    return re.sub(r"[^A-Za-z0-9]+", "-", request.node.name)[:60].strip("-")


@pytest.fixture
def card(ehr: EHR, patient: str) -> dict[str, Any]:
    """The card that each of the two is answered with."""
    return ehr.card(patient)
