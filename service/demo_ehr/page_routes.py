"""The EHR's own pages: the wards, a chart, a discharge, cards, tasks, events."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response

from service.demo_ehr import charts
from service.demo_ehr.cards import GivenCard, Reported
from service.demo_ehr.ehr import EHR, ehr_of
from service.demo_ehr.errors import PageError
from service.demo_ehr.forms import form_of
from service.demo_ehr.rendering import page, stylesheet
from service.demo_ehr.smart import Launch

router = APIRouter()

LINES: Final = 20
"""Patients on a page of a list."""
_WRITTEN_BACK: Final = ("RiskAssessment", "Flag", "ServiceRequest", "Task")
_ZONE: Final = ZoneInfo("America/New_York")
"""Where the simulated hospital stands."""


@router.get("/style.css")
async def get_style() -> Response:
    """The stylesheet."""
    return Response(stylesheet(), media_type="text/css")


@router.get("/")
async def get_ward(request: Request, unit: str = "", show: str = "now", at: int = 0) -> Response:
    """Who is in hospital, or left it lately."""
    store = ehr_of(request).store
    found = charts.ward(store, in_hospital=show != "left", unit=unit)
    at = max(0, at)

    def further(start: int) -> str:
        return f"/?{urlencode({'unit': unit, 'show': show, 'at': start})}"

    return page(
        request,
        "ward.html",
        lines=charts.lines(store, found[at : at + LINES]),
        total=len(found),
        at=at,
        units=charts.units(store),
        unit=unit,
        show=show,
        earlier=further(max(0, at - LINES)) if at else None,
        later=further(at + LINES) if at + LINES < len(found) else None,
        days=store.records.dates.days,
    )


@router.get("/patients/{patient}")
async def get_chart(request: Request, patient: str, opened: str = "") -> Response:
    """A chart. Opening it fires patient-view; coming back to it from a form does not."""
    ehr = ehr_of(request)
    who = charts.who_is(ehr.store, patient)
    stays = charts.stays(ehr.store, patient)
    hospital_stay = next((one for one in stays if one.kind == "Inpatient"), None)
    problem = None
    if not opened and hospital_stay is not None:
        problem = await ehr.fire("patient-view", patient, hospital_stay.id)
    return page(
        request,
        "chart.html",
        who=who,
        stays=stays[: charts.LISTED_STAYS],
        more_stays=max(0, len(stays) - charts.LISTED_STAYS),
        hospital_stay=hospital_stay,
        results=charts.latest_results(ehr.store, patient),
        problems=charts.problems(ehr.store, patient),
        cards=_open_cards(ehr, patient),
        closed=[card for card in _cards(ehr, patient) if card.reported],
        problem=problem,
        fired=not opened,
        flags=_flags(ehr, patient),
        written={kind: ehr.store.of_patient(kind, patient) for kind in _WRITTEN_BACK},
        text_of=charts.text_of,
    )


@router.get("/patients/{patient}/discharge/{encounter}")
async def get_discharge(request: Request, patient: str, encounter: str) -> Response:
    """The discharge of somebody who is in hospital: fires encounter-discharge."""
    ehr = ehr_of(request)
    stay = _going_on(ehr, patient, encounter)
    problem = await ehr.fire("encounter-discharge", patient, encounter)
    return page(
        request,
        "discharge.html",
        who=charts.who_is(ehr.store, patient),
        stay=stay,
        cards=_open_cards(ehr, patient),
        flags=_flags(ehr, patient),
        problem=problem,
    )


@router.post("/patients/{patient}/discharge/{encounter}")
async def post_discharge(request: Request, patient: str, encounter: str) -> Response:
    """End the stay, and tell whoever subscribed to that."""
    ehr = ehr_of(request)
    _going_on(ehr, patient, encounter)
    found = ehr.store.read("Encounter", encounter)
    now = datetime.now(_ZONE).isoformat(timespec="seconds")
    home: dict[str, Any] = {
        "system": "http://terminology.hl7.org/CodeSystem/discharge-disposition",
        "code": "home",
        "display": "Home",
    }
    hospitalization = {
        **found.get("hospitalization", {}),
        "dischargeDisposition": {"coding": [home]},
    }
    ehr.store.put(
        {
            **found,
            "status": "finished",
            "period": {**found["period"], "end": now},
            "hospitalization": hospitalization,
        }
    )
    await ehr.events.ended(encounter, patient)
    return _to(f"/patients/{patient}")


@router.post("/cards/{uuid}/accept")
async def post_acceptance(request: Request, uuid: str) -> Response:
    """Take a suggestion: its resources are written, and the service learns of it."""
    ehr = ehr_of(request)
    card = ehr.card(uuid)
    chosen = (await form_of(request)).get("suggestion", "")
    suggestion = card.suggestion(chosen)
    for action in suggestion.get("actions", ()):
        if action.get("type") == "create":
            ehr.store.create(action["resource"])
    card.accepted.add(chosen)
    problem = await ehr.hooks.report(card, card.acceptance(chosen))
    card.reported.append(Reported("accepted", f"Taken: {suggestion['label']}", problem))
    return _to(f"/patients/{card.patient}?opened=yes")


@router.post("/cards/{uuid}/override")
async def post_override(request: Request, uuid: str) -> Response:
    """Put a card aside, with a reason; the service learns of it."""
    ehr = ehr_of(request)
    card = ehr.card(uuid)
    form = await form_of(request)
    report = card.override(form.get("reason", ""), form.get("comment", "").strip())
    problem = await ehr.hooks.report(card, report)
    card.reported.append(Reported("overridden", "Put aside, with the reason given", problem))
    return _to(f"/patients/{card.patient}?opened=yes")


@router.get("/patients/{patient}/app")
async def get_app(request: Request, patient: str, card: str = "") -> Response:
    """Open the SMART app within the chart, and offer it in a tab of its own."""
    ehr = ehr_of(request)
    who = charts.who_is(ehr.store, patient)
    encounter, context, url = None, None, f"{ehr.plan.service}/launch"
    if card:
        given = ehr.card(card)
        links = [one for one in given.card.get("links", ()) if one.get("type") == "smart"]
        encounter = given.encounter
        if links:
            context, url = links[0].get("appContext"), links[0]["url"]
    else:
        stay = next((s for s in charts.stays(ehr.store, patient) if s.kind == "Inpatient"), None)
        encounter = None if stay is None else stay.id
    if not url.startswith(f"{ehr.plan.service}/"):
        raise PageError(409, "The card's app is not one that this EHR knows.")

    def address(*, banner: bool) -> str:
        launch = ehr.smart.launch(Launch(patient, encounter, context, banner))
        separator = "&" if "?" in url else "?"
        return f"{url}{separator}{urlencode({'iss': ehr.plan.fhir, 'launch': launch})}"

    return page(
        request,
        "app.html",
        who=who,
        flags=_flags(ehr, patient),
        framed=address(banner=False),
        apart=address(banner=True),
    )


@router.get("/tasks")
async def get_tasks(request: Request) -> Response:
    """What was asked of somebody: Tasks and ServiceRequests that suggestions made."""
    store = ehr_of(request).store
    found = [*store.written("Task"), *store.written("ServiceRequest")]
    tasks = [
        (
            one,
            who,
            charts.text_of(one.get("code")) or one.get("description", ""),
            one.get("restriction", {}).get("period", {}).get("end"),
        )
        for one in found
        if (who := _about(request, one)) is not None
    ]
    return page(request, "tasks.html", tasks=tasks)


@router.get("/events")
async def get_events(request: Request) -> Response:
    """The subscription and what was sent."""
    events = ehr_of(request).events
    return page(request, "events.html", events=events, deliveries=events.deliveries[::-1][:50])


@router.post("/events/handshake")
async def post_handshake(request: Request) -> Response:
    """Offer the subscription again."""
    await ehr_of(request).events.handshake()
    return _to("/events")


@router.post("/events/heartbeat")
async def post_heartbeat(request: Request) -> Response:
    """Send a heartbeat."""
    await ehr_of(request).events.heartbeat()
    return _to("/events")


def _going_on(ehr: EHR, patient: str, encounter: str) -> charts.Stay:
    """The stay that is to end.

    Raises:
        PageError: if it is not this patient's, or has ended.
    """
    stay = charts.stay_of(ehr.store, encounter)
    if encounter not in {one.id for one in charts.stays(ehr.store, patient)}:
        raise PageError(404, "There is no such stay.")
    if stay.status != "in-progress":
        raise PageError(409, "This stay has ended already.")
    return stay


def _cards(ehr: EHR, patient: str) -> list[GivenCard]:
    return [card for card in ehr.cards.values() if card.patient == patient]


def _open_cards(ehr: EHR, patient: str) -> list[GivenCard]:
    """Cards that are not put aside; one whose suggestion was taken stays open for the others."""
    return [card for card in _cards(ehr, patient) if not card.overridden]


def _flags(ehr: EHR, patient: str) -> list[str]:
    active = [one for one in ehr.store.of_patient("Flag", patient) if one["status"] == "active"]
    return list(dict.fromkeys(charts.text_of(one.get("code")) for one in active))


def _about(request: Request, resource: dict[str, Any]) -> charts.Who | None:
    named = resource.get("for") or resource.get("subject") or {}
    patient = str(named.get("reference", "")).rpartition("/")[2]
    store = ehr_of(request).store
    return charts.who_is(store, patient) if store.records.knows(patient) else None


def _to(path: str) -> Response:
    return Response(status_code=303, headers={"Location": path})
