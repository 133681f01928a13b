"""The service in this process, a model whose sums can be checked by hand, and a client."""

import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from each_database import each_database, kept_in
from fastapi import FastAPI
from postgresql import postgresql

from fhir_mappings.features.declaration import Feature, declared_features
from service import examples
from service.app import create_app
from service.settings import Settings

__all__ = ["each_database", "postgresql"]

Bundle = dict[str, Any]


class Sum(NamedTuple):
    """What a linear model says: every contribution is weight times value."""

    probability: float
    log_odds: float
    baseline: float
    contributions: list[float]


class LinearModel:
    """Stands in for a risk model: linear, so that a test knows what it must say."""

    name = "linear"
    version = "1"
    run_id = "0000"
    horizon_days = 30
    fingerprint = "0" * 64
    baseline = -2.0

    def __init__(self) -> None:
        self.features: tuple[Feature, ...] = declared_features()
        self.reference = SimpleNamespace(
            intended_population="Adults.",
            outcome="Unplanned admission.",
            profile="default",
            prevalence=0.125,
            low_below=0.125,
            high_from=0.25,
            test={},
            baselines={},
            features=[
                SimpleNamespace(used=feature.name != "lactate_maximum") for feature in self.features
            ],
        )

    def explain(self, row: Sequence[float]) -> Sum:
        contributions = [
            -0.003 * position if math.isnan(value) else 0.002 * (position + 1) * min(value, 5.0)
            for position, value in enumerate(row)
        ]
        log_odds = self.baseline + sum(contributions)
        return Sum(1 / (1 + math.exp(-log_odds)), log_odds, self.baseline, contributions)

    def predict(self, rows: Sequence[Sequence[float]]) -> list[float]:
        return [self.explain(row).probability for row in rows]

    def band(self, probability: float) -> str:
        return "high" if probability >= 0.25 else "low"


class Client:
    """Asks an app over ASGI, as if from this machine. A failing app is an answer, not a raise."""

    def __init__(self, portal: BlockingPortal, app: FastAPI) -> None:
        self.app = app
        self._portal = portal
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://127.0.0.1",
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            return await self._client.request(method, path, **options)

        return self._portal.call(ask)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)

    def score(
        self, bundle: Bundle | bytes | None = None, **parameters: str | list[str]
    ) -> httpx.Response:
        body = bundle if isinstance(bundle, bytes) else json.dumps(bundle or examples.BUNDLE)
        return self.request(
            "POST",
            "/v1/score",
            content=body,
            params=parameters,
            headers={"Content-Type": "application/fhir+json"},
        )


def development(folder: Path, **settings: Any) -> Settings:
    """Settings of a service in development mode that keeps everything in one folder.

    Tests ask more often than any caller; those about limits set their own.
    """
    return Settings(
        **{
            "development": True,
            **({} if "database" in settings else kept_in(folder)),
            "requests_per_minute": 1_000_000,
            "failed_identifications_per_minute": 1_000_000,
            **settings,
        }
    )


@contextmanager
def running(app: FastAPI) -> Iterator[Client]:
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        stack.enter_context(portal.wrap_async_context_manager(app.router.lifespan_context(app)))
        yield Client(portal, app)


@pytest.fixture(scope="session")
def model() -> LinearModel:
    return LinearModel()


@pytest.fixture(scope="session")
def client(model: LinearModel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The service with defaults and a model."""
    folder = tmp_path_factory.mktemp("service")
    # Whichever kind its first test is about: it outlives that.
    settings = development(folder, database=f"sqlite:///{folder / 'readmit.db'}")
    with running(create_app(settings, model)) as client:  # type: ignore[arg-type]  # stands in
        yield client


@pytest.fixture
def client_with(model: LinearModel, tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Start the service with other settings, or with another model."""
    with ExitStack() as stack:

        def start(served: LinearModel = model, **settings: Any) -> Client:
            app = create_app(development(tmp_path, **settings), served)  # type: ignore[arg-type]  # stands in
            return stack.enter_context(running(app))

        yield start


@pytest.fixture
def client_loading(tmp_path: Path) -> Iterator[Callable[[Path], Client]]:
    """Start the service on a folder that should hold a risk model."""
    with ExitStack() as stack:

        def start(folder: Path) -> Client:
            return stack.enter_context(
                running(create_app(development(tmp_path, risk_model=folder)))
            )

        yield start


@pytest.fixture
def bundle() -> Bundle:
    """The documented example, to be changed by a test."""
    return copy.deepcopy(examples.BUNDLE)


@pytest.fixture
def resource(bundle: Bundle) -> Callable[[str], dict[str, Any]]:
    """A resource of ``bundle`` by its id."""

    def find(identifier: str) -> dict[str, Any]:
        found: dict[str, Any] = next(
            entry["resource"] for entry in bundle["entry"] if entry["resource"]["id"] == identifier
        )
        return found

    return find
