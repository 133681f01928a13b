"""A session is the server's: its cookie says nothing, and it ends in time, for all workers."""

import hashlib
from collections.abc import Iterator
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from browsing import Browser, browsing, settings_for
from openid_provider import OpenIDProvider, openid_provider
from sqlalchemy import text

from service.database import audit_entries
from service.identity import sessions

MINUTE = 60_000_000


pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def provider() -> Iterator[OpenIDProvider]:
    with openid_provider() as provider:
        provider.person |= {"groups": ["ward"]}
        yield provider


@pytest.fixture
def browser(provider: OpenIDProvider, tmp_path: Path) -> Iterator[Browser]:
    with browsing(settings_for(tmp_path, provider)) as browser:
        browser.sign_in()
        yield browser


def is_signed_in(browser: Browser) -> bool:
    return "You are signed in" in browser.get("/").text


def cookies(answer: httpx.Response) -> dict[str, Morsel[str]]:
    found: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return dict(found)


def run(browser: Browser, statement: str, **values: str) -> Any:
    with browser.here.keeping.database.writing() as connection:
        result = connection.execute(text(statement), values)
        return result.fetchall() if result.returns_rows else None


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the clock of sessions go forward by some minutes."""
    began = sessions._now()

    def go(minutes: float) -> None:
        monkeypatch.setattr(sessions, "_now", lambda: began + round(minutes * MINUTE))

    return go


# Its cookie.


def test_over_https_the_cookie_is_bound_to_the_host_and_unseen_by_scripts(
    provider: OpenIDProvider, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, provider, public_url="https://127.0.0.1")
    with browsing(settings, "https://127.0.0.1") as browser:
        answer = browser.sign_in()
        cookie = cookies(answer)["__Host-readmit"]
        assert cookie["secure"] is True
        assert cookie["httponly"] is True
        assert cookie["samesite"] == "lax"
        assert cookie["path"] == "/"
        assert cookie["domain"] == ""
        # It ends with the browser: on a shared machine, closing it is signing out.
        assert (cookie["max-age"], cookie["expires"]) == ("", "")
        assert is_signed_in(browser)
        browser.client.cookies.set("readmit", browser.cookie("__Host-readmit") or "")
        browser.client.cookies.delete("__Host-readmit")
        assert not is_signed_in(browser)


def test_the_cookie_of_the_sign_in_is_as_strict_and_lasts_ten_minutes(
    provider: OpenIDProvider, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, provider, public_url="https://127.0.0.1")
    with browsing(settings, "https://127.0.0.1") as browser:
        cookie = cookies(browser.get("/sign-in"))["__Host-readmit-sign-in"]
        assert (cookie["secure"], cookie["httponly"]) == (True, True)
        assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("lax", "/", "")
        assert cookie["max-age"] == "600"


def test_on_loopback_without_https_the_cookie_still_reaches_the_browser(browser: Browser) -> None:
    cookie = cookies(browser.sign_in())["readmit"]
    assert cookie["secure"] == ""
    assert (cookie["httponly"], cookie["samesite"]) == (True, "lax")


def test_the_database_holds_neither_the_cookie_nor_who_it_is(
    browser: Browser, tmp_path: Path
) -> None:
    cookie = browser.cookie()
    assert cookie is not None
    assert len(cookie) == 43  # 256 bits in base64
    kept = repr(run(browser, "SELECT * FROM sessions"))
    assert hashlib.sha256(cookie.encode()).hexdigest() in kept
    files = b"".join(path.read_bytes() for path in tmp_path.glob("readmit.db*"))
    assert cookie.encode() not in files
    assert b"Example Clinician" not in files


# When it ends.


def test_it_ends_when_it_was_not_used_for_fifteen_minutes(browser: Browser, later: Any) -> None:
    later(14)
    assert is_signed_in(browser)
    later(28)
    assert is_signed_in(browser)
    later(43.1)
    assert not is_signed_in(browser)


def test_it_ends_after_eight_hours_however_much_it_is_used(browser: Browser, later: Any) -> None:
    for minutes in range(10, 480, 10):
        later(minutes)
        assert is_signed_in(browser)
    later(480.1)
    assert not is_signed_in(browser)


def test_reading_within_a_minute_writes_nothing(browser: Browser, later: Any) -> None:
    used = run(browser, "SELECT used_at FROM sessions")
    later(0.5)
    assert is_signed_in(browser)
    assert run(browser, "SELECT used_at FROM sessions") == used
    later(1.5)
    assert is_signed_in(browser)
    assert run(browser, "SELECT used_at FROM sessions") != used


def test_sessions_that_are_over_do_not_stay_in_the_database(browser: Browser, later: Any) -> None:
    later(20)
    browser.another().sign_in()
    assert run(browser, "SELECT count(*) FROM sessions") == [(1,)]


def test_signing_out_ends_it_for_every_worker_and_is_recorded(
    browser: Browser, provider: OpenIDProvider, tmp_path: Path
) -> None:
    with browsing(settings_for(tmp_path, provider)) as worker:
        worker.client.cookies.update(browser.client.cookies)
        assert is_signed_in(worker)
        answer = browser.post("/sign-out", data={"csrf_token": browser.csrf_token()})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert cookies(answer)["readmit"]["max-age"] == "0"
        assert browser.cookie() is None
        assert not is_signed_in(worker)
    with browser.here.keeping.database.reading() as connection:
        last = list(audit_entries.entries(connection))[-1]
    assert (last.event, last.actor) == ("signed_out", "example-clinician")


def test_a_sign_out_that_cannot_be_recorded_is_refused_and_said_to_be(browser: Browser) -> None:
    token = browser.csrf_token()
    run(browser, "DROP TABLE audit_entries")
    answer = browser.post("/sign-out", data={"csrf_token": token})
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert is_signed_in(browser)


# What is no session.


@pytest.mark.parametrize(
    "cookie", ["x", "x" * 43, "x" * 4_000, "' OR 1=1 --", "..%2F", "\x7f" * 43]
)
def test_another_cookie_identifies_nobody(browser: Browser, cookie: str) -> None:
    stranger = browser.another()
    answer = stranger.get("/v1/model", headers={"Cookie": f"readmit={cookie}"})
    assert answer.status_code == 401
    page = stranger.get("/", headers={"Cookie": f"readmit={cookie}"})
    assert "Sign in" in page.text
    assert cookies(page)["readmit"]["max-age"] == "0"


def test_a_caller_moved_to_another_session_by_who_can_write_the_database_is_no_good(
    browser: Browser, provider: OpenIDProvider
) -> None:
    other = browser.another()
    provider.person |= {"sub": "example-care-manager", "groups": ["care"]}
    other.sign_in()
    ids = [hashlib.sha256((one.cookie() or "").encode()).hexdigest() for one in (browser, other)]
    run(
        browser,
        "UPDATE sessions SET caller_sealed = "
        "(SELECT caller_sealed FROM sessions WHERE id_hash = :mine) WHERE id_hash = :other",
        mine=ids[0],
        other=ids[1],
    )
    assert is_signed_in(browser)
    assert not is_signed_in(other)


def test_it_ends_with_the_trust_in_the_issuer_that_vouched_for_the_person(
    browser: Browser,
) -> None:
    assert is_signed_in(browser)
    browser.here.trusted.issuers.clear()
    assert not is_signed_in(browser)


def test_a_bearer_token_is_judged_before_a_session(
    browser: Browser, provider: OpenIDProvider
) -> None:
    token = provider.token(sub="example-system", groups=["care"])
    asked = browser.get("/", headers={"Authorization": f"Bearer {token}"})
    assert "care manager" in asked.text
    wrong = browser.get("/v1/model", headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 401
