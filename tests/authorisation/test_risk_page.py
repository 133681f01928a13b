"""The page of one score: what it says to whom, with real tokens and sessions, on each database."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from trusting_service import OPTED_OUT, OTHER_UNIT, PATIENT, Service, bundle_of, trusting_service

from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.database import scores
from service.database.audit_entries import entries
from service.identity.caller import Caller
from service.identity.csrf import token_of
from service.identity.roles import Role
from service.identity.sessions import Launch, begin_session
from service.kept_scores import inputs_of

HTML = {"Accept": "text/html"}
EHR = "https://ehr.example/fhir"


class Page(HTMLParser):
    """Its links by their words, its ids, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: dict[str, str] = {}
        self.ids: list[str] = []
        self.words = ""
        self._href: str | None = None
        self._link = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a":
            self._href, self._link = found.get("href"), ""

    def handle_data(self, data: str) -> None:
        self.words += data
        self._link += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._href:
            self.links[" ".join(self._link.split())] = self._href
            self._href = None

    @property
    def text(self) -> str:
        return " ".join(self.words.split())


def read(service: Service, score_id: str, token: str, query: str = "", status: int = 200) -> Page:
    answer = service.ask("GET", f"/risk/{score_id}{query}", token, headers=HTML)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    return Page(answer.text)


def session(service: Service, launch: Launch | None = None, **caller: Any) -> dict[str, str]:
    """The cookie of a clinician's browser."""
    person = Caller(
        way="session",
        issuer=service.issuer.issuer,
        subject="example-clinician",
        roles=frozenset({Role.CLINICIAN}),
        **caller,
    )
    with service.keeping.audit.recorded() as work:
        work.record(Entry(event=Event.SIGNED_IN, caller=person))
        begun = begin_session(
            work, service.keeping, service.app.state.serving.settings, person, launch
        )
    return {"Cookie": f"readmit={begun.id}", "id": begun.id, **HTML}


def test_the_risk_its_reasons_and_its_scores_are_on_the_page(service: Service) -> None:
    score_id = service.kept()
    score = service.ask("GET", f"/v1/scores/{score_id}", service.person("clinician")).json()
    page = read(service, score_id, service.person("clinician"))
    assert f"{round(score['probability'] * 100)} %" in page.text
    assert "Low: below the average" in page.text
    assert "Within 30 days of discharge" in page.text
    for reason in score["reasons"]:
        assert reason["phrase"] in page.text
    for name in ("LACE", "HOSPITAL"):
        assert f"{name} {score[name.lower()]['points']} of" in page.text
        for item in score[name.lower()]["items"]:
            assert item["name"] in page.text
    assert "death or an unplanned readmission" in page.text
    assert "could have been avoided" in page.text
    assert "people with a record like yours" in page.text
    for one in score["missing_inputs"]:
        assert one["phrase"] in page.text


def test_every_bar_leads_to_an_entry_that_is_there_and_no_id_comes_twice(service: Service) -> None:
    page = read(service, service.kept(), service.person("clinician"))
    inner = {address[1:] for address in page.links.values() if address.startswith("#")}
    assert {"reason-1", "reason-2"} <= inner
    assert inner <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_the_reading_is_entered_once_with_the_number_of_other_stays(service: Service) -> None:
    token = service.person("clinician")
    earlier = service.ask(
        "POST",
        "/v1/score",
        token,
        json=bundle_of(),
        params={"encounter_id": "example-earlier-stay"},
    ).json()["score_id"]
    score_id = service.kept()
    with service.keeping.database.reading() as connection:
        before = len(list(entries(connection)))
    page = read(service, score_id, token)
    with service.keeping.database.reading() as connection:
        (entry,) = list(entries(connection))[before:]
    assert (entry.event, entry.route) == ("score_read", "/risk/{score_id}")
    assert f'"count":1,"score_id":"{score_id}"' in entry.details
    assert f"/risk/{earlier}" in page.links.values()
    assert page.text.index("2025-12-06, 10:00") < page.text.index("2026-03-09, 11:30 (this stay)")


