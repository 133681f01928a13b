"""A follow-up as a page: what it shows, what may be done with it, and no typed word is lost."""

from typing import Any
from urllib.parse import urlsplit

import pytest
from browsing import Browser
from listed_patients import stay_of
from morning import a_ward
from parsed_page import Page

from service.care_pages.follow_up_form import status_groups
from service.database import follow_ups
from service.database.audit_entries import entries
from service.follow_ups.statuses import CLOSING, REOPENING, TRANSITIONS, Status

PATIENT = "example-000"


@pytest.fixture
def path(browser: Browser) -> str:
    """Of the follow-up of one of three patients."""
    keeping = browser.here.keeping
    a_ward(keeping, 3)
    return f"/follow-up/{stay_of(keeping, PATIENT)}"


def read(browser: Browser, path: str) -> Page:
    answer = browser.get(path)
    assert answer.status_code == 200, answer.text
    return well_made(answer.text)


def well_made(source: str) -> Page:
    page = Page(source)
    assert page.faults == []
    assert len(page.values("id")) == len(set(page.values("id")))
    assert not page.named("script", "style")
    return page


def send(browser: Browser, path: str, version: int = 0, **typed: str) -> Any:
    form = {"csrf_token": browser.csrf_token(), "version": str(version), **typed}
    return browser.post(path, data=form)


def present(browser: Browser, path: str) -> Any:
    with browser.here.keeping.database.reading() as connection:
        return follow_ups.of_stay(connection, path.rpartition("/")[2])


def field(page: Page, name: str) -> str:
    (found,) = [one for one in page.named("input") if one.get("name") == name]
    return found["value"]


def selected(page: Page) -> set[str]:
    return {one["value"] for one in page.named("option") if "selected" in one}


def test_it_shows_what_is_known_and_leads_to_the_risk(browser: Browser, path: str) -> None:
    page = read(browser, path)
    for said in ("example-000", "62 %", "3 hospital stays in the year before", "Nothing yet."):
        assert said in page.words
    assert any(href.startswith("/risk/") for href in page.values("href"))


