"""A person signs in at an issuer, with their own browser, once, and comes back to our pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import pytest
from browsing import Browser, browsing, settings_for
from hypothesis import given
from hypothesis import strategies as st
from openid_provider import OpenIDProvider, openid_provider

from service.database import audit_entries
from service.identity import sign_in
from service.identity.sign_in import ReturnPathError, local_path


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as provider:
        provider.person |= {"groups": ["ward"], "units": ["ward-3"]}
        yield provider


@pytest.fixture
def browser(provider: OpenIDProvider, tmp_path: Path) -> Iterator[Browser]:
    with browsing(settings_for(tmp_path, provider)) as browser:
        yield browser


def entries(browser: Browser) -> list[audit_entries.Row]:
    with browser.here.keeping.database.reading() as connection:
        return list(audit_entries.entries(connection))


def rows(browser: Browser, table: str) -> int:
    with browser.here.keeping.database.reading() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def refused(answer: httpx.Response, browser: Browser) -> None:
    """Nobody is signed in; the page says so, and not why."""
    assert answer.status_code == 400
    assert "Nobody was signed in. Begin again from the start page." in answer.text
    assert browser.cookie() is None
    assert rows(browser, "sessions") == 0
    assert entries(browser) == []


# The way in.


def test_whoever_has_a_role_is_signed_in_and_it_is_recorded(browser: Browser) -> None:
    answer = browser.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    home = browser.get("/").text
    assert "Example Clinician" in home
    assert "clinician" in home
    (entry,) = entries(browser)
    assert (entry.event, entry.outcome, entry.actor) == (
        "signed_in",
        "success",
        "example-clinician",
    )
    assert (entry.roles, entry.route) == ("clinician", "/sign-in/callback")


def test_the_issuer_is_asked_with_state_nonce_and_a_hashed_verifier(browser: Browser) -> None:
    asked = parse_qs(urlsplit(browser.get("/sign-in").headers["location"]).query)
    assert asked["response_type"] == ["code"]
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["redirect_uri"] == ["http://127.0.0.1/sign-in/callback"]
    # 43 characters of base64 are 256 bits.
    assert all(len(asked[name][0]) == 43 for name in ("state", "nonce", "code_challenge"))
    again = parse_qs(urlsplit(browser.get("/sign-in").headers["location"]).query)
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


def test_what_is_kept_meanwhile_is_neither_the_state_nor_readable(browser: Browser) -> None:
    asked = parse_qs(urlsplit(browser.get("/sign-in").headers["location"]).query)
    with browser.here.keeping.database.reading() as connection:
        kept = repr(list(connection.exec_driver_sql("SELECT * FROM sign_ins")))
    for name in ("state", "nonce", "code_challenge"):
        assert asked[name][0] not in kept
    assert "verifier" not in kept


def test_the_person_returns_to_the_page_that_was_asked_for(browser: Browser) -> None:
    path = "/worklist?unit=ward-3&sort=risk"
    answer = browser.sign_in(f"/sign-in?return_to={quote(path, safe='')}")
    assert answer.headers["location"] == path


def test_two_tabs_can_sign_in_at_once(browser: Browser) -> None:
    first, second = browser.at_the_issuer(), browser.at_the_issuer()
    assert browser.get(first).status_code == 303
    assert browser.get(second).status_code == 303


def test_a_new_session_is_made_and_the_one_before_ends(browser: Browser) -> None:
    browser.sign_in()
    before = browser.cookie()
    browser.sign_in()
    assert browser.cookie() not in (None, before)
    assert rows(browser, "sessions") == 1


# What is refused.


def test_an_answer_can_be_brought_once(browser: Browser) -> None:
    back = browser.at_the_issuer()
    assert browser.get(back).status_code == 303
    other = browser.another()
    other.client.cookies.update(browser.client.cookies)
    other.client.cookies.delete("readmit")
    assert other.get(back).status_code == 400
    assert rows(browser, "sessions") == 1


def test_an_answer_that_was_begun_by_another_browser_signs_nobody_in(browser: Browser) -> None:
    forged = browser.another().at_the_issuer()
    refused(browser.get(forged), browser)
    browser.get("/sign-in")
    forged = browser.another().at_the_issuer()
    refused(browser.get(forged), browser)


def test_an_answer_after_ten_minutes_is_too_late(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = sign_in._now()
    back, just_back = browser.at_the_issuer(), browser.at_the_issuer()
    monkeypatch.setattr(sign_in, "_now", lambda: now + 599_000_000)
    assert browser.get(just_back).status_code == 303
    monkeypatch.setattr(sign_in, "_now", lambda: now + 601_000_000)
    assert browser.get(back).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "of-nobody"},
        {"state": None},
        {"iss": "https://other.example"},
        {"code": "of-nobody"},
        {"code": None},
        {"code": ""},
        {"code": "x" * 5_000},
        {"error": "access_denied"},
    ],
)
def test_an_answer_that_is_not_whole_signs_nobody_in(
    browser: Browser, changed: dict[str, str | None]
) -> None:
    path, _, query = browser.at_the_issuer().partition("?")
    sent = {name: values[0] for name, values in parse_qs(query).items()} | changed
    kept = {name: value for name, value in sent.items() if value is not None}
    refused(browser.get(f"{path}?{urlencode(kept)}"), browser)


def test_a_parameter_that_comes_twice_is_refused(browser: Browser) -> None:
    refused(browser.get(browser.at_the_issuer() + "&state=another"), browser)


def test_an_issuer_that_does_not_name_itself_in_the_answer_is_accepted(browser: Browser) -> None:
    path, _, query = browser.at_the_issuer().partition("?")
    sent = {name: values[0] for name, values in parse_qs(query).items() if name != "iss"}
    assert browser.get(f"{path}?{urlencode(sent)}").status_code == 303


@pytest.mark.parametrize(
    "altered",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "readmit"},
        {"aud": ["readmit-pages", "another"]},
        {"azp": "another"},
        {"iss": "https://other.example"},
        {"exp": 1_000_000_000},
        {"iat": 4_000_000_000},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 256},
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_signs_nobody_in(
    browser: Browser, provider: OpenIDProvider, altered: dict[str, object]
) -> None:
    provider.altered_id_token = altered
    refused(browser.sign_in(), browser)


def test_an_id_token_for_several_says_that_it_was_given_to_us(
    browser: Browser, provider: OpenIDProvider
) -> None:
    provider.altered_id_token = {"aud": ["readmit-pages", "another"], "azp": "readmit-pages"}
    assert browser.sign_in().status_code == 303


def test_an_id_token_signed_with_another_algorithm_signs_nobody_in(
    browser: Browser, provider: OpenIDProvider
) -> None:
    provider.rotate("RS256")
    refused(browser.sign_in(), browser)


@pytest.mark.parametrize("body", [{}, {"id_token": 7}, {"id_token": "a.b.c"}, []])
def test_an_issuer_that_answers_something_else_signs_nobody_in(
    browser: Browser, provider: OpenIDProvider, body: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "exchange", lambda sent: body)
    refused(browser.sign_in(), browser)


def test_an_issuer_that_is_away_is_said_to_be(browser: Browser, provider: OpenIDProvider) -> None:
    back = browser.at_the_issuer()
    provider.stop()
    answer = browser.get(back)
    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    assert rows(browser, "sessions") == 0


def test_whoever_has_no_role_is_refused_and_it_is_recorded(
    browser: Browser, provider: OpenIDProvider
) -> None:
    provider.person["groups"] = ["kitchen"]
    answer = browser.sign_in()
    assert answer.status_code == 403
    assert "no role" in answer.text
    assert browser.cookie() is None
    (entry,) = entries(browser)
    assert (entry.event, entry.outcome, entry.actor) == (
        "sign_in_refused",
        "refused",
        "example-clinician",
    )
    assert json.loads(entry.details) == {"why": "no role"}


def test_a_person_without_a_role_never_becomes_a_system(
    provider: OpenIDProvider, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, provider)
    assert settings.issuers is not None
    trusted = settings.issuers.read_text().replace(
        "audience", 'system_scopes = "system/*.rs"\naudience'
    )
    settings.issuers.write_text(trusted)
    provider.person["groups"] = []
    with browsing(settings) as browser:
        assert browser.sign_in().status_code == 403


def test_a_sign_in_that_cannot_be_recorded_does_not_happen(browser: Browser) -> None:
    back = browser.at_the_issuer()
    with browser.here.keeping.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE audit_entries")
    assert browser.get(back).status_code == 503
    assert browser.cookie() is None
    assert rows(browser, "sessions") == 0


# Where it leads.


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
        "/a\r\nSet-Cookie: readmit=x",
        "/\u2028",
        "/" + "a" * 2_000,
    ],
)
def test_nobody_is_sent_to_another_host(browser: Browser, path: str) -> None:
    answer = browser.get(f"/sign-in?{urlencode({'return_to': path})}")
    assert answer.status_code == 400
    assert rows(browser, "sign_ins") == 0
    assert "evil" not in answer.text


@given(st.text(alphabet="/\\:?#@.ab\t\n\r ", max_size=12))
def test_a_path_that_is_accepted_leads_to_this_host(path: str) -> None:
    try:
        accepted = local_path(path)
    except ReturnPathError:
        return
    # As browsers read it (WHATWG URL): tab and line feeds are dropped, a backslash is a stroke.
    read = "".join(one for one in accepted if one not in "\t\r\n").replace("\\", "/")
    assert read.startswith("/")
    assert not read.startswith("//")
    assert httpx.URL("https://readmit.example").join(accepted).host == "readmit.example"


def test_with_several_issuers_the_person_chooses(provider: OpenIDProvider, tmp_path: Path) -> None:
    with openid_provider() as second, browsing(settings_for(tmp_path, provider, second)) as browser:
        choice = browser.get("/sign-in?return_to=/worklist")
        assert choice.status_code == 200
        for one in (provider, second):
            assert f"issuer={quote(one.issuer, safe='')}&amp;return_to=%2Fworklist" in choice.text
        second.person |= {"groups": ["ward"]}
        path = f"/sign-in?{urlencode({'issuer': second.issuer, 'return_to': '/worklist'})}"
        assert browser.sign_in(path).headers["location"] == "/worklist"
        assert entries(browser)[0].issuer == second.issuer


def test_an_issuer_that_is_not_listed_is_never_asked(browser: Browser) -> None:
    with openid_provider() as stranger:
        answer = browser.get(f"/sign-in?{urlencode({'issuer': stranger.issuer})}")
        assert answer.status_code == 404
        assert not stranger.requests


def test_without_an_issuer_the_start_page_says_that_nobody_can_sign_in(tmp_path: Path) -> None:
    with browsing(settings_for(tmp_path)) as browser:
        start = browser.get("/").text
        assert "Nobody can sign in yet" in start
        assert "/sign-in" not in start
        assert browser.get("/sign-in").status_code == 404
