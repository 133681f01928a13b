"""The list: whom it shows to whom, in which order, and that the audit knows."""

import csv
import io
import random
from typing import Any

import pytest
from fhir.resources.R4B.group import Group
from fhir.resources.R4B.list import List
from listed_patients import listed, put_on_the_list, work_on
from sqlalchemy import update
from trusting_service import OTHER_UNIT, UNIT, Service

from service.database import tables
from service.database.audit_entries import entries
from service.fhir_out.work_list import members, ranked
from service.fhir_out.work_list_examples import GROUP, LIST
from service.work_list.examples import LISTED, PAGE

PATH = "/v1/worklist"


def ask(service: Service, path: str = PATH, token: str | None = None, **asked: Any) -> Any:
    return service.ask("GET", path, token or service.person("care_manager"), params=asked)


def patients(service: Service, token: str | None = None, **asked: Any) -> list[str]:
    answer = ask(service, PATH, token, **asked)
    assert answer.status_code == 200, answer.text
    return [one["patient"] for one in answer.json()["patients"]]


def last_entries(service: Service, count: int) -> list[Any]:
    with service.keeping.database.reading() as connection:
        return list(entries(connection))[-count:]


def test_the_highest_remaining_risk_comes_first(service: Service) -> None:
    rows = [("a", 0.1), ("b", 0.4), ("c", 0.2)]
    put_on_the_list(service.keeping, [listed(service.keeping, p, remaining=r) for p, r in rows])
    answer = ask(service).json()
    assert [one["patient"] for one in answer["patients"]] == ["b", "c", "a"]
    assert (answer["total"], answer["next"]) == (3, None)
    first = answer["patients"][0]
    assert first["days_since_discharge"] == 3
    assert first["reasons"] == ["3 hospital stays in the year before", "sodium 129 mmol/L"]
    assert (first["status"], first["version"]) == ("new", 0)


@pytest.mark.parametrize("left", ["readmitted", "deceased", "opted_out", "not_scored", "over"])
def test_who_has_left_the_list_is_not_on_it(service: Service, left: str) -> None:
    put_on_the_list(service.keeping, [listed(service.keeping, "gone", left=left)])
    assert patients(service) == []


def test_a_care_manager_sees_the_patients_of_their_units(service: Service) -> None:
    put_on_the_list(
        service.keeping,
        [
            listed(service.keeping, "ours"),
            listed(service.keeping, "theirs", unit=OTHER_UNIT),
            listed(service.keeping, "nobodys", unit=None),
        ],
    )
    assert patients(service) == ["ours"]
    assert patients(service, service.person("care_manager", units=[])) == []
    assert set(patients(service, service.person("clinician"))) == {"ours", "theirs", "nobodys"}
    # Asking for another unit does not widen what one may see.
    assert patients(service, unit=OTHER_UNIT) == []


def test_a_token_for_one_patient_gets_no_list(service: Service) -> None:
    token = service.person("clinician", scope="patient/*.cruds", patient="ours")
    assert ask(service, PATH, token).status_code == 403


def test_who_said_no_since_the_list_was_made_is_left_out(service: Service) -> None:
    names = [f"p{number}" for number in range(6)]
    put_on_the_list(service.keeping, [listed(service.keeping, name) for name in names])
    service.opt_out.write_text("p1\np4\n")
    found = patients(service, limit=3)
    rest = ask(service, limit=3, after=ask(service, limit=3).json()["next"]).json()
    assert sorted(found + [one["patient"] for one in rest["patients"]]) == ["p0", "p2", "p3", "p5"]


def test_every_filter_leaves_what_it_says(service: Service) -> None:
    day = 86_400_000_000
    keeping = service.keeping
    put_on_the_list(
        keeping,
        [
            listed(keeping, "plain"),
            listed(keeping, "low", band="low"),
            listed(keeping, "lungs", condition_group="COPD"),
            listed(keeping, "inside", discharged_at=None),
            listed(keeping, "march", discharged_at=20_513 * day),  # 2026-03-01
        ],
    )
    me = service.person("care_manager", subject="me")
    work_on(keeping, "plain", status="visit_booked", assigned_to=f"{service.issuer.issuer}|me")
    everybody = {"plain", "low", "lungs", "inside", "march"}
    for asked, left in {
        ("band", "low"): {"low"},
        ("condition", "COPD"): {"lungs"},
        ("in_hospital", "true"): {"inside"},
        ("in_hospital", "false"): everybody - {"inside"},
        ("discharged_to", "2026-03-01"): {"march"},
        ("discharged_from", "2026-03-02"): everybody - {"inside", "march"},
        ("status", "visit_booked"): {"plain"},
        ("status", "new"): everybody - {"plain"},
        ("assigned_to", "me"): {"plain"},
        ("assigned_to", "nobody"): everybody - {"plain"},
        ("band", ""): everybody,
    }.items():
        assert set(patients(service, me, **dict([asked]))) == left, asked