def test_a_call_a_visit_and_a_note_are_kept_and_told(browser: Browser, path: str) -> None:
    answer = send(
        browser,
        path,
        status="contacted",
        note="Reached her.\r\nWeighs herself.",
        due_on="2030-03-13",
        assigned_to="me",
        then="here",
        back="band=high",
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{path}?saved=1&back=band%3Dhigh"
    page = read(browser, answer.headers["location"])
    assert "Saved." in page.words
    assert "contacted; assigned to you; due 2030-03-13" in page.words
    assert "Reached her.\nWeighs herself." in "".join(page.text)
    assert "/work-list?band=high" in page.values("href")
    booked = send(
        browser,
        path,
        1,
        status="visit_booked",
        due_seen="2030-03-13",
        due_on="2030-03-13",
        then="list",
        back="band=high",
    )
    assert booked.headers["location"] == "/work-list?band=high&saved=1"
    now = present(browser, path)
    assert (now.status, now.due_on, now.version) == ("visit_booked", "2030-03-13", 2)


@pytest.mark.parametrize("status", Status)
def test_every_way_and_no_other_is_offered_with_its_reasons(status: Status) -> None:
    offered = {one.value for group in status_groups(status) for one in group.options}
    wanted = {""}
    for (since, to), reasons in TRANSITIONS.items():
        if since is status:
            wanted |= {f"{to}:{one}" for one in reasons} or {str(to)}
    assert offered == wanted
    assert CLOSING.isdisjoint(REOPENING)


def test_whoever_comes_second_sees_what_it_is_and_loses_nothing(
    browser: Browser, colleague: Browser, path: str
) -> None:
    assert send(colleague, path, status="contacted", due_on="2030-01-01").status_code == 303
    answer = send(
        browser, path, status="visit_booked", note="  Visit <on> Friday.", assigned_to="me"
    )
    assert answer.status_code == 409
    page = well_made(answer.text)
    assert "Somebody" not in page.words or "n.example" in page.words
    for said in ("Not saved.", "by n.example", "contacted", "visit booked", "  Visit <on> Friday."):
        assert said in "".join(page.text), said
    assert field(page, "version") == "1"
    # What they left alone is what it is now, and is not set back when they save again.
    assert field(page, "due_seen") == field(page, "due_on") == "2030-01-01"
    assert {"visit_booked", "me"} <= selected(page)
    again = send(
        browser,
        path,
        1,
        status="visit_booked",
        note="Visit.",
        assigned_to="me",
        due_seen="2030-01-01",
        due_on="2030-01-01",
    )
    assert again.status_code == 303
    now = present(browser, path)
    assert (now.status, now.due_on, now.version) == ("visit_booked", "2030-01-01", 2)


def test_a_choice_that_there_is_no_way_to_any_more_is_still_shown(
    browser: Browser, colleague: Browser, path: str
) -> None:
    send(colleague, path, status="closed:deceased")
    page = well_made(send(browser, path, status="visit_booked").text)
    assert "visit booked" in page.words
    assert "visit_booked" not in {one["value"] for one in page.named("option")}


def test_who_hands_a_patient_over_says_how_it_stands(
    browser: Browser, colleague: Browser, path: str
) -> None:
    send(browser, path, assigned_to="me")
    send(colleague, f"/follow-up/{stay_of(browser.here.keeping, 'example-001')}", note="Rang.")
    options = {one["value"] for one in read(browser, path).named("option")}
    (person,) = [one for one in options if one.endswith("|n.example")]
    silent = send(browser, path, 1, assigned_to=person)
    assert silent.status_code == 422
    page = well_made(silent.text)
    assert "Note: whoever takes over must be told how it stands." in page.words
    assert person in selected(page)
    assert send(browser, path, 1, assigned_to=person, note="She waits.").status_code == 303
    assert present(browser, path).assigned_to == person


def test_somebody_who_never_worked_here_is_named_by_hand(browser: Browser, path: str) -> None:
    answer = send(browser, path, person="https://id.example|o.example", assigned_to="me")
    assert answer.status_code == 303
    assert present(browser, path).assigned_to == "https://id.example|o.example"
    assert "o.example (https://id.example)" in read(browser, path).words


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"due_on": "tomorrow", "note": "Kept."}, "Due: not a date, as 2026-03-13."),
        ({"status": "closed", "note": "Kept."}, "Status: one of"),
        ({"status": "purple", "note": "Kept."}, "Status: none that there is."),
        ({"person": "somebody", "note": "Kept."}, "Assigned to: issuer|subject of a person."),
        ({}, "nothing would be changed"),
    ],
)
def test_what_cannot_be_done_is_said_and_what_was_typed_is_kept(
    browser: Browser, path: str, typed: dict[str, str], said: str
) -> None:
    answer = send(browser, path, **typed)
    assert answer.status_code == 422
    page = well_made(answer.text)
    assert said in page.words
    assert typed.get("note", "") in page.words
    assert present(browser, path) is None
    for name in ("due_on", "person"):
        assert field(page, name) == typed.get(name, "")


def test_a_clinician_reads_it_and_has_no_form(clinician: Browser, path: str) -> None:
    page = read(clinician, path)
    assert path not in page.values("action")
    assert send(clinician, path, note="x").status_code == 403


def test_it_leads_back_to_the_list_and_nowhere_else(browser: Browser, path: str) -> None:
    answer = send(browser, path, note="x", then="list", back="//evil.example/?band=high")
    assert urlsplit(answer.headers["location"]).netloc == ""
    assert answer.headers["location"] == "/work-list?saved=1"


def test_a_form_without_token_or_version_changes_nothing(browser: Browser, path: str) -> None:
    assert browser.post(path, data={"version": "0", "note": "x"}).status_code == 403
    bare = browser.post(path, data={"csrf_token": browser.csrf_token(), "note": "x"})
    assert bare.status_code == 400
    assert present(browser, path) is None


def test_who_was_shown_it_after_a_conflict_is_in_the_audit(
    browser: Browser, colleague: Browser, path: str
) -> None:
    send(colleague, path, note="x")
    send(browser, path, note="y")
    with browser.here.keeping.database.reading() as connection:
        last = list(entries(connection))[-1]
    assert (last.event, last.route) == ("follow_up_read", "/follow-up/{stay}")
