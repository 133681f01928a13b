"""Pages say who is signed in and what they may do, and what they show is never taken for markup."""

import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from browsing import Browser, browsing, settings_for
from fastapi.routing import APIRoute
from openid_provider import OpenIDProvider, openid_provider
from parsed_page import Page, headings

from service.identity.roles import ROLES, Role
from service.pages.errors import prefers_html
from service.pages.page import stylesheet
from service.pages.words import ACCESS, ROLE_NAMES, may_do, role_names
from service.settings import Settings

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "\"><script>alert('x')</script>",
    "{{ 7 * 7 }}{% raw %}",
    "Example\r\nSet-Cookie: readmit=x\r\n\r\n<b>",
    "\u202egnp.elpmaxE",
    "=1+1",
    "javascript:alert(1)",
    "&lt;b&gt;",
)


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def browser(
    provider: OpenIDProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    with browsing(settings_for(tmp_path_factory.mktemp("service"), provider)) as browser:
        yield browser


@pytest.fixture
def person(browser: Browser, provider: OpenIDProvider) -> Any:
    """Sign somebody in with these claims, in a browser of their own."""

    def sign_in(**claims: object) -> Browser:
        provider.person = {"sub": "example-person", "groups": ["ward"], **claims}
        other = browser.another()
        assert other.sign_in().status_code == 303
        return other

    return sign_in


def well_made(source: str) -> Page:
    """A page that holds to our policy: whole in itself, and open to a screen reader."""
    page = Page(source)
    assert page.faults == []
    assert page.named("html") == [{"lang": "en"}]
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    levels = headings(page)
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    for name in ("header", "main", "footer"):
        assert len(page.named(name)) == 1, name
    assert not page.named("script", "style", "iframe", "object", "embed", "img", "base")
    assert page.values("style") == []
    assert not [
        name for _, found in page.elements for name in found if name.lower().startswith("on")
    ]
    assert all(
        target == "data:," or (target[0] in "/#" and not target.startswith("//"))
        for name in ("href", "src", "action")
        for target in page.values(name)
    )
    assert all(set(place.split()) <= set(ids) for place in page.values("aria-labelledby"))
    links = page.named("a")
    assert links[0] == {"class": "skip", "href": "#content"}
    for form in page.named("form"):
        assert form["method"] == "post"
    return page


# What they say.


def test_a_stranger_is_told_what_this_is_and_where_to_sign_in(browser: Browser) -> None:
    page = well_made(browser.another().get("/").text)
    assert "risk of an unplanned readmission" in page.words
    assert "/sign-in" in page.values("href")
    assert page.named("form") == []
    assert "/v1/model" not in page.values("href")


def test_a_care_manager_reads_who_they_are_what_they_may_do_and_their_units(person: Any) -> None:
    someone = person(name="Example Manager", groups=["care"], units=["ward-3", "ward-12"])
    page = well_made(someone.get("/").text)
    assert "Example Manager" in page.words
    assert "ward-12, ward-3" in page.words
    assert ROLES[Role.CARE_MANAGER].why in page.words
    for deed in may_do(Role.CARE_MANAGER):
        assert deed in page.words
    assert ROLES[Role.CLINICIAN].why not in page.words
    assert {"/work-list", "/v1/model", "/openapi.json"} <= set(page.values("href"))
    (form,) = page.named("form")
    assert form["action"] == "/sign-out"
    assert "csrf_token" in page.values("name")


def test_a_care_manager_without_units_is_told_that_they_see_nobody(person: Any) -> None:
    assert "you see no patients" in well_made(person(groups=["care"]).get("/").text).words


def test_a_clinician_works_in_every_unit(person: Any) -> None:
    assert "every unit" in well_made(person().get("/").text).words


def test_what_may_not_be_opened_is_not_offered(person: Any, monkeypatch: Any) -> None:
    someone = person()
    monkeypatch.setattr("service.identity.caller.Caller.may", lambda *_: False)
    assert "/v1/model" not in well_made(someone.get("/").text).values("href")


def test_development_mode_is_said_on_every_page(tmp_path: Path) -> None:
    settings = Settings(development=True, database=f"sqlite:///{tmp_path / 'readmit.db'}")
    with browsing(settings) as browser:
        for path in ("/", "/nowhere"):
            page = well_made(browser.get(path).text)
            assert "Development mode." in page.words
            # There is no session to end.
            assert page.named("form") == []


def test_without_development_mode_nothing_is_said_of_it(browser: Browser, person: Any) -> None:
    assert "Development mode" not in person().get("/").text
    assert "Development mode" not in browser.another().get("/nowhere").text


def test_every_role_and_all_that_it_may_do_has_words() -> None:
    assert set(ROLE_NAMES) == set(Role)
    for role in Role:
        assert set(may_do(role)) <= set(ACCESS.values()), role
    assert role_names({Role.CARE_MANAGER, Role.CLINICIAN}) == "clinician, care manager"


# What they show is text.


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_shown_as_it_is(person: Any, name: str) -> None:
    answer = person(name=name, groups=["care"], units=[name]).get("/")
    page = well_made(answer.text)
    assert " ".join(name.split()) in " ".join(page.words.split())
    assert "set-cookie" not in answer.headers
    # Set apart, so that a direction mark within it does not turn what follows around.
    assert len(page.named("bdi")) >= 3


def test_a_hostile_path_is_not_repeated(browser: Browser) -> None:
    for path in ("/%3Cimg%20src=x%20onerror=alert(1)%3E", "/a%0d%0aSet-Cookie:%20x=1"):
        answer = browser.get(path)
        assert answer.status_code == 404
        well_made(answer.text)
        assert "onerror" not in answer.text
        assert "set-cookie" not in answer.headers


# Errors.


def test_whoever_opens_a_page_reads_an_error_as_a_page(browser: Browser) -> None:
    answer = browser.get("/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = well_made(answer.text)
    assert "There is no such path." in page.words


def test_a_program_gets_the_problem(browser: Browser) -> None:
    for path, accept in (
        ("/nowhere", "application/json"),
        ("/nowhere", "*/*"),
        ("/sign-in?return_to=//evil.example", "application/problem+json"),
        # The path of the API is no page, whoever asks.
        ("/v1/model", "text/html"),
    ):
        answer = browser.another().get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json", path


def test_whoever_was_signed_out_is_led_to_sign_in_and_back_to_where_they_were(
    browser: Browser, person: Any
) -> None:
    someone = person()
    token = someone.csrf_token()
    stranger = browser.another()
    answer = stranger.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 401
    # Its cookie may just have been held back by the browser: it is left there.
    assert "set-cookie" not in answer.headers
    # A form is not sent again by a link: from there the way leads to the start.
    assert "/sign-in" in well_made(answer.text).values("href")


def test_an_error_page_says_who_is_signed_in_as_the_others_do(person: Any) -> None:
    answer = person(name="Example Person").post("/sign-out", data={"csrf_token": "0" * 64})
    assert answer.status_code == 403
    page = well_made(answer.text)
    assert "The page is out of date." in page.words
    assert "Example Person" in page.words


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("TEXT/HTML;Q=0.5", True),
        ("application/json;q=0.4, text/html;q=0.5", True),
        ("application/json, text/html", False),
        ("application/json, text/html;q=0.9", False),
        ("text/html;q=0", False),
        ("text/html;q=high", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_an_accept_header_is_read_as_it_is_meant(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html


# The look.


def test_the_stylesheet_is_ours_and_named_by_its_content(browser: Browser) -> None:
    path, content = stylesheet()
    answer = browser.get(path)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.content == content
    assert answer.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
    assert browser.get("/assets/style.css").headers["cache-control"] == "no-store"
    assert browser.get("/").headers["cache-control"] == "no-store"
    assert hashlib.sha256(content).hexdigest()[:16] in path
    assert not re.search(rb"url\(|@import|expression", content)
    assert browser.get("/").text.count(path) == 1


@pytest.mark.parametrize("name", ["style.css", "style-0000000000000000.css", "..%2fpage.py"])
def test_no_other_file_is_given_out(browser: Browser, name: str) -> None:
    assert browser.get(f"/assets/{name}").status_code == 404


def test_pages_and_only_pages_are_left_out_of_the_apis_description(browser: Browser) -> None:
    described = browser.get("/openapi.json").json()["paths"]
    left_out = {
        route.path
        for route in _routes(browser.app.routes)
        if route.path not in described and isinstance(route, APIRoute)
    }
    assert left_out == {
        "/",
        "/assets/{name}",
        "/sign-in",
        "/sign-in/callback",
        "/sign-out",
        "/launch",
        "/launch/callback",
        "/month",
        "/planning",
        "/model-card",
        "/risk/{score_id}",
        "/risk/{score_id}/break-glass",
        # No page, and no interface that FastAPI could describe: the protocol describes itself.
        "/mcp",
        "/work-list",
        "/work-list/filters",
        "/work-list/filters/{filter_id}/delete",
        "/follow-up/{stay}",
    }


def _routes(among: Any) -> Iterator[APIRoute]:
    for route in among:
        if isinstance(route, APIRoute):
            yield route
        elif hasattr(route, "original_router"):
            yield from _routes(route.original_router.routes)
