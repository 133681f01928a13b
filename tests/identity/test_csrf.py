"""Another site's page cannot act in the name of whoever is signed in, on any route there is."""

from collections.abc import Iterator
from typing import Any

import pytest
from browsing import Browser, browsing, settings_for
from fastapi import FastAPI
from fastapi.routing import APIRoute
from openid_provider import OpenIDProvider, openid_provider

from service.body import FORM_LIMIT
from service.identity.access import OpenToAll, SubscriptionSecret, requirement_of
from service.identity.csrf import CrossSiteError
from service.settings import Settings

CHANGING = {"POST", "PUT", "PATCH", "DELETE"}
REFUSED = "urn:readmit:problem:cross-site"
PROGRAM = {"Accept": "application/json"}


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as provider:
        provider.person |= {"groups": ["ward"]}
        yield provider


@pytest.fixture(scope="module")
def browser(
    provider: OpenIDProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    settings = settings_for(tmp_path_factory.mktemp("service"), provider)
    with browsing(settings) as browser:
        browser.sign_in()
        yield browser


@pytest.fixture(scope="module")
def developer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("development")
    settings = Settings(development=True, database=f"sqlite:///{folder / 'readmit.db'}")
    with browsing(settings) as browser:
        yield browser


def changing(app: FastAPI) -> list[tuple[str, str]]:
    """Method and path of every route that changes something for a caller it identifies.

    A subscription's secret is no browser's: a page cannot have one send it.
    """
    found = []
    for route in routes(app.routes):
        declared = requirement_of([one.call for one in route.dependant.dependencies])
        # No browser sends the secret of a subscription by itself.
        if not isinstance(declared, OpenToAll | SubscriptionSecret):
            found += [(method, route.path) for method in route.methods & CHANGING]
    return sorted(found)


def routes(among: Any) -> Iterator[APIRoute]:
    """All routes, those of included routers as well."""
    for route in among:
        if isinstance(route, APIRoute):
            yield route
        else:
            included = getattr(route, "original_router", None)
            if included is not None:
                yield from routes(included.routes)


def problem(answer: Any) -> str:
    """The kind of problem; below ``/fhir`` it is told as an OperationOutcome."""
    content = answer.json()
    if content.get("resourceType") == "OperationOutcome":
        (issue,) = content["issue"]
        return REFUSED if issue["details"]["text"] == CrossSiteError.title else str(issue["code"])
    return str(content["type"])


def test_there_are_routes_that_change_something(browser: Browser) -> None:
    assert {("POST", "/sign-out"), ("POST", "/v1/score")} <= set(changing(browser.app))


def test_every_route_that_changes_something_wants_the_token(browser: Browser) -> None:
    for method, path in changing(browser.app):
        bare = browser.request(method, path, headers=PROGRAM)
        assert (bare.status_code, problem(bare)) == (403, REFUSED), path
        wrong = browser.request(method, path, headers={**PROGRAM, "X-CSRF-Token": "0" * 64})
        assert (wrong.status_code, problem(wrong)) == (403, REFUSED), path


def test_every_route_that_changes_something_refuses_another_site_even_with_the_token(
    browser: Browser,
) -> None:
    token = browser.csrf_token()
    for method, path in changing(browser.app):
        for said in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1"},
            {"Origin": "https://evil.example"},
            {"Origin": "http://127.0.0.1:81"},
            {"Origin": "null"},
        ):
            headers = {**PROGRAM, "X-CSRF-Token": token, **said}
            answer = browser.request(method, path, headers=headers)
            assert (answer.status_code, problem(answer)) == (403, REFUSED), (path, said)


def test_in_development_mode_another_sites_page_changes_nothing(developer: Browser) -> None:
    for method, path in changing(developer.app):
        for said in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            answer = developer.request(method, path, headers={**PROGRAM, **said})
            assert (answer.status_code, problem(answer)) == (403, REFUSED), path
        # A program, and a page of ours, get as far as the route itself.
        for said in ({}, {"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1"}):
            answer = developer.request(method, path, headers={**PROGRAM, **said})
            assert answer.status_code != 403, path


@pytest.mark.parametrize(
    "said", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://127.0.0.1"}]
)
def test_a_page_of_ours_with_the_token_gets_as_far_as_the_route(
    browser: Browser, said: dict[str, str]
) -> None:
    headers = {**PROGRAM, "X-CSRF-Token": browser.csrf_token(), **said}
    answer = browser.request("POST", "/v1/score", headers=headers, content=b"{}")
    assert answer.status_code == 415


def test_the_body_of_a_json_route_is_left_to_the_route(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(*_: object, **__: object) -> bytes:
        raise AssertionError("the body was read")

    monkeypatch.setattr("starlette.requests.Request.stream", read)
    headers = {**PROGRAM, "Content-Type": "application/fhir+json"}
    answer = browser.request("POST", "/v1/score", headers=headers, content=b"{}")
    assert (answer.status_code, problem(answer)) == (403, REFUSED)


def test_a_bearer_token_needs_no_other(browser: Browser, provider: OpenIDProvider) -> None:
    headers = {**PROGRAM, "Authorization": f"Bearer {provider.token()}"}
    answer = browser.request("POST", "/v1/score", headers=headers, content=b"{}")
    assert answer.status_code == 415


def test_the_token_of_another_session_is_no_good(browser: Browser) -> None:
    other = browser.another()
    other.sign_in()
    assert other.csrf_token() != browser.csrf_token()
    answer = browser.post("/sign-out", data={"csrf_token": other.csrf_token()}, headers=PROGRAM)
    assert (answer.status_code, problem(answer)) == (403, REFUSED)


def test_a_form_that_is_too_large_is_not_read(browser: Browser) -> None:
    form = {"csrf_token": browser.csrf_token(), "more": "x" * FORM_LIMIT}
    assert browser.post("/sign-out", data=form, headers=PROGRAM).status_code == 413


def test_a_form_that_is_damaged_is_refused(browser: Browser) -> None:
    headers = {**PROGRAM, "Content-Type": "application/x-www-form-urlencoded"}
    for content in (b"\xff", b"a=1&" * 300):
        answer = browser.post("/sign-out", content=content, headers=headers)
        assert answer.status_code == 400


def test_reading_needs_no_token_wherever_the_link_was(browser: Browser) -> None:
    assert browser.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200
