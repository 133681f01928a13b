"""From a chart in the EHR to the page of its patient: who gets there, and who never does."""

import json
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import msgspec
import pytest
from browsing import Browser
from launching_ehr import LaunchingEHR, asked_of_the_ehr, at_the_ehr, launched
from trusting_service import bundle_of

from service.database import audit_entries, scores
from service.identity.sessions import Session, find_session
from service.kept_scores import opened, stay_scores
from service.observing.logs import JSONLines
from service.protection.sealing import index_of
from service.smart_launch import configuration

pytestmark = pytest.mark.usefixtures("each_database")

STAYS = ("example-earlier-stay", "example-stay")


def kept(browser: Browser, patient: str) -> list[scores.Row]:
    """Every score of a patient, the first one first."""
    rows = stay_scores(browser.here.keeping, patient, STAYS).rows
    return rows[::-1]


def entries(browser: Browser, patient: str) -> list[audit_entries.Row]:
    keeping = browser.here.keeping
    index = index_of(keeping.keys, "patient", patient)
    with keeping.database.reading() as connection:
        every = list(audit_entries.entries(connection))
    return [entry for entry in every if entry.patient_index == index]


def session_of(browser: Browser) -> Session | None:
    cookie = browser.cookie("readmit-launched")
    here = browser.here
    return None if cookie is None else find_session(here.keeping, here.settings, cookie)


def refused(answer: httpx.Response, browser: Browser, patient: str, status: int = 400) -> None:
    """Nobody is signed in, nothing is scored, and the page does not say why."""
    assert answer.status_code == status, answer.text
    assert browser.cookie("readmit-launched") is None
    assert kept(browser, patient) == []
    if status == 400:
        assert "Nothing was opened. Open it again from the patient" in answer.text


