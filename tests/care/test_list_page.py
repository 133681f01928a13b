"""The list as a page: whom it shows, what a line says, and what stands around it."""

import csv
import io
import re
from datetime import date
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from browsing import Browser
from listed_patients import listed, put_on_the_list, stay_of, work_on
from morning import a_run, a_ward
from openid_provider import OpenIDProvider
from parsed_page import Page, headings

from service.care_pages.list_page import between
from service.care_pages.words import overdue_words, person_words, since_words
from service.database.audit_entries import entries
from service.identity.caller import Caller
from service.work_list.examples import LISTED

PATH = "/work-list"


def read(browser: Browser, path: str = PATH, **asked: Any) -> Page:
    answer = browser.get(path, params=asked or None)
    assert answer.status_code == 200, answer.text
    return well_made(answer.text)


def well_made(source: str) -> Page:
    """A page that is whole in itself, and open to a keyboard and a screen reader."""
    page = Page(source)
    assert page.faults == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    levels = headings(page)
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(each.get("scope") in {"col", "row"} for each in page.named("th"))
    assert not page.named("script", "style", "iframe", "img")
    assert page.values("style") == []
    assert "tabindex" not in {
        name for tag, found in page.elements if tag != "main" for name in found
    }
    labelled = set(page.values("for"))
    for field in page.named("select", "textarea", "input"):
        if field.get("type") not in ("hidden", "checkbox"):
            assert field["id"] in labelled, field
    return page


def patients(page: Page) -> list[str]:
    return re.findall(r"Follow up (\S+)", page.words)


def entered(browser: Browser) -> list[Any]:
    with browser.here.keeping.database.reading() as connection:
        return list(entries(connection))


def test_a_line_says_who_how_likely_why_and_how_far(browser: Browser) -> None:
    keeping = browser.here.keeping
    put_on_the_list(keeping, [listed(keeping, "example-1")])
    a_run(keeping)
    page = read(browser)
    for said in (
        "example-1 71 years, female",
        "27 % 25 to 28 %",
        "high",
        "Cardiology",
        "2 days ago",  # three, less the hours since the run
        "3 hospital stays in the year before; sodium 129 mmol/L",
        "new",
        "nobody",
    ):
        assert said in page.words
    score = listed(keeping, "example-1")["score_id"]
    assert f"/risk/{score}" in page.values("href")
    assert f"/follow-up/{stay_of(keeping, 'example-1')}" in page.values("href")


def test_the_highest_risk_that_is_left_comes_first_and_the_next_page_goes_on(
    browser: Browser,
) -> None:
    names = a_ward(browser.here.keeping, 70)
    first = read(browser)
    assert "70 patients" in first.words
    assert patients(first) == names[:50]
    (following,) = {href for href in first.values("href") if "after=" in href}
    second = read(browser, following)
    assert patients(second) == names[50:]
    assert "/work-list" in second.values("href")
    assert not [href for href in second.values("href") if "after=" in href]


def test_every_patient_shown_is_in_the_audit_once_whichever_way(browser: Browser) -> None:
    a_ward(browser.here.keeping, 6)
    for asked, shown in (({}, 6), ({"calls": 2}, 2), ({"band": "moderate"}, 2)):
        before = len(entered(browser))
        page = read(browser, **asked)
        assert len(patients(page)) == shown
        new = entered(browser)[before:]
        assert [one.event for one in new] == ["work_list_read"] * shown
        assert {one.route for one in new} == {PATH}
        assert len({one.patient_index for one in new}) == shown


def test_the_filters_narrow_the_list_and_stay_in_the_form_and_in_words(browser: Browser) -> None:
    names = a_ward(browser.here.keeping, 12)
    asked = {"band": "high", "unit": "Pneumology", "in_hospital": "false", "sort": "due"}
    page = read(browser, **asked, status="", assigned_to="")
    assert 0 < len(patients(page)) < 12
    assert set(patients(page)) <= set(names[1::2])
    assert "band: high; unit: Pneumology; where: discharged" in page.words
    chosen = {one["value"] for one in page.named("input") if "checked" in one}
    assert chosen == {"high", "Pneumology"}
    selected = {one["value"] for one in page.named("option") if "selected" in one}
    assert {"false", "due"} <= selected
    assert "Earliest due date first" in page.words


def test_a_unit_that_nobody_is_in_today_can_be_taken_out_of_the_filter(browser: Browser) -> None:
    a_ward(browser.here.keeping, 2)
    page = read(browser, unit="Closed ward")
    assert "No patient is like that." in page.words
    (box,) = [
        one
        for one in page.named("input")
        if one.get("value") == "Closed ward" and one["type"] == "checkbox"
    ]
    assert "checked" in box


