"""From the chart to the card to what became of it: the demo EHR and the service, together."""

import re
from typing import Any

import httpx
import pytest
from browsing import HTML

from service.database import audit_entries
from service.database.cards import shown


def open_page(demo: Any, path: str) -> str:
    answer = httpx.get(demo.plan.ehr + path, headers=HTML)
    assert answer.status_code == 200, answer.text
    return answer.text


def submit(demo: Any, path: str, **fields: str) -> httpx.Response:
    return httpx.post(
        demo.plan.ehr + path, data=fields, headers={**HTML, "Sec-Fetch-Site": "same-origin"}
    )


def adults_in_hospital(demo: Any) -> list[Any]:
    """Those whom a card is about: grown up, and there for no birth."""
    found = []
    for one in demo.ehr.store.records.recent:
        born = int(demo.ehr.store.read("Patient", one.patient)["birthDate"][:4])
        if one.end is None and born < 2000:
            found.append(one)
    return found


def fresh_card(demo: Any) -> Any:
    """A card on a chart that nobody has opened before."""
    for stay in demo.ehr.store.records.recent:
        if any(card.patient == stay.patient for card in demo.ehr.cards.values()):
            continue
        text = open_page(demo, f"/patients/{stay.patient}")
        assert "The EHR goes on without" not in text, text
        found = [card for card in demo.ehr.cards.values() if card.patient == stay.patient]
        if found:
            return found[0]
    raise AssertionError("no card")


def entered(demo: Any, event: str) -> int:
    with demo.service.state.serving.keeping.database.reading() as connection:
        return sum(one.event == event for one in audit_entries.entries(connection))


def test_opening_a_chart_shows_the_card_with_its_reasons(demo):
    card = fresh_card(demo)
    text = open_page(demo, f"/patients/{card.patient}?opened=yes")
    assert card.card["summary"] in re.sub("&#39;", "'", text)
    assert "<strong>" in card.detail, "its Markdown is rendered"
    with demo.service.state.serving.keeping.database.reading() as connection:
        kept = shown(connection, card.uuid)
    assert kept is not None
    assert kept.issuer == demo.plan.hooks


def test_a_suggestion_that_is_taken_writes_its_resource_and_reaches_the_service(demo):
    card = fresh_card(demo)
    suggestion = card.card["suggestions"][0]
    before = entered(demo, "card_feedback")
    answer = submit(demo, f"/cards/{card.uuid}/accept", suggestion=suggestion["uuid"])
    assert answer.status_code == 303
    wanted = suggestion["actions"][0]["resource"]
    written = demo.ehr.store.of_patient(wanted["resourceType"], card.patient)
    assert len(written) == 1
    assert written[0]["status"] == wanted["status"]
    assert card.reported[0].problem is None
    assert entered(demo, "card_feedback") == before + 1
    again = submit(demo, f"/cards/{card.uuid}/accept", suggestion=suggestion["uuid"])
    assert again.status_code == 409
    assert "readmit service knows" in open_page(demo, f"/patients/{card.patient}?opened=yes")
    assert card.patient in open_page(demo, "/tasks")


def test_a_card_is_put_aside_with_a_reason_and_words(demo):
    card = fresh_card(demo)
    path = f"/cards/{card.uuid}/override"
    assert submit(demo, path, reason="", comment="").status_code == 422
    code = card.card["overrideReasons"][0]["code"]
    answer = submit(demo, path, reason=code, comment="Seen on Thursday.")
    assert answer.status_code == 303
    assert card.reported[-1].problem is None
    text = open_page(demo, f"/patients/{card.patient}?opened=yes")
    assert card.card["summary"] not in text


def test_a_discharge_asks_first_and_then_ends_the_stay(demo):
    stay = adults_in_hospital(demo)[0]
    path = f"/patients/{stay.patient}/discharge/{stay.encounter}"
    assert "Confirm the discharge" in open_page(demo, path)
    assert any(card.patient == stay.patient for card in demo.ehr.cards.values())
    number = len(demo.ehr.events.events)
    assert submit(demo, path).status_code == 303
    ended = demo.ehr.store.read("Encounter", stay.encounter)
    assert (ended["status"], ended["meta"]["versionId"]) == ("finished", "1")
    assert [one.encounter for one in demo.ehr.events.events[number:]] == [stay.encounter]
    assert stay.patient not in open_page(demo, "/")
    assert stay.patient in open_page(demo, "/?show=left")
    assert submit(demo, path).status_code == 409


def test_the_app_is_opened_on_the_chart_in_a_frame(demo):
    card = fresh_card(demo)
    text = open_page(demo, f"/patients/{card.patient}/app?card={card.uuid}")
    assert f'src="{demo.plan.service}/launch?iss=' in text
    assert "Open in a new tab" in text
    launches = [launch for launch, _ in demo.ehr.smart._launches.values()][-2:]
    assert {one.patient for one in launches} == {card.patient}
    assert {one.encounter for one in launches} == {card.encounter}
    assert sorted(one.banner for one in launches) == [False, True]


def test_without_the_service_the_ehr_says_so_and_goes_on(lone_ehr):
    stay = lone_ehr.ehr.store.records.recent[0]
    text = open_page(lone_ehr, f"/patients/{stay.patient}")
    assert "The readmit service does not answer." in text
    assert "Latest laboratory results" in text
    assert submit(lone_ehr, "/events/heartbeat").status_code == 303
    assert "no answer" in open_page(lone_ehr, "/events")


def test_a_cards_markdown_can_do_nothing(demo):
    from service.demo_ehr.cards import GivenCard

    hostile = "# Big\n<script>alert(1)</script> [go](javascript:alert(1)) ![x](http://127.0.0.1/x)"
    shown_as = str(GivenCard({"uuid": "1", "detail": hostile}, "", "", "").detail)
    assert "<script" not in shown_as
    assert "<img" not in shown_as
    assert 'href="javascript' not in shown_as
    assert "<h4>Big</h4>" in shown_as


@pytest.mark.parametrize("path", ["/patients/nobody", "/nowhere", "/cards/x"])
def test_what_is_not_there_is_said_on_a_page(demo, path):
    answer = httpx.get(demo.plan.ehr + path, headers=HTML)
    assert answer.status_code in (404, 405)
    assert "That does not work" in answer.text


def test_every_page_says_that_it_is_simulated(demo):
    for path in ("/", "/tasks", "/events", "/nowhere"):
        assert "no patient, no clinician and" in httpx.get(demo.plan.ehr + path, headers=HTML).text