def take_too_long(ehr: LaunchingEHR, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the EHR give no record before our patience ends."""
    ehr.record_delay = 0.5
    impatient = browser.here.settings.model_copy(update={"launch_deadline_seconds": 0.1})
    monkeypatch.setattr(browser.here, "settings", impatient)


def changed(back: str, **parameters: str | None) -> str:
    path, _, query = back.partition("?")
    sent: dict[str, Any] = {name: values[0] for name, values in parse_qs(query).items()}
    every = {**sent, **parameters}
    return f"{path}?{urlencode({name: one for name, one in every.items() if one is not None})}"


# The way.


def test_a_launch_ends_at_the_score_of_the_stay_that_is_open(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    answer = launched(browser, ehr)
    assert answer.status_code == 303, answer.text
    earlier, current = kept(browser, patient)
    assert answer.headers["location"] == f"/risk/{current.id}"
    shown = [opened(browser.here.keeping.keys, row) for row in (earlier, current)]
    assert [one.encounter_id for one in shown] == list(STAYS)
    # Each as it stood at its own discharge.
    assert [one.as_of[:10] for one in shown] == ["2025-12-06", "2026-03-09"]


def test_the_session_is_of_the_chart_and_of_its_one_patient(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.altered_answer = {"need_patient_banner": False}
    launched(browser, ehr)
    session = session_of(browser)
    assert session is not None
    assert session.launch is not None
    assert (session.launch.fhir_server, session.launch.encounter) == (ehr.base, "example-stay")
    assert session.launch.patient_banner is False
    assert session.caller.roles == {"clinician"}
    assert session.caller.may("RiskAssessment", "r")
    assert session.caller.may("DocumentReference", "r")
    assert not session.caller.may("Consent", "c")
    assert session.caller.only_patient("RiskAssessment", "r") == patient
    own, other = (browser.get(f"/v1/patients/{one}/scores") for one in (patient, "somebody-else"))
    assert (own.status_code, other.status_code) == (200, 404)


def test_a_launch_is_in_the_audit_with_the_scores_that_it_made(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    launched(browser, ehr)
    events = entries(browser, patient)
    assert [entry.event for entry in events] == ["score_given", "score_given", "launched"]
    assert {entry.actor for entry in events} == {"example-clinician"}
    assert {entry.purpose for entry in events} == {"TREAT"}
    assert json.loads(events[-1].details) == {"scored": 2, "records": "fetched"}


def test_the_ehr_is_asked_for_what_is_needed_and_for_no_more(
    ehr: LaunchingEHR, browser: Browser
) -> None:
    asked = asked_of_the_ehr(browser, ehr)
    assert asked["aud"] == ehr.base
    assert asked["redirect_uri"] == "http://127.0.0.1/launch/callback"
    assert asked["code_challenge_method"] == "S256"
    # 43 characters of base64 are 256 bits.
    assert all(len(asked[name]) == 43 for name in ("state", "nonce", "code_challenge"))
    assert asked["scope"] == (
        "launch openid fhirUser patient/Patient.rs patient/Encounter.rs patient/Condition.rs "
        "patient/Observation.rs patient/MedicationRequest.rs patient/Procedure.rs "
        "patient/Consent.rs patient/Medication.rs"
    )
    again = asked_of_the_ehr(browser, ehr)
    assert all(asked[name] != again[name] for name in ("state", "nonce", "code_challenge"))


def test_a_role_that_the_ehr_names_counts_before_the_operators(
    ehr: LaunchingEHR, browser: Browser
) -> None:
    ehr.person |= {"groups": ["care"], "units": ["Cardiology"]}
    assert launched(browser, ehr).status_code == 303
    session = session_of(browser)
    assert session is not None
    assert session.caller.roles == {"care_manager"}


def test_two_charts_can_be_opened_at_once(ehr: LaunchingEHR, browser: Browser) -> None:
    first, second = at_the_ehr(browser, ehr), at_the_ehr(browser, ehr)
    assert browser.get(first).status_code == 303
    assert browser.get(second).status_code == 303


def test_whoever_was_launched_can_sign_out(ehr: LaunchingEHR, browser: Browser) -> None:
    launched(browser, ehr)
    token = browser.csrf_token()
    assert browser.post("/sign-out").status_code == 403
    assert browser.post("/sign-out", data={"csrf_token": token}).status_code == 303
    assert browser.cookie("readmit-launched") is None


def test_a_chart_that_is_opened_again_is_not_scored_again(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    first, second = launched(browser, ehr), launched(browser, ehr)
    assert first.headers["location"] == second.headers["location"]
    assert len(kept(browser, patient)) == 2


def under_way(ehr: LaunchingEHR) -> None:
    """The stay that is open has not ended."""
    (stay,) = (one["resource"] for one in ehr.bundle["entry"] if one["resource"]["id"] == STAYS[1])
    stay["status"] = "in-progress"
    del stay["period"]["end"]
    del stay["hospitalization"]


def test_a_stay_that_is_under_way_is_scored_anew_each_time(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    under_way(ehr)
    first, second = launched(browser, ehr), launched(browser, ehr)
    assert first.headers["location"] != second.headers["location"]
    assert len(kept(browser, patient)) == 3
    newest = kept(browser, patient)[-1].id
    assert second.headers["location"] == f"/risk/{newest}"


def test_whoever_comes_from_a_card_sees_the_score_of_the_card(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    under_way(ehr)
    shown = launched(browser, ehr).headers["location"]
    ehr.altered_answer = {"appContext": shown.removeprefix("/risk/")}
    assert launched(browser, ehr).headers["location"] == shown
    # Of another patient, or nobody's, it counts for nothing.
    for strange in ("0" * 32, "../../etc", ""):
        ehr.altered_answer = {"appContext": strange}
        assert launched(browser, ehr).headers["location"] != shown


def test_a_launch_without_an_encounter_shows_the_latest_stay(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.altered_answer = {"encounter": None}
    answer = launched(browser, ehr)
    assert answer.headers["location"] == f"/risk/{kept(browser, patient)[-1].id}"


def test_a_launch_at_an_earlier_stay_shows_that_one_and_has_it_last(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.altered_answer = {"encounter": STAYS[0]}
    answer = launched(browser, ehr)
    newest = kept(browser, patient)[-1]
    assert answer.headers["location"] == f"/risk/{newest.id}"
    assert opened(browser.here.keeping.keys, newest).encounter_id == STAYS[0]


def test_a_stay_that_is_not_scored_leads_to_the_reason(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    for entry in ehr.bundle["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"]["birthDate"] = "2015-01-01"
    answer = launched(browser, ehr)
    newest = kept(browser, patient)[-1]
    assert answer.headers["location"] == f"/risk/{newest.id}"
    assert newest.status == "not_scored"


def test_a_patient_who_said_no_since_is_not_shown_what_was_kept(
    ehr: LaunchingEHR, browser: Browser, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(browser, ehr)
    listed = browser.here._opt_out
    with monkeypatch.context() as opted_out:
        opted_out.setattr(listed, "patients", lambda: frozenset({patient}))
        answer = launched(browser, ehr)
    newest = kept(browser, patient)[-1]
    assert (newest.refused, len(kept(browser, patient))) == (True, 3)
    assert answer.headers["location"] == f"/risk/{newest.id}"
    # And when they change their mind, what is said is new.
    launched(browser, ehr)
    assert kept(browser, patient)[-1].refused is False


def test_where_the_records_do_not_come_a_kept_score_of_the_stay_is_shown(
    ehr: LaunchingEHR, browser: Browser, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = launched(browser, ehr).headers["location"]
    take_too_long(ehr, browser, monkeypatch)
    answer = launched(browser, ehr)
    assert (answer.status_code, answer.headers["location"]) == (303, shown)
    assert json.loads(entries(browser, patient)[-1].details) == {"scored": 0, "records": "kept"}


# Who never gets there.


@pytest.mark.parametrize(
    "iss",
    [
        "",
        "https://elsewhere.example/fhir",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:{port}/fhir",
        "http://[::1]:{port}/fhir",
        "http://127.0.0.1:{port}/other",
        "http://127.0.0.1:{port}/fhir?x=1",
        "http://127.0.0.1:{port}/fhir#x",
        "http://127.0.0.1:{port}/fhir/../admin",
        "http://user@127.0.0.1:{port}/fhir",
        "https://127.0.0.1:{port}/fhir",
        "//127.0.0.1:{port}/fhir",
        "http://127.0.0.1:{port}\\@evil.example/fhir",
        "http://127.0.0.1:{port}/fhir\r\nHost: evil.example",
        "http://2130706433:{port}/fhir",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
)
def test_a_server_that_is_not_paired_is_never_connected_to(
    ehr: LaunchingEHR,
    browser: Browser,
    patient: str,
    iss: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def connected(*_: object) -> bytes:
        raise AssertionError("something was asked")

    monkeypatch.setattr(configuration, "_content", connected)
    before = sum(ehr.requests.values())
    named = iss.replace("{port}", str(ehr._port))
    refused(browser.get(f"/launch?{urlencode({'iss': named, 'launch': 'x'})}"), browser, patient)
    assert sum(ehr.requests.values()) == before
    assert "set-cookie" not in browser.get(f"/launch?{urlencode({'iss': named})}").headers


def test_a_launch_that_names_no_chart_is_refused(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    for more in ("", "&launch=", "&launch=a&launch=b", "&launch=" + "x" * 5_000):
        answer = browser.get(f"/launch?{urlencode({'iss': ehr.base})}{more}")
        refused(answer, browser, patient)


@pytest.mark.parametrize(
    "altered",
    [
        {"code_challenge_methods_supported": None},
        {"code_challenge_methods_supported": ["plain"]},
        {"authorization_endpoint": None},
        {"token_endpoint": "http://elsewhere.example/token"},
        {"token_endpoint": "ftp://127.0.0.1/token"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"issuer": "https://another.example"},
        {"filler": "x" * 300_000},
    ],
)
def test_an_ehr_that_does_not_say_how_to_launch_safely_is_not_gone_to(
    ehr: LaunchingEHR, browser: Browser, patient: str, altered: dict[str, Any]
) -> None:
    ehr.altered_configuration = altered
    asked = urlencode({"iss": ehr.base, "launch": ehr.open_chart()})
    answer = browser.get(f"/launch?{asked}")
    refused(answer, browser, patient, 502)
    assert "location" not in answer.headers
    assert "elsewhere" not in answer.text


def test_an_ehr_that_leads_elsewhere_is_not_followed(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.redirecting = "/fhir/.well-known/smart-configuration"
    asked = urlencode({"iss": ehr.base, "launch": ehr.open_chart()})
    refused(browser.get(f"/launch?{asked}"), browser, patient, 502)


def test_an_ehr_that_takes_too_long_is_not_waited_for(
    ehr: LaunchingEHR, browser: Browser, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "WITHIN_SECONDS", 0.0)
    asked = urlencode({"iss": ehr.base, "launch": ehr.open_chart()})
    refused(browser.get(f"/launch?{asked}"), browser, patient, 502)


def test_whoever_comes_again_and_again_does_not_have_the_ehr_asked_each_time(
    ehr: LaunchingEHR, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "AFTER_FAILURE_SECONDS", 600.0)
    path = "/fhir/.well-known/smart-configuration"
    before = ehr.requests[path]
    for _ in range(5):
        asked_of_the_ehr(browser, ehr)
    assert ehr.requests[path] == before + 1
    ehr.altered_configuration = {"token_endpoint": None}
    browser.here.smart_configurations._held.clear()
    asked = urlencode({"iss": ehr.base, "launch": "x"})
    assert [browser.get(f"/launch?{asked}").status_code for _ in range(5)] == [502] * 5
    assert ehr.requests[path] == before + 2


@pytest.mark.parametrize(
    "parameters",
    [
        {"state": "of-nobody"},
        {"state": None},
        {"iss": "https://other.example"},
        {"code": "of-nobody"},
        {"code": None},
        {"code": "x" * 5_000},
        {"error": "access_denied"},
    ],
)
def test_an_answer_that_is_not_whole_opens_nothing(
    ehr: LaunchingEHR, browser: Browser, patient: str, parameters: dict[str, str | None]
) -> None:
    refused(browser.get(changed(at_the_ehr(browser, ehr), **parameters)), browser, patient)


def test_an_answer_can_be_brought_once(ehr: LaunchingEHR, browser: Browser) -> None:
    back = at_the_ehr(browser, ehr)
    assert [browser.get(back).status_code for _ in range(2)] == [303, 400]


def test_an_answer_that_was_begun_by_another_browser_opens_nothing(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    refused(browser.get(at_the_ehr(browser.another(), ehr)), browser, patient)
    asked_of_the_ehr(browser, ehr)
    refused(browser.get(at_the_ehr(browser.another(), ehr)), browser, patient)


def test_a_launch_is_no_sign_in_and_ends_at_no_other_door(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    back = at_the_ehr(browser, ehr)
    browser.client.cookies.set("readmit-sign-in", browser.cookie("readmit-launch") or "")
    answer = browser.get(back.replace("/launch/callback", "/sign-in/callback"))
    assert answer.status_code == 400
    assert browser.cookie() is None
    refused(browser.get(back), browser, patient)


@pytest.mark.parametrize(
    "altered",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "readmit"},
        {"aud": ["readmit-app", "another"]},
        {"azp": "another"},
        {"iss": "https://other.example"},
        {"exp": 1_000_000_000},
        {"sub": None},
        {"purpose_of_use": "NOTHING"},
    ],
)
def test_an_id_token_that_is_not_for_this_launch_opens_nothing(
    ehr: LaunchingEHR, browser: Browser, patient: str, altered: dict[str, Any]
) -> None:
    ehr.altered_id_token = altered
    refused(launched(browser, ehr), browser, patient)


def test_an_id_token_signed_with_another_algorithm_opens_nothing(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    published = list(ehr.keys)
    ehr.rotate("RS256", keep=True)
    try:
        refused(launched(browser, ehr), browser, patient)
    finally:
        ehr.keys = published


@pytest.mark.parametrize(
    "altered",
    [
        {"patient": None},
        {"patient": ""},
        {"patient": "a b"},
        {"patient": 7},
        {"patient": "x?y=1"},
        {"token_type": "mac"},
        {"access_token": None},
        {"access_token": "\u00e9"},
        {"id_token": None},
        {"id_token": "a.b.c"},
    ],
)
def test_an_answer_that_does_not_name_a_patient_and_a_person_opens_nothing(
    ehr: LaunchingEHR, browser: Browser, patient: str, altered: dict[str, Any]
) -> None:
    ehr.altered_answer = altered
    refused(launched(browser, ehr), browser, patient)
    assert ehr.asked == []


def test_records_of_another_patient_are_not_taken_for_the_charts(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.bundle = bundle_of("somebody-else-entirely")
    refused(launched(browser, ehr), browser, patient, 502)
    assert kept(browser, "somebody-else-entirely") == []
    (entry,) = entries(browser, patient)
    assert (entry.event, entry.outcome) == ("launch_refused", "refused")
    assert json.loads(entry.details) == {"why": "another patient"}


def test_without_records_and_without_a_kept_score_there_is_nothing_to_show(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.redirecting = f"/fhir/Patient/{patient}"
    refused(launched(browser, ehr), browser, patient, 502)
    (entry,) = entries(browser, patient)
    assert json.loads(entry.details) == {"why": "no records"}


def test_a_chart_without_a_hospital_stay_has_no_page(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    for entry in ehr.bundle["entry"]:
        if entry["resource"]["resourceType"] == "Encounter":
            entry["resource"]["class"]["code"] = "AMB"
    answer = launched(browser, ehr)
    refused(answer, browser, patient, 422)
    assert "holds no hospital stay" in answer.text
    assert json.loads(entries(browser, patient)[-1].details) == {"why": "no stay"}


def test_whoever_has_no_role_is_refused_and_it_is_recorded(
    ehr: LaunchingEHR, browser: Browser, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = browser.here
    (server,) = here.trusted.fhir_servers
    nobody = (msgspec.structs.replace(server, launch_roles=()),)
    monkeypatch.setattr(here, "trusted", here.trusted._replace(fhir_servers=nobody))
    refused(launched(browser, ehr), browser, patient, 403)
    assert ehr.asked == []
    (entry,) = entries(browser, patient)
    assert (entry.event, entry.actor) == ("launch_refused", "example-clinician")
    assert json.loads(entry.details) == {"why": "no role"}


def test_the_score_that_a_card_names_is_only_shown_if_it_is_of_the_charts_patient(
    ehr: LaunchingEHR, browser: Browser, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = launched(browser, ehr).headers["location"].removeprefix("/risk/")
    ehr.patient = f"{patient}-2"
    ehr.altered_answer = {"appContext": other, "encounter": None}
    take_too_long(ehr, browser, monkeypatch)
    refused(launched(browser.another(), ehr), browser.another(), ehr.patient, 502)


def test_a_service_without_a_model_sends_nobody_to_sign_in(
    ehr: LaunchingEHR, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser.here, "_model", None)
    asked = urlencode({"iss": ehr.base, "launch": ehr.open_chart()})
    assert browser.get(f"/launch?{asked}").status_code == 503


def test_whoever_works_in_another_unit_is_refused_and_it_is_recorded(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    ehr.person |= {"groups": ["care"], "units": ["Neurology"]}
    refused(launched(browser, ehr), browser, patient, 403)
    (entry,) = entries(browser, patient)
    assert (entry.event, entry.actor) == ("access_refused", "example-clinician")


def test_an_ehr_that_the_operator_strikes_off_ends_its_sessions(
    ehr: LaunchingEHR, browser: Browser, patient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched(browser, ehr)
    assert browser.get(f"/v1/patients/{patient}/scores").status_code == 200
    here = browser.here
    monkeypatch.setattr(here, "trusted", here.trusted._replace(fhir_servers=()))
    assert browser.get(f"/v1/patients/{patient}/scores").status_code == 401


# What nobody sees.


def test_neither_token_nor_code_nor_patient_is_in_the_log(
    ehr: LaunchingEHR, browser: Browser, patient: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    back = at_the_ehr(browser, ehr)
    browser.get(back)
    ehr.altered_answer = {"id_token": "canary.canary.canary"}
    launched(browser, ehr)
    ehr.altered_answer = {}
    ehr.bundle = bundle_of("somebody-else-entirely")
    launched(browser, ehr)
    ours = [one for one in caplog.records if not one.name.startswith(("httpcore", "hpack"))]
    written = repr([JSONLines().format(one) for one in ours])
    assert "sign_in_refused" in written
    secrets = [*ehr.given, *(value for form in ehr.forms for value in form.values())]
    state = parse_qs(back.partition("?")[2])["state"][0]
    long = [one for one in (*secrets, state) if len(one) > 20 and not one.startswith("http")]
    assert len(long) >= 8
    assert not [one for one in long if one in written]
    assert patient not in written
    assert "canary" not in written


def test_the_access_token_is_kept_nowhere(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    launched(browser, ehr)
    session = session_of(browser)
    assert session is not None
    assert ehr.given[0] not in repr(session.caller) + repr(session.launch)
    assert not hasattr(session.launch, "token")


def test_a_stay_that_is_planned_for_later_is_not_scored(
    ehr: LaunchingEHR, browser: Browser, patient: str
) -> None:
    for entry in ehr.bundle["entry"]:
        if entry["resource"]["id"] == STAYS[1]:
            entry["resource"]["period"] = {"start": "2999-01-01T00:00:00Z"}
            entry["resource"]["status"] = "planned"
    launched(browser, ehr)
    rows = kept(browser, patient)
    assert [opened(browser.here.keeping.keys, row).encounter_id for row in rows] == [STAYS[0]]