def test_what_cannot_be_asked_is_an_error_page_that_quotes_nothing(browser: Browser) -> None:
    for asked in ({"band": "purple"}, {"calls": "purple"}, {"calls": "0"}, {"calls": "201"}):
        answer = browser.get(PATH, params=asked)
        assert answer.status_code == 422
        assert "purple" not in answer.text
        assert "text/html" in answer.headers["content-type"]


def test_the_table_is_of_the_same_filters(browser: Browser) -> None:
    a_ward(browser.here.keeping, 9)
    page = read(browser, band="low", calls=1)
    (link,) = [one["href"] for one in page.named("a") if "download" in one]
    assert parse_qs(urlsplit(link).query) == {"band": ["low"]}
    rows = list(csv.DictReader(io.StringIO(browser.get(link).text)))
    assert [row["patient"] for row in rows] == patients(read(browser, band="low"))


# Whether to trust the list.


def test_a_list_of_this_night_is_not_warned_of(browser: Browser) -> None:
    a_ward(browser.here.keeping, 1)
    a_run(browser.here.keeping, 23)
    page = read(browser)
    assert "As of 2" in page.words
    assert "old" not in page.words


@pytest.mark.parametrize(("hours", "said"), [(30, "30 hours old"), (75, "3 days old")])
def test_an_old_list_is_warned_of(browser: Browser, hours: float, said: str) -> None:
    a_ward(browser.here.keeping, 1)
    a_run(browser.here.keeping, hours)
    assert f"This list is {said}." in read(browser).words


def test_a_run_that_has_not_ended_is_no_list(browser: Browser) -> None:
    a_run(browser.here.keeping, ended_at=None)
    page = read(browser)
    assert "No list has been made yet." in page.words
    assert "The list is empty" in page.words


def test_simulated_patients_are_called_so(browser: Browser, monkeypatch: Any) -> None:
    assert "Simulated data." not in read(browser).words
    monkeypatch.setattr("service.pages.page.SIMULATED", browser.here.profile.name)
    assert "Simulated data." in read(browser).words


# I can call so many.


def test_the_calls_go_to_the_highest_risk_that_somebody_still_works_on(browser: Browser) -> None:
    keeping = browser.here.keeping
    names = a_ward(keeping, 30)
    a_run(keeping)
    work_on(keeping, names[0], status="closed")
    work_on(keeping, names[1], status="visit_booked")
    form = [one for one in read(browser).named("input") if one.get("type") == "hidden"]
    carried = [one["value"] for one in form if one["name"] == "status"]
    assert carried == ["new", "contacted", "visit_booked"]
    page = read(browser, calls=5, status=carried)
    assert patients(page) == names[1:6]
    assert "5 to call, of 29 patients" in page.words
    assert "Whom to call" in page.words


def test_the_calls_say_what_they_reach_and_whether_each_group_has_its_share(
    browser: Browser,
) -> None:
    keeping = browser.here.keeping
    put_on_the_list(
        keeping,
        [listed(keeping, f"example-{number}", remaining=0.5) for number in range(12)],
    )
    page = read(browser, calls=4)
    assert "2.0 readmissions are to be expected if nobody does anything" in page.words
    assert "(95 % interval 0 to 4), of 6.0 among all 12." in page.words
    assert "One more call would reach 0.50 more." in page.words
    assert "sex: female124100 %100 %" in page.words
    everybody = read(browser, calls=40)
    assert "There are only 12 to call, not 40." in everybody.words
    assert "Nobody is left to call." in everybody.words


# Who may see it.


def test_a_clinician_reads_the_list_too_and_whoever_is_not_signed_in_does_not(
    browser: Browser, clinician: Browser
) -> None:
    names = a_ward(browser.here.keeping, 3)
    assert patients(read(clinician)) == names
    answer = browser.another().get(PATH, params={"band": "high"})
    assert answer.status_code == 401
    assert "return_to=/work-list%3Fband%3Dhigh" in answer.text


def test_another_unit_is_not_offered_as_a_choice_either(
    browser: Browser, running: Browser, provider: OpenIDProvider
) -> None:
    keeping = browser.here.keeping
    put_on_the_list(keeping, [listed(keeping, "theirs", unit="Neurology")])
    page = read(browser)
    assert "Neurology" not in page.words
    assert "0 patients" in page.words