@pytest.mark.parametrize(
    "asked",
    [
        {"bands": "low"},
        {"band": "purple"},
        {"discharged_from": "2026-02-30"},
        {"discharged_from": "20260228"},
        {"sort": "name"},
        {"after": "bm9uc2Vuc2U"},
        {"unit": "a\0b"},
        {"status": "x" * 300},
        {"limit": 501},
    ],
)
def test_what_the_list_cannot_be_asked_is_refused_and_not_quoted(
    service: Service, asked: dict[str, Any]
) -> None:
    answer = ask(service, **asked)
    assert answer.status_code == 422
    assert str(next(iter(asked.values())))[:40] not in answer.json().get("detail", "")


@pytest.mark.parametrize("sort", ["remaining", "risk", "discharged", "due"])
def test_paging_gives_each_patient_that_does_not_change_once(service: Service, sort: str) -> None:
    keeping, chance = service.keeping, random.Random(7)
    day = 86_400_000_000
    names = [f"p{number:02}" for number in range(40)]
    put_on_the_list(
        keeping,
        [
            # Many are equal: the order among them must not change either.
            listed(
                keeping,
                name,
                remaining=chance.randrange(4) / 10,
                probability=chance.randrange(4) / 10,
                discharged_at=chance.choice([None, 20_513 * day, 20_514 * day]),
            )
            for name in names
        ],
    )
    for name in names[::3]:
        work_on(keeping, name, due_on=chance.choice([None, "2026-03-01", "2026-03-02"]))
    changing = set(names[::4])
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = ask(service, sort=sort, limit=7, **after).json()
        seen += [one["patient"] for one in page["patients"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
        for name in chance.sample(sorted(changing), 3):
            change = {"remaining": chance.random(), "probability": chance.random()}
            with keeping.database.writing() as connection:
                connection.execute(
                    update(tables.WORK_LIST)
                    .where(
                        tables.WORK_LIST.c.patient_index == listed(keeping, name)["patient_index"]
                    )
                    .values(**change)
                )
    assert sorted(one for one in seen if one not in changing) == sorted(set(names) - changing)


def test_a_page_goes_on_in_its_own_order_alone(service: Service) -> None:
    put_on_the_list(service.keeping, [listed(service.keeping, name) for name in "abc"])
    following = ask(service, limit=1).json()["next"]
    assert ask(service, limit=1, after=following, sort="due").status_code == 422


def test_each_patient_who_is_shown_is_in_the_audit(service: Service) -> None:
    put_on_the_list(service.keeping, [listed(service.keeping, name) for name in "abc"])
    shown = patients(service, limit=2)
    made = last_entries(service, 2)
    assert {one.event for one in made} == {"work_list_read"}
    assert {one.patient_index for one in made} == {service.pseudonym(one) for one in shown}


def test_no_cell_of_the_table_is_a_formula(service: Service) -> None:
    for patient, unit in (("=cmd|'/c calc'!A1", UNIT), ("+1", UNIT), ("\tx", UNIT)):
        put_on_the_list(service.keeping, [listed(service.keeping, patient, unit=unit)])
    answer = ask(service, f"{PATH}.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(table) == 3
    assert {one["patient"][0] for one in table} == {"'"}
    assert table[0]["changeable"] == "sodium 129 mmol/L"


def test_the_list_is_a_ranked_list_of_assessments_in_fhir(service: Service) -> None:
    rows = [("a", 0.1), ("b", 0.4)]
    put_on_the_list(service.keeping, [listed(service.keeping, p, remaining=r) for p, r in rows])
    content = ask(service, "/fhir/List/work-list").json()
    made = List.model_validate(content)
    assert [one["item"]["display"] for one in content["entry"]] == ["Patient/b", "Patient/a"]
    assert (made.mode, made.orderedBy.coding[0].code) == ("snapshot", "priority")
    group = Group.model_validate(ask(service, "/fhir/Group/work-list").json())
    assert [one.entity.reference for one in group.member] == ["Patient/b", "Patient/a"]
    assert (group.type, group.actual, int(group.quantity)) == ("person", True, 2)


def test_an_empty_list_says_why_in_fhir(service: Service) -> None:
    made = List.model_validate(ask(service, "/fhir/List/work-list").json())
    assert made.emptyReason.coding[0].code == "nilknown"
    Group.model_validate(ask(service, "/fhir/Group/work-list").json())


def test_a_system_reads_the_group_with_the_scope_for_it(service: Service) -> None:
    put_on_the_list(service.keeping, [listed(service.keeping, "a", unit=None)])
    token = service.system("system/Group.r")
    assert len(ask(service, "/fhir/Group/work-list", token).json()["member"]) == 1
    assert ask(service, "/fhir/List/work-list", token).status_code == 403


def test_the_documented_resources_are_what_is_sent() -> None:
    assert ranked((LISTED,), PAGE.as_of) == LIST
    assert members((LISTED,)) == GROUP
