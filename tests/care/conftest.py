"""A care manager with a browser at a service whose list is empty before each test."""

from collections.abc import Iterator

import pytest
from browsing import Browser, browsing, settings_for
from openid_provider import OpenIDProvider, openid_provider
from sqlalchemy import delete

from service.database import tables

TABLES = (
    tables.WORK_LIST,
    tables.FOLLOW_UPS,
    tables.FOLLOW_UP_CHANGES,
    tables.SAVED_FILTERS,
    tables.SCORING_RUNS,
)


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def running(
    provider: OpenIDProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    with browsing(settings_for(tmp_path_factory.mktemp("service"), provider)) as browser:
        yield browser


@pytest.fixture
def browser(running: Browser, provider: OpenIDProvider) -> Browser:
    """Of a care manager of two units, who just signed in."""
    with running.here.keeping.database.writing() as connection:
        for table in TABLES:
            connection.execute(delete(table))
    return signed_in(running, provider, "m.example")


def signed_in(
    running: Browser, provider: OpenIDProvider, subject: str, role: str = "care"
) -> Browser:
    """A browser of somebody's own."""
    provider.person = {
        "sub": subject,
        "name": f"Example {subject}",
        "groups": [role],
        "units": ["Cardiology", "Pneumology"],
    }
    other = running.another()
    assert other.sign_in().status_code == 303
    return other


@pytest.fixture
def colleague(browser: Browser, running: Browser, provider: OpenIDProvider) -> Browser:
    return signed_in(running, provider, "n.example")


@pytest.fixture
def clinician(browser: Browser, running: Browser, provider: OpenIDProvider) -> Browser:
    return signed_in(running, provider, "c.example", "ward")