def test_what_a_record_holds_is_never_taken_for_markup(browser: Browser) -> None:
    keeping = browser.here.keeping
    put_on_the_list(
        keeping, [listed(keeping, "<b>x</b>", condition_group="<i>", unit="Cardiology")]
    )
    page = read(browser)
    assert "<b>x</b>" in page.words
    assert page.named("b", "i") == []


# Saved filters.


def saved(browser: Browser, name: str, query: str) -> Any:
    form = {"csrf_token": browser.csrf_token(), "name": name, "query": query}
    return browser.post("/work-list/filters", data=form)


def test_a_filter_is_saved_loaded_replaced_and_deleted(browser: Browser) -> None:
    a_ward(browser.here.keeping, 9)
    answer = saved(browser, "  My\tmornings ", "band=high&sort=&assigned_to=me&calls=5")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/work-list?band=high&assigned_to=me&calls=5&saved=1"
    page = read(browser, answer.headers["location"])
    assert "Saved." in page.words
    assert "/work-list?band=high&assigned_to=me&calls=5" in page.values("href")
    assert "My mornings" in page.words
    assert {"true"} == set(page.values("aria-current"))

    saved(browser, "My mornings", "band=low")
    page = read(browser)
    assert "/work-list?band=low" in page.values("href")
    (delete,) = [one for one in page.values("action") if one.endswith("/delete")]
    form = {"csrf_token": browser.csrf_token(), "query": "band=low"}
    assert browser.post(delete, data=form).headers["location"] == "/work-list?band=low&saved=1"
    assert "My mornings" not in read(browser).words


def test_a_filter_is_its_owners_alone(browser: Browser, colleague: Browser) -> None:
    saved(browser, "Mine", "band=high")
    (delete,) = [one for one in read(browser).values("action") if one.endswith("/delete")]
    assert "Mine" not in read(colleague).words
    form = {"csrf_token": colleague.csrf_token(), "query": ""}
    assert colleague.post(delete, data=form).status_code == 303
    assert "Mine" in read(browser).words
    saved(colleague, "Mine", "band=low")
    assert "/work-list?band=low" not in read(browser).values("href")


@pytest.mark.parametrize(
    ("name", "query"),
    [("", "band=high"), ("x" * 61, ""), ("a\x07b", ""), ("fine", "band=purple"), ("fine", "x=1")],
)
def test_what_cannot_be_saved_is_refused(browser: Browser, name: str, query: str) -> None:
    assert saved(browser, name, query).status_code == 422
    assert [one for one in read(browser).values("action") if one.endswith("/delete")] == []


def test_there_is_an_end_to_what_one_person_saves(browser: Browser) -> None:
    for number in range(30):
        assert saved(browser, f"filter {number}", "").status_code == 303
    assert saved(browser, "one more", "").status_code == 422
    assert saved(browser, "filter 7", "band=low").status_code == 303


@pytest.mark.parametrize("path", ["/work-list/filters", f"/work-list/filters/{'0' * 32}/delete"])
def test_nothing_is_saved_or_deleted_from_elsewhere(browser: Browser, path: str) -> None:
    assert browser.post(path, data={"name": "x", "query": ""}).status_code == 403


# In words.


def test_days_people_and_due_dates_in_words() -> None:
    today = date(2026, 3, 12)
    assert [since_words(days) for days in (None, 0, 1, 9)] == [
        "in hospital",
        "today",
        "1 day",
        "9 days",
    ]
    for day, status, said in (
        (11, "new", "overdue by 1 day"),
        (2, "contacted", "overdue by 10 days"),
        (12, "visit_booked", "due today"),
        (13, "new", ""),
        (2, "closed", ""),
        (2, "declined", ""),
    ):
        assert overdue_words(date(2026, 3, day), status, today) == said
    assert overdue_words(None, "new", today) == ""


def test_an_interval_is_said_where_it_says_something() -> None:
    assert between(LISTED) == "25 to 28 %"
    assert between(msgspec.structs.replace(LISTED, remaining_low=0.28)) == ""
    assert between(msgspec.structs.replace(LISTED, remaining_low=None)) == ""


def test_somebody_of_another_issuer_is_not_taken_for_a_namesake() -> None:
    me = Caller(way="session", issuer="https://id.example", subject="m")
    assert person_words("https://id.example|m", me) == "you"
    assert person_words("https://other.example|m", me) == "m (https://other.example)"
    assert person_words("https://id.example|n", me) == "n"
    assert person_words(None, me) == "nobody"
