"""From an EHR's notification to the risk in the EHR's own records, on both databases."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from counting_ehr import EHR, counting_ehr
from event_path import Hospital, settings_of
from fhir.resources.R4B.flag import Flag
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.riskassessment import RiskAssessment
from hypothesis import given, settings
from hypothesis import strategies as st

from service.database.leases import FAILED
from service.events import attempts, scoring, worker
from service.events.examples import notification
from service.events.retrying import retry
from service.events.worker import Worker
from service.fhir_servers.client import FHIRServer
from service.identity.ehr_tokens import EHRTokens
from service.serving import Serving

pytestmark = pytest.mark.usefixtures("each_database")

KINDS = ("RiskAssessment", "Flag", "Provenance")


@pytest.fixture
def ehr() -> Iterator[EHR]:
    with counting_ehr() as server:
        yield server


@pytest.fixture
def hospital(tmp_path: Path, ehr: EHR) -> Hospital:
    made = Hospital(settings_of(tmp_path, ehr.base), ehr)
    made.admit("adam", "berta", "carl")
    return made


def versions(ehr: EHR) -> dict[str, list[int]]:
    return {kind: ehr.versions(kind) for kind in KINDS}


def states(hospital: Hospital) -> list[str]:
    return sorted(f"{row.kind} {row.state}" for row in hospital.kept().outbox)


def test_the_end_of_a_stay_leads_to_one_of_each_resource_in_the_ehr(
    hospital: Hospital, ehr: EHR
) -> None:
    hospital.tell({1: "adam"})
    assert versions(ehr) == {kind: [1] for kind in KINDS}
    (score,) = hospital.kept().scores
    (assessment,) = ehr.newest("RiskAssessment")
    assert RiskAssessment.model_validate(assessment).subject.reference == "Patient/adam"
    assert assessment["prediction"][0]["probabilityDecimal"] == round(score.probability, 6)
    assert assessment["performer"]["reference"] == "#model"
    (flag,) = ehr.newest("Flag")
    assert Flag.model_validate(flag).status == "active"
    (provenance,) = ehr.newest("Provenance")
    Provenance.model_validate(provenance)
    assert provenance["target"][0]["identifier"] == assessment["identifier"][0]
    contained = [one["resourceType"] for one in provenance["contained"]]
    assert sorted(contained) == ["Device", "DocumentReference"]
    assert hospital.audited() == ["events_received", "score_given", *["written_back"] * 3]


def test_a_risk_that_is_not_high_flags_nobody(hospital: Hospital, ehr: EHR) -> None:
    hospital.model.says = "low"
    hospital.tell({1: "adam"})
    assert versions(ehr) == {"RiskAssessment": [1], "Flag": [], "Provenance": [1]}


def test_a_flag_is_taken_back_once_when_the_risk_is_no_longer_high(
    hospital: Hospital, ehr: EHR
) -> None:
    hospital.tell({1: "adam"})
    hospital.model.says = "low"
    for number in (2, 3):
        hospital.tell({number: "adam"})
    assert [one["status"] for one in ehr.newest("Flag")] == ["inactive"]
    Flag.model_validate(ehr.newest("Flag")[0])
    assert versions(ehr) == {"RiskAssessment": [3], "Flag": [2], "Provenance": [3]}


def test_an_event_told_twice_is_one_event_and_one_score(hospital: Hospital, ehr: EHR) -> None:
    told = hospital.told({1: "adam"})
    assert [one.new for one in hospital.receive(told, told)] == [1, 0]
    hospital.work()
    hospital.receive(told)
    hospital.work()
    assert len(hospital.kept().scores) == 1
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_events_that_were_not_told_are_asked_for(hospital: Hospital, ehr: EHR) -> None:
    ehr.events = {n: f"Encounter/{p}-stay" for n, p in {1: "adam", 2: "berta", 3: "carl"}.items()}
    (received,) = hospital.receive(hospital.told({3: "carl"}))
    assert (received.new, received.missed) == (1, 2)
    hospital.make_due()
    hospital.work()
    asked = [one for one in ehr.asked if "$events" in one]
    assert asked == [
        "GET /fhir/Subscription/example-subscription/$events"
        "?eventsSinceNumber=1&eventsUntilNumber=2&content=id-only"
    ]
    assert len(hospital.kept().scores) == 3
    assert versions(ehr) == {kind: [1, 1, 1] for kind in KINDS}


def test_a_heartbeat_tells_of_events_that_were_missed(hospital: Hospital, ehr: EHR) -> None:
    ehr.events = {1: "Encounter/adam-stay"}
    hospital.receive(notification("handshake"), notification("heartbeat"))
    assert hospital.audited() == ["events_received"]  # a sign of life is not entered
    hospital.receive(notification("heartbeat", since_start=1))
    hospital.make_due()
    hospital.work()
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_what_was_before_the_handshake_is_not_asked_for(hospital: Hospital, ehr: EHR) -> None:
    hospital.receive(notification("handshake", since_start=40))
    hospital.tell({41: "adam"})
    hospital.make_due()
    hospital.work()
    assert not [one for one in ehr.asked if "$events" in one]
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_a_gap_that_fills_by_itself_is_not_asked_for(hospital: Hospital, ehr: EHR) -> None:
    hospital.receive(hospital.told({2: "berta"}), hospital.told({1: "adam"}))
    hospital.make_due()
    hospital.work()
    assert not [one for one in ehr.asked if "$events" in one]
    assert len(hospital.kept().scores) == 2


def test_an_empty_payload_has_its_event_asked_for(hospital: Hospital, ehr: EHR) -> None:
    ehr.events = {1: "Encounter/adam-stay"}
    hospital.tell({1: None})
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_the_payload_is_never_read(hospital: Hospital, ehr: EHR) -> None:
    told = hospital.told({1: "adam"})
    told["entry"].append({"resource": {"resourceType": "Encounter", "id": "x", "status": {}}})
    hospital.receive(told)
    hospital.work()
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_an_encounter_of_another_server_is_passed_over(hospital: Hospital, ehr: EHR) -> None:
    focus: dict[int, str | None] = {1: "https://elsewhere.example/fhir/Encounter/adam-stay"}
    hospital.receive(notification("event-notification", focus, 1))
    hospital.work()
    assert ehr.asked == []
    assert [row.state for row in hospital.kept().events] == ["passed_over"]


def test_events_that_the_ehr_does_not_give_are_shown_to_the_operator(
    hospital: Hospital, ehr: EHR
) -> None:
    ehr.events = {2: "Encounter/berta-stay"}
    hospital.tell({2: "berta"})
    hospital.make_due()
    hospital.work()
    problems = [(row.number, row.problem) for row in hospital.kept().events if row.problem]
    assert problems == [(1, "not_recovered")]
    assert "event_failed" in hospital.audited()


@pytest.mark.parametrize("status", [401, 409, 429, 500, 503])
def test_what_may_pass_is_tried_again_until_it_lies_there(
    hospital: Hospital, ehr: EHR, status: int
) -> None:
    ehr.answers = [("PUT", status, {})] * 3
    hospital.tell({1: "adam"})
    assert [row.problem for row in hospital.kept().outbox] == [f"answered {status}"] * 3
    hospital.make_due()
    hospital.work()
    assert versions(ehr) == {kind: [1] for kind in KINDS}
    assert {row.state for row in hospital.kept().outbox} == {"delivered"}


@pytest.mark.parametrize("status", [400, 403, 404, 412, 422])
def test_what_no_repetition_mends_is_given_up_and_may_be_tried_by_the_operator(
    hospital: Hospital, ehr: EHR, status: int
) -> None:
    ehr.answers = [("PUT", status, {})] * 3
    hospital.tell({1: "adam"})
    hospital.make_due()
    hospital.work()
    assert {row.state for row in hospital.kept().outbox} == {FAILED}
    assert hospital.audited().count("write_back_failed") == 3
    assert versions(ehr) == {kind: [] for kind in KINDS}

    async def anew(here: Serving) -> dict[str, int]:
        return retry(here.keeping)

    assert hospital.within(anew) == {"events": 0, "resources": 3}
    hospital.work()
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_an_ehr_that_was_away_finds_all_that_was_missed(hospital: Hospital, ehr: EHR) -> None:
    ehr.answers = [("GET", 503, {})]
    hospital.tell({1: "adam"})
    assert hospital.kept().scores == []
    hospital.make_due()
    hospital.work()
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_an_answer_that_was_lost_leads_to_no_second_version(
    hospital: Hospital, ehr: EHR, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The EHR has written it; its answer never arrives.
    lost = set(KINDS)
    update = FHIRServer.update

    async def loses_the_answer(server: FHIRServer, query: str, resource: bytes) -> None:
        await update(server, query, resource)
        kind = query.partition("?")[0]
        if kind in lost:
            lost.remove(kind)
            raise TimeoutError

    monkeypatch.setattr(FHIRServer, "update", loses_the_answer)
    hospital.tell({1: "adam"})
    hospital.make_due()
    hospital.work()
    assert {row.state for row in hospital.kept().outbox} == {"delivered"}
    assert versions(ehr) == {kind: [1] for kind in KINDS}


def test_nothing_is_written_of_who_opted_out_before_it_was_sent(
    hospital: Hospital, ehr: EHR, tmp_path: Path
) -> None:
    ehr.answers = [("PUT", 500, {})] * 3
    hospital.tell({1: "adam"})
    (tmp_path / "opt-out.txt").write_text("adam\n")
    hospital.make_due()
    hospital.work()
    assert versions(ehr)["RiskAssessment"] == versions(ehr)["Provenance"] == []
    # The Flag may have arrived, so that it is taken back.
    assert [one["status"] for one in ehr.newest("Flag")] == ["inactive"]
    assert states(hospital) == [
        "Flag taken_back",
        "Provenance withdrawn",
        "RiskAssessment withdrawn",
    ]


def test_who_opted_out_is_neither_scored_nor_written_of(
    hospital: Hospital, ehr: EHR, tmp_path: Path
) -> None:
    (tmp_path / "opt-out.txt").write_text("adam\n")
    hospital.tell({1: "adam"})
    assert versions(ehr) == {kind: [] for kind in KINDS}
    assert [row.status for row in hospital.kept().scores] == ["not_scored"]


def test_the_flag_of_who_opts_out_later_is_taken_back_without_an_event(
    hospital: Hospital, ehr: EHR, tmp_path: Path
) -> None:
    hospital.tell({1: "adam", 2: "berta"})
    (tmp_path / "opt-out.txt").write_text("adam\n")

    async def house(here: Serving) -> None:
        working = Worker(here)
        await working.keep_house()
        await working.until_nothing_is_due()

    hospital.within(house)
    by_patient = {one["subject"]["reference"]: one["status"] for one in ehr.newest("Flag")}
    assert by_patient == {"Patient/adam": "inactive", "Patient/berta": "active"}


def test_two_workers_at_once_do_nothing_twice(hospital: Hospital, ehr: EHR) -> None:
    patients = [f"patient-{number}" for number in range(1, 11)]
    hospital.admit(*patients)
    hospital.receive(hospital.told(dict(enumerate(patients, start=1))))

    async def both(here: Serving) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(Worker(here).until_nothing_is_due)

    hospital.within(both)
    hospital.work()
    assert len(hospital.kept().scores) == 10
    assert versions(ehr) == {kind: [1] * 10 for kind in KINDS}


def test_a_worker_whose_lease_ran_out_does_not_count(
    hospital: Hospital, ehr: EHR, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital.receive(hospital.told({1: "adam"}))

    async def overtaken(here: Serving) -> None:
        slow, quick = Worker(here), Worker(here)
        (held,), _ = slow._take()
        later = worker._now() + 200_000_000
        monkeypatch.setattr(worker, "_now", lambda: later)
        await quick.until_nothing_is_due()
        await slow._attempt(held, worker.work_on, slow._event_failed)

    hospital.within(overtaken)
    assert len(hospital.kept().scores) == 1
    assert [row.state for row in hospital.kept().events] == ["done"]


def test_a_record_that_our_code_cannot_take_keeps_nobody_else_waiting(
    hospital: Hospital, ehr: EHR, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = scoring.read_record

    def fails(here: Serving, bundle: bytes) -> Any:
        if b"adam-stay" in bundle:
            raise KeyError("adam")
        return read(here, bundle)

    monkeypatch.setattr(scoring, "read_record", fails)
    hospital.tell({1: "adam", 2: "berta"})
    for _ in range(attempts.ATTEMPTS_AT_OUR_OWN_ERRORS):
        hospital.make_due()
        hospital.work()
    rows = {row.number: (row.state, row.problem) for row in hospital.kept().events}
    assert rows == {1: (FAILED, "unexpected"), 2: ("done", None)}


def test_no_table_of_the_event_path_names_a_patient(hospital: Hospital) -> None:
    hospital.tell({1: "adam"})
    kept = hospital.kept()
    plain = json.dumps([[str(value) for value in row] for row in [*kept.events, *kept.outbox]])
    assert "adam" not in plain


@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_in_whatever_order_and_however_often_it_is_told_the_result_is_the_same(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    patients = {1: "adam", 2: "berta", 3: "carl", 4: "adam"}
    told = data.draw(st.lists(st.sampled_from(sorted(patients)), min_size=1, max_size=7))
    with counting_ehr() as ehr:
        hospital = Hospital(settings_of(tmp_path_factory.mktemp("hospital"), ehr.base), ehr)
        hospital.admit("adam", "berta", "carl")
        ehr.events = {n: f"Encounter/{patient}-stay" for n, patient in patients.items()}
        hospital.receive(
            notification("handshake"),
            *(hospital.told({number: patients[number]}, since=number) for number in told),
            notification("heartbeat", since_start=len(patients)),
        )
        hospital.work()
        hospital.make_due()
        hospital.work()
        kept = hospital.kept()
        assert len(kept.scores) == len(patients)
        assert {row.state for row in kept.outbox} == {"delivered"}
        for kind in KINDS:
            by_stay = {json.dumps(one.get("encounter")) for one in ehr.newest(kind)}
            assert len(ehr.newest(kind)) == 3
            assert len(by_stay) == (1 if kind == "Provenance" else 3)
        score_ids = {row.id for row in kept.scores}
        for one in ehr.newest("RiskAssessment"):
            assert one["identifier"][1]["value"] in score_ids


def test_the_ehr_is_asked_with_our_own_token_and_one_that_it_refuses_is_forgotten(
    tmp_path: Path, ehr: EHR, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = 'backend_client_id = "us"\nbackend_token_endpoint = "https://ehr.example/token"'
    hospital = Hospital(settings_of(tmp_path, ehr.base, more), ehr)
    hospital.admit("adam")
    asked, forgotten = [], []

    async def token(_: EHRTokens, *purpose: str) -> str:
        asked.append(purpose)
        return "our-token"

    monkeypatch.setattr(EHRTokens, "access_token", token)
    monkeypatch.setattr(EHRTokens, "forget", lambda _, held: forgotten.append(held))
    ehr.answers = [("PUT", 401, {})]
    hospital.tell({1: "adam"})
    assert set(ehr.authorizations) == {"Bearer our-token"}
    assert forgotten == ["our-token"]
    assert {one[:2] for one in asked} == {("https://ehr.example/token", "us")}
    assert all("system/RiskAssessment.crus" in one[2] for one in asked)
