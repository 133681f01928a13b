"""What an EHR's frame needs of our cookies, and what it must not change about the others."""

from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from browsing import Browser, browsing
from joserfc import jwt
from joserfc.jwk import ECKey
from launching_ehr import (
    APP,
    LaunchingEHR,
    at_the_ehr,
    launched,
    launching_ehr,
    settings_launched_by,
)
from openid_provider import CLIENT_ID
from trusting_service import ModelOfOneMind, bundle_of

from service.identity.signing import SigningKeys

OWN = "https://readmit.example"
FRAMED = {"httponly", "path=/", "samesite=none", "secure", "partitioned"}
LAX = {"httponly", "path=/", "samesite=lax", "secure"}


@pytest.fixture
def ehr() -> Iterator[LaunchingEHR]:
    with launching_ehr() as ehr:
        ehr.begin_anew("example-patient", bundle_of())
        yield ehr


@pytest.fixture
def browser(ehr: LaunchingEHR, tmp_path: Path) -> Iterator[Browser]:
    settings = settings_launched_by(
        tmp_path, ehr, 'client_authentication = "private_key_jwt"', public_url=OWN
    )
    assert settings.issuers is not None
    people = settings.issuers.read_text().replace(
        "units_claim", f'client_id = "{CLIENT_ID}"\nunits_claim'
    )
    settings.issuers.write_text(people)
    with browsing(settings, OWN, ModelOfOneMind()) as browser:
        yield browser


def given(answer: httpx.Response) -> dict[str, set[str]]:
    """The attributes of each cookie that an answer gives."""
    lines = [one.split("; ") for one in answer.headers.get_list("set-cookie")]
    return {line[0].partition("=")[0]: {one.lower() for one in line[1:]} for line in lines}


def test_in_a_frame_of_the_ehr_the_cookies_of_a_launch_count(
    ehr: LaunchingEHR, browser: Browser
) -> None:
    asked = urlencode({"iss": ehr.base, "launch": ehr.open_chart()})
    begun = given(browser.get(f"/launch?{asked}"))
    assert begun == {"__Host-readmit-launch": FRAMED | {"max-age=600"}}
    answer = launched(browser, ehr)
    assert answer.status_code == 303, answer.text
    assert given(answer) == {"__Host-readmit-launched": FRAMED}


def test_the_cookie_is_one_that_a_browser_can_read(ehr: LaunchingEHR, browser: Browser) -> None:
    (line,) = launched(browser, ehr).headers.get_list("set-cookie")
    found: SimpleCookie = SimpleCookie()
    found.load(line.replace("; Partitioned", ""))
    assert len(found["__Host-readmit-launched"].value) == 43


def test_a_sign_in_stays_lax(
    ehr: LaunchingEHR, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ehr, "authorize", super(LaunchingEHR, ehr).authorize)
    ehr.person["groups"] = ["care"]
    assert given(browser.get("/sign-in"))["__Host-readmit-sign-in"] == LAX | {"max-age=600"}
    assert given(browser.sign_in())["__Host-readmit"] == LAX


def test_a_browser_has_one_session_whichever_way_it_came_last(
    ehr: LaunchingEHR, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    ehr.person["groups"] = ["care"]
    ehr.person["units"] = ["Cardiology"]
    with monkeypatch.context() as people:
        people.setattr(ehr, "authorize", super(LaunchingEHR, ehr).authorize)
        browser.sign_in()
    assert browser.cookie("__Host-readmit") is not None
    launched(browser, ehr)
    assert browser.cookie("__Host-readmit") is None
    assert browser.cookie("__Host-readmit-launched") is not None
    with monkeypatch.context() as people:
        people.setattr(ehr, "authorize", super(LaunchingEHR, ehr).authorize)
        browser.sign_in()
    assert browser.cookie("__Host-readmit-launched") is None
    with browser.here.keeping.database.reading() as connection:
        count = connection.exec_driver_sql("SELECT count(*) FROM sessions").scalar_one()
    assert count == 1


def test_a_launched_session_that_is_over_is_forgotten_where_it_counted(
    ehr: LaunchingEHR, browser: Browser
) -> None:
    launched(browser, ehr)
    with browser.here.keeping.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM sessions")
    answer = browser.get("/")
    assert given(answer)["__Host-readmit-launched"] == FRAMED | {"max-age=0"}


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_sites_page_does_nothing_with_a_session_that_its_frame_has(
    ehr: LaunchingEHR, browser: Browser, site: str
) -> None:
    launched(browser, ehr)
    token = browser.csrf_token()
    forged = browser.post("/sign-out", data={"csrf_token": token}, headers={"Sec-Fetch-Site": site})
    assert forged.status_code == 403
    assert browser.post("/sign-out").status_code == 403
    assert browser.post("/sign-out", data={"csrf_token": token}).status_code == 303


def test_an_app_that_signs_shows_who_it_is_with_our_own_key(
    ehr: LaunchingEHR, browser: Browser
) -> None:
    assert browser.get(at_the_ehr(browser, ehr)).status_code == 303
    (form,) = ehr.forms
    assert form["client_assertion_type"].endswith("jwt-bearer")
    keys: SigningKeys = browser.here.signing
    (published,) = keys.published()
    claims = jwt.decode(
        form["client_assertion"], ECKey.import_key(published), algorithms=["ES384"]
    ).claims
    assert (claims["iss"], claims["sub"], claims["aud"]) == (APP, APP, f"{ehr.issuer}/token")
    assert claims["exp"] - claims["iat"] <= 300
