"""An EHR that launches, a service that it may launch, and a browser at both."""

from collections.abc import Iterator

import pytest
from browsing import Browser, browsing
from each_database import each_database
from launching_ehr import LaunchingEHR, launching_ehr, settings_launched_by
from postgresql import postgresql
from trusting_service import ModelOfOneMind, bundle_of

__all__ = ["each_database", "postgresql"]


@pytest.fixture(scope="module")
def running(
    each_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[LaunchingEHR, Browser]]:
    folder = tmp_path_factory.mktemp("launched")
    with launching_ehr() as ehr:
        settings = settings_launched_by(folder, ehr, launch_deadline_seconds=30)
        with browsing(settings, model=ModelOfOneMind()) as browser:
            yield ehr, browser


@pytest.fixture
def patient(request: pytest.FixtureRequest) -> str:
    """Somebody whom no other test has opened."""
    return request.node.name.replace("_", "-").partition("[")[0][-60:].lstrip("-")


@pytest.fixture
def ehr(running: tuple[LaunchingEHR, Browser], patient: str) -> LaunchingEHR:
    """The EHR as it was made, with the chart of this test's patient."""
    ehr, browser = running
    ehr.begin_anew(patient, bundle_of(patient))
    browser.here.breaker.answered(ehr.base.partition("//")[2].partition("/")[0])
    browser.here.smart_configurations._held.clear()
    return ehr


@pytest.fixture
def browser(running: tuple[LaunchingEHR, Browser], ehr: LaunchingEHR) -> Browser:
    """A browser that nobody has used yet."""
    return running[1].another()
