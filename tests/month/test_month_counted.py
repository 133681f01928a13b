"""A month counted from the records, against a ward that was counted by hand."""

from collections.abc import Callable
from math import log1p

import msgspec
import pytest
from records import encounter, moment, patient
from sqlalchemy import insert
from ward import Ward, stay

from fhir_mappings.consent import OptOuts
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from service.database import audit_entries, months, tables
from service.database.follow_ups import Step
from service.month.count import Counted, Records, count_month
from service.month.days import MonthError
from service.month.figures import UnitMonth, Work, work_of
from service.work_list.rows import stay_index_of

pytestmark = pytest.mark.usefixtures("each_database")

Made = Callable[..., Ward]


def step(at: int, status: str, reason: str | None = None) -> Step:
    return Step("stay", at, status, reason)


@pytest.mark.parametrize(
    ("steps", "work"),
    [
        ([], Work("not_called", None)),
        ([step(1, "new")], Work("not_called", None)),
        ([step(1, "closed", "not_reached")], Work("not_reached", None)),
        ([step(1, "contacted"), step(2, "visit_booked")], Work("visit_booked", 1)),
        ([step(1, "visit_booked"), step(2, "contacted")], Work("visit_booked", 1)),
        ([step(1, "declined"), step(2, "closed", "completed")], Work("declined", 1)),
        ([step(1, "contacted"), step(2, "closed", "wrong_patient")], Work("not_called", None)),
        (
            [
                step(1, "contacted"),
                step(2, "closed", "wrong_patient"),
                step(3, "new", "closed_by_mistake"),
                step(4, "contacted"),
            ],
            Work("contacted", 4),
        ),
    ],
)
def test_what_a_follow_up_came_to(steps: list[Step], work: Work) -> None:
    assert work_of(steps) == work


def counted(ward: Ward, month: str, opted_out: tuple[str, ...] = ()) -> Counted:
    with ward.keeping() as keeping, open_store(ward.store) as opened:
        records = Records(
            opened, load_profile("default"), OptOuts(frozenset(opted_out), 0), ward.model
        )
        return count_month(keeping, records, month, lambda *_: None)


def units_of(ward: Ward, month: str) -> list[UnitMonth]:
    with ward.keeping() as keeping, keeping.database.reading() as connection:
        row = months.find(connection, month)
        assert row is not None
        return msgspec.json.decode(row.units, type=list[UnitMonth])


def called_on(ward: Ward, who: str, name: str, day: float) -> None:
    with ward.keeping() as keeping, keeping.database.writing() as connection:
        change = {
            "id": f"change-{who}",
            "stay_index": stay_index_of(keeping.keys, who, name),
            "version": 1,
            "at": moment(day),
            "by": "https://id.example.org|m.example",
            "status": "contacted",
        }
        connection.execute(insert(tables.FOLLOW_UP_CHANGES), [change])


def hand_counted(ward_of: Made) -> Ward:
    """March 2024; the last record is of day 80."""
    ward = ward_of(
        # Called on day 12 and back, unplanned, on day 20.
        patient("ada"), *stay("a1", "ada", 5, 10), *stay("a2", "ada", 20, 50),
        # Back on day 12, two days before somebody called.
        patient("bob"), *stay("b1", "bob", 5, 10), *stay("b2", "bob", 12, 50),
        # Neither called nor back.
        patient("cyd"), *stay("c1", "cyd", 5, 10),
        # Left in April, and in February.
        patient("dan"), *stay("d1", "dan", 25, 33),
        patient("eve"), *stay("e1", "eve", -9, -3),
        # Left against advice: not one that the model is for.
        patient("fay"), *stay("f1", "fay", 5, 10, disposition="aadvice"),
        # Said no.
        patient("gil"), *stay("g1", "gil", 5, 10),
        encounter("end", 80, 80.1, kind="AMB", who="cyd"),
    )  # fmt: skip
    called_on(ward, "ada", "a1", 12)
    called_on(ward, "bob", "b1", 14)
    return ward


def test_a_month_is_counted_as_by_hand(ward_of: Made) -> None:
    ward = hand_counted(ward_of)
    found = counted(ward, "2024-03", opted_out=("gil",))
    assert (found.stays, found.units, found.complete) == (3, 1, True)
    (unit,) = units_of(ward, "2024-03")
    assert unit.unit == "ward-7"
    assert (unit.became["contacted"], unit.became["not_called"]) == (2, 1)
    called, not_called = unit.called, unit.not_called
    assert (called.patients, called.days, called.readmissions) == (1, 8, 1)
    assert (not_called.patients, not_called.days, not_called.readmissions) == (3, 2 + 2 + 30, 1)
    women = unit.groups["sex"]["female"]
    assert (women.stays, women.calls) == (3, 2)
    assert "site" not in unit.groups


def test_the_expected_number_is_that_of_the_risks_at_discharge(ward_of: Made) -> None:
    ward = ward_of(
        patient("cyd"), *stay("c1", "cyd", 5, 10), encounter("end", 80, 80.1, who="cyd", kind="AMB")
    )
    counted(ward, "2024-03")
    (unit,) = units_of(ward, "2024-03")
    ward.run(11)
    risk = ward.rows()["cyd"].probability
    assert risk is not None
    assert unit.groups["sex"]["female"].need == pytest.approx(risk, rel=1e-6)
    # With some who leave otherwise the sum of hazards lies a little above minus the log.
    assert unit.not_called.expected == pytest.approx(-log1p(-risk), rel=0.1)


def test_what_is_not_on_record_yet_is_not_counted_as_days_at_home(ward_of: Made) -> None:
    ward = ward_of(
        patient("cyd"), *stay("c1", "cyd", 5, 10), encounter("end", 18, 18.1, who="cyd", kind="AMB")
    )
    assert not counted(ward, "2024-03").complete
    (unit,) = units_of(ward, "2024-03")
    assert unit.not_called.days == pytest.approx(8)


def test_counting_again_replaces_and_is_in_the_audit(ward_of: Made) -> None:
    ward = hand_counted(ward_of)
    counted(ward, "2024-03")
    counted(ward, "2024-03", opted_out=("gil", "cyd"))
    assert units_of(ward, "2024-03")[0].stays == 2
    with ward.keeping() as keeping, keeping.database.reading() as connection:
        assert months.counted(connection) == ["2024-03"]
        entered = [
            row.details for row in audit_entries.entries(connection) if row.event == "month_counted"
        ]
    assert entered == ['{"month":"2024-03","stays":4}', '{"month":"2024-03","stays":2}']


def test_a_month_ahead_of_the_records_is_refused(ward_of: Made) -> None:
    ward = hand_counted(ward_of)
    with pytest.raises(MonthError):
        counted(ward, "2025-01")
    with pytest.raises(MonthError):
        counted(ward, "2024-13")