def test_an_older_score_of_the_stay_says_that_there_is_a_newer_one(service: Service) -> None:
    older, newer = service.kept(), service.kept()
    page = read(service, older, service.person("clinician"))
    assert page.links["Open the newer score"] == f"/risk/{newer}"
    assert "newer" not in read(service, newer, service.person("clinician")).text


def test_what_the_model_went_by_is_kept_sealed_and_asked_again(service: Service) -> None:
    score_id = service.kept()
    with service.keeping.database.reading() as connection:
        row = scores.by_id(connection, score_id)
    assert row is not None
    assert row.row_sealed is not None
    assert b"sodium" not in row.row_sealed
    kept = inputs_of(service.keeping.keys, row)
    assert kept is not None
    assert (kept["sodium_latest"], kept["albumin_latest"]) == (131.0, None)
    asked = read(service, score_id, service.person("clinician"), "?whatif=sodium_latest&value=138")
    assert "With sodium 138 mmol/L instead of 131 mmol/L, the model would say" in asked.text
    assert "An association, not an effect." in asked.text


def test_a_value_out_of_range_is_refused_in_words(service: Service) -> None:
    query = "?whatif=sodium_latest&value=13800"
    page = read(service, service.kept(), service.person("clinician"), query, status=422)
    assert "Give a number between 100 and 190 mmol/L for sodium." in page.text
    assert "13800" not in page.text


def test_a_stay_without_risk_has_its_reason_and_no_number(service: Service) -> None:
    bundle = bundle_of()
    stay = next(e["resource"] for e in bundle["entry"] if e["resource"]["id"] == "example-stay")
    stay["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] = "aadvice"
    answer = service.score(service.person("clinician"), bundle).json()
    assert answer["status"] == "not_scored"
    page = read(service, answer["score_id"], service.person("clinician"))
    assert "No risk is given." in page.text
    assert answer["reason"]["sentence"] in page.text
    assert not re.search(r"\d+ %|LACE|HOSPITAL|log-odds|Think of", page.text)


def test_a_data_scientist_sees_no_identity(service: Service) -> None:
    page = read(service, service.kept(), service.person("data_scientist"))
    assert PATIENT not in page.text
    assert "example-" not in page.text.replace("example-data_scientist", "")
    assert service.pseudonym() in page.text
    assert "2026-03" not in page.text
    assert "Cardiology" not in page.text
    assert "sodium 131 mmol/L on 2026" in page.text


def test_another_unit_is_told_how_to_break_the_glass_and_the_same_of_nothing(
    service: Service,
) -> None:
    token = service.person("care_manager", units=[OTHER_UNIT], subject="night")
    score_id = service.kept()
    closed = read(service, score_id, token, status=404)
    nothing = read(service, "0" * 32, token, status=404)
    assert closed.text == nothing.text
    assert "If you treat this patient now" in closed.text
    reason = {"reason": "covering_unit", "explanation": "On call for cardiology tonight."}
    opened = service.ask("POST", f"/risk/{score_id}/break-glass", token, data=reason)
    assert (opened.status_code, opened.headers["location"]) == (303, f"/risk/{score_id}")
    assert PATIENT in read(service, score_id, token).text
    with service.keeping.database.reading() as connection:
        events = [entry.event for entry in entries(connection)][-2:]
    assert events == ["glass_broken", "score_read"]


def test_the_glass_is_not_broken_without_a_reason(service: Service) -> None:
    token = service.person("care_manager", units=[OTHER_UNIT], subject="hasty")
    score_id = service.kept()
    for sent in ({}, {"reason": "curious", "explanation": "x" * 20}, {"reason": "covering_unit"}):
        answer = service.ask("POST", f"/risk/{score_id}/break-glass", token, data=sent)
        assert answer.status_code == 422
    read(service, score_id, token, status=404)


def test_who_may_not_break_it_is_not_told_how(service: Service) -> None:
    page = read(service, "0" * 32, service.person("data_scientist"), status=404)
    assert "If you treat this patient" not in page.text


def test_a_form_of_another_site_breaks_no_glass(service: Service) -> None:
    score_id = service.kept(patient="example-other")
    headers = session(service, units=frozenset({OTHER_UNIT}))
    identifier = headers.pop("id")
    form = {"reason": "covering_unit", "explanation": "On call for cardiology tonight."}
    path = f"/risk/{score_id}/break-glass"
    assert service.ask("POST", path, headers=headers, data=form).status_code == 403
    form["csrf_token"] = token_of(service.keeping.keys, identifier)
    assert service.ask("POST", path, headers=headers, data=form).status_code == 303


def test_a_patient_who_opted_out_has_no_page(service: Service) -> None:
    score_id = service.kept(patient=OPTED_OUT)
    before = service.opt_out.read_text()
    service.opt_out.write_text(f"{OPTED_OUT}\n")
    try:
        page = read(service, score_id, service.person("clinician"), status=404)
    finally:
        service.opt_out.write_text(before)
    assert OPTED_OUT not in page.text


def test_the_banner_is_where_no_chart_shows_whose_page_it_is(service: Service) -> None:
    score_id = service.kept()

    def banner(launch: Launch | None) -> bool:
        headers = session(service, launch, units=frozenset({"Cardiology"}))
        del headers["id"]
        text = service.ask("GET", f"/risk/{score_id}", headers=headers).text
        assert PATIENT in text
        return 'class="patient-banner"' in text

    chart = {"fhir_server": EHR, "encounter": None}
    assert banner(None)
    assert banner(Launch(**chart, patient_banner=True))
    assert not banner(Launch(**chart, patient_banner=False))


def test_records_open_at_the_ehr_of_the_launch_and_are_plain_text_without_one(
    service: Service,
) -> None:
    score_id = service.kept()
    launch = Launch(fhir_server=EHR, encounter=None, patient_banner=False)
    headers = session(service, launch, units=frozenset({"Cardiology"}))
    del headers["id"]
    page = Page(service.ask("GET", f"/risk/{score_id}", headers=headers).text)
    assert page.links["Observation/example-sodium"] == f"{EHR}/Observation/example-sodium"
    plain = read(service, score_id, service.person("clinician"))
    assert "Observation/example-sodium" in plain.text
    assert "Observation/example-sodium" not in plain.links


def test_hostile_words_in_a_record_are_shown_and_nothing_more(service: Service) -> None:
    score_id = service.kept(unit="<script>alert(1)</script>")
    # Nobody but those who see every unit; clinicians do.
    answer = service.ask("GET", f"/risk/{score_id}", service.person("clinician"), headers=HTML)
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text


def test_programs_get_problems_and_not_pages(service: Service) -> None:
    answer = service.ask("GET", f"/risk/{'0' * 32}", service.person("clinician"))
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.fixture(scope="module")
def framed(each_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    origins = "https://ehr.example https://other.example:8443"
    with trusting_service(tmp_path_factory.mktemp("framed"), frame_ancestors=origins) as running:
        yield running


def test_this_page_alone_may_be_framed_and_by_those_alone_who_are_listed(
    service: Service, framed: Service
) -> None:
    def ancestors(of: Service, path: str) -> str:
        answer = of.ask("GET", path, of.person("clinician"), headers=HTML)
        (found,) = re.findall(r"frame-ancestors ([^;]+)", answer.headers["content-security-policy"])
        return str(found)

    listed = "https://ehr.example https://other.example:8443"
    assert ancestors(framed, f"/risk/{framed.kept()}") == listed
    assert ancestors(framed, "/") == "'none'"
    assert ancestors(framed, "/v1/model") == "'none'"
    assert ancestors(service, f"/risk/{service.kept()}") == "'none'"
