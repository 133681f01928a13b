"""Changing and reading follow-ups: by whom, with what on record, and what becomes of the second."""

from datetime import date, timedelta

import msgspec
import pytest
from sqlalchemy import func, insert, select
from worked_list import (
    CLINICIAN,
    COLLEAGUE,
    ISSUER,
    MANAGER,
    OTHER_UNIT,
    UNIT,
    WorkedList,
    person,
    program,
)

from fhir_mappings.records.instants import from_datetime
from service.audit.anchor import AuditError
from service.database import tables
from service.follow_ups.follow_up import FollowUp, FollowUpChangeError
from service.follow_ups.keep import ConflictError, FollowUpNotFoundError
from service.follow_ups.statuses import Reason, Status
from service.identity.break_glass import GlassReason, GlassRequest, break_glass
from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.roles import Role
from service.identity.scopes import parse_scopes
from service.protection.sealing import index_of
from service.retention import Policy, purge

CANARY = "Zyxwv-Canary-17 asked to be called after six."


def rows(worked: WorkedList, table: object) -> int:
    with worked.keeping.database.reading() as connection:
        counted = select(func.count()).select_from(table)  # type: ignore[arg-type]  # a Table
        return connection.execute(counted).scalar_one()


def test_a_stay_that_nobody_touched_is_new_and_nobodys(worked: WorkedList) -> None:
    stay = worked.stay()
    assert worked.read(stay) == FollowUp(
        stay=stay, patient="example-1", score_id="score-of-example-1"
    )
    assert worked.history(stay) == ()


def test_a_mornings_work_is_kept_step_by_step(worked: WorkedList) -> None:
    stay, me, other = worked.stay(), f"{ISSUER}|m.example", f"{ISSUER}|n.example"
    worked.change(stay, 0, assigned_to=me, due_on=date(2026, 6, 2))
    worked.change(stay, 1, status=Status.CONTACTED, note="Weighs himself daily.")
    worked.change(stay, 2, assigned_to=other, note="Please book the visit.")
    worked.change(stay, 3, COLLEAGUE, status=Status.VISIT_BOOKED, due_on=date(2026, 6, 9))
    now = worked.change(stay, 4, COLLEAGUE, status=Status.CLOSED, reason=Reason.COMPLETED)
    assert worked.read(stay) == now
    assert (now.version, now.changed_by, now.due_on) == (5, other, date(2026, 6, 9))
    told = worked.history(stay)
    assert [(one.version, one.by, one.status, one.note) for one in told] == [
        (1, me, Status.NEW, None),
        (2, me, Status.CONTACTED, "Weighs himself daily."),
        (3, me, Status.CONTACTED, "Please book the visit."),
        (4, other, Status.VISIT_BOOKED, None),
        (5, other, Status.CLOSED, None),
    ]
    assert told[-1].reason is Reason.COMPLETED
    assert [one.at for one in told] == sorted(one.at for one in told)
    again = worked.change(stay, 5, status=Status.CONTACTED, reason=Reason.NEW_CONCERN)
    assert (again.status, again.version) == (Status.CONTACTED, 6)
    assert worked.history(stay)[-1].reason is Reason.NEW_CONCERN


def test_the_audit_says_what_was_changed_and_never_what_was_written(worked: WorkedList) -> None:
    stay = worked.stay()
    worked.change(stay, 0, status=Status.CLOSED, reason=Reason.NOT_REACHED, note=CANARY)
    worked.read(stay)
    worked.history(stay)
    assert worked.entered() == [
        (
            "follow_up_changed",
            "success",
            {"version": 1, "status": "closed", "changed": "status note", "reason": "not_reached"},
        ),
        ("follow_up_read", "success", {"version": 1, "what": "present"}),
        ("follow_up_read", "success", {"version": 1, "what": "history"}),
    ]
    with worked.keeping.database.reading() as connection:
        sealed = connection.execute(select(tables.FOLLOW_UP_CHANGES.c.note_sealed)).scalar_one()
    assert CANARY.encode() not in bytes(sealed)


def test_who_comes_second_is_told_what_it_is_now_and_loses_nothing(worked: WorkedList) -> None:
    stay = worked.stay()
    first = worked.change(stay, 0, status=Status.CONTACTED, note="Reached at noon.")
    with pytest.raises(ConflictError) as told:
        worked.change(stay, 0, COLLEAGUE, status=Status.DECLINED, note="Does not want calls.")
    assert told.value.present == first
    assert told.value.present.changed_by == f"{ISSUER}|m.example"
    assert told.value.present.changed_at == first.changed_at
    assert (told.value.wanted.status, told.value.wanted.note) == (
        Status.DECLINED,
        "Does not want calls.",
    )
    assert "calls" not in str(told.value)
    assert (told.value.status, worked.read(stay)) == (409, first)
    assert ("follow_up_read", "success", {"version": 1, "what": "conflict"}) in worked.entered()
    again = worked.change(
        stay, told.value.present.version, COLLEAGUE, **msgspec.structs.asdict(told.value.wanted)
    )
    assert (again.status, again.version) == (Status.DECLINED, 2)
    assert [one.note for one in worked.history(stay)] == [
        "Reached at noon.",
        "Does not want calls.",
    ]


@pytest.mark.parametrize("version", [-1, 2, 10**6])
def test_a_version_that_never_was_is_a_conflict_too(worked: WorkedList, version: int) -> None:
    stay = worked.stay()
    worked.change(stay, 0, note="First.")
    with pytest.raises(ConflictError):
        worked.change(stay, version, note="Second.")
    assert worked.read(stay).version == 1


def test_what_cannot_be_done_leaves_no_trace(worked: WorkedList) -> None:
    stay = worked.stay()
    worked.change(stay, 0, status=Status.VISIT_BOOKED)
    with pytest.raises(FollowUpChangeError):
        worked.change(stay, 1, status=Status.NEW, note="Back to the start.")
    assert rows(worked, tables.FOLLOW_UP_CHANGES) == 1
    assert len(worked.entered()) == 1


def test_a_change_that_cannot_be_audited_is_not_made(
    worked: WorkedList, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = worked.stay()

    def full(*_: object) -> None:
        raise AuditError("the disk is full")

    monkeypatch.setattr("service.audit.ledger.audit_entries.append", full)
    with pytest.raises(AuditError):
        worked.change(stay, 0, status=Status.CONTACTED)
    assert rows(worked, tables.FOLLOW_UPS) == rows(worked, tables.FOLLOW_UP_CHANGES) == 0


def test_a_clinician_reads_how_far_it_is_and_changes_nothing(worked: WorkedList) -> None:
    stay = worked.stay(unit=OTHER_UNIT)
    assert worked.read(stay, CLINICIAN).version == 0
    with pytest.raises(ForbiddenError):
        worked.change(stay, 0, CLINICIAN, note="Saw the patient.")


@pytest.mark.parametrize("role", [Role.DATA_SCIENTIST, Role.AUDITOR, Role.ADMINISTRATOR])
def test_who_follows_nobody_reads_no_follow_up(worked: WorkedList, role: Role) -> None:
    stay = worked.stay()
    for reading in (worked.read, worked.history):
        with pytest.raises(ForbiddenError):
            reading(stay, person(role))


@pytest.mark.parametrize("unit", [OTHER_UNIT, None])
def test_a_stay_of_another_unit_is_none_for_a_care_manager(
    worked: WorkedList, unit: str | None
) -> None:
    stay = worked.stay(unit=unit)
    for tried in (lambda: worked.read(stay), lambda: worked.change(stay, 0, note="Mine?")):
        with pytest.raises(FollowUpNotFoundError) as elsewhere:
            tried()
        with pytest.raises(FollowUpNotFoundError) as nowhere:
            worked.read("0" * 64)
        assert str(elsewhere.value) == str(nowhere.value)
    assert [
        (outcome, details["needed"], details["why"]) for _, outcome, details in worked.entered()
    ] == [
        ("refused", "Task.r", "unit"),
        ("refused", "Task.r", "unknown"),
        ("refused", "Task.u", "unit"),
        ("refused", "Task.r", "unknown"),
    ]


def test_who_is_clinician_everywhere_still_follows_up_in_their_unit_alone(
    worked: WorkedList,
) -> None:
    both = person(Role.CLINICIAN, Role.CARE_MANAGER)
    there, here = worked.stay("example-2", OTHER_UNIT), worked.stay()
    assert worked.read(there, both).version == 0
    with pytest.raises(FollowUpNotFoundError):
        worked.change(there, 0, both, note="Not mine to follow.")
    assert worked.change(here, 0, both, note="Mine.").version == 1


def test_a_broken_glass_opens_the_follow_up_of_another_unit(worked: WorkedList) -> None:
    stay = worked.stay(unit=OTHER_UNIT)
    request = GlassRequest(GlassReason.COVERING_UNIT, "On call for the unit tonight.")
    break_glass(worked.keeping, MANAGER, "example-1", request, minutes=60, route="/")
    assert worked.change(stay, 0, note="Covered.").version == 1
    with worked.keeping.database.reading() as connection:
        purposes = connection.execute(select(tables.AUDIT_ENTRIES.c.purpose)).scalars().all()
    assert purposes == ["ETREAT", "ETREAT"]


def narrowed(scopes: str, patient: str | None = None) -> Caller:
    return msgspec.structs.replace(MANAGER, scopes=parse_scopes(scopes), patient=patient)


def test_a_token_does_what_its_scopes_say_and_no_more(worked: WorkedList) -> None:
    stay = worked.stay()
    reader = narrowed("user/RiskAssessment.rs user/Task.rs")
    assert worked.read(stay, reader).version == 0
    refused = [
        reader,
        narrowed("user/RiskAssessment.rs"),
        narrowed("user/Task.crus"),
        program("system/Task.crus"),
        program("system/RiskAssessment.crs"),
    ]
    for caller in refused:
        with pytest.raises(ForbiddenError):
            worked.change(stay, 0, caller, note="No.")
    ehr = program("system/RiskAssessment.rs system/Task.crus")
    assert worked.change(stay, 0, ehr, status=Status.CONTACTED).changed_by == f"{ISSUER}|ehr"


def test_a_token_for_another_patient_finds_no_stay(worked: WorkedList) -> None:
    stay = worked.stay()
    scopes = "patient/RiskAssessment.rs patient/Task.rs"
    assert worked.read(stay, narrowed(scopes, "example-1")).patient == "example-1"
    with pytest.raises(FollowUpNotFoundError):
        worked.read(stay, narrowed(scopes, "example-2"))
    mixed = "user/RiskAssessment.rs patient/Task.rs"
    with pytest.raises(FollowUpNotFoundError):
        worked.read(stay, narrowed(mixed, "example-2"))


def test_who_opted_out_is_followed_by_nobody(worked: WorkedList) -> None:
    stay = worked.stay()
    with pytest.raises(FollowUpNotFoundError):
        worked.read(stay, opted_out=("example-1",))
    with worked.keeping.database.writing() as connection:
        refusal = {
            "id": "score-1",
            "patient_index": index_of(worked.keeping.keys, "patient", "example-1"),
            "encounter_index": "1" * 64,
            "made_at": 1,
            "status": "not_scored",
            "model": "m",
            "version": "1",
            "score_sealed": b"",
            "refused": True,
        }
        connection.execute(insert(tables.SCORES).values(refusal))
    with pytest.raises(FollowUpNotFoundError):
        worked.change(stay, 0, note="They refused by a Consent.")
    assert {details["why"] for _, _, details in worked.entered()} == {"opted_out"}


def test_the_earlier_stay_of_a_patient_is_read_by_who_sees_every_unit(worked: WorkedList) -> None:
    stay = worked.stay()
    worked.change(stay, 0, note="Followed after the first stay.")
    with worked.keeping.database.writing() as connection:
        connection.execute(tables.WORK_LIST.update().values(stay_index="f" * 64))
    assert worked.history(stay, CLINICIAN)[0].note == "Followed after the first stay."
    with pytest.raises(FollowUpNotFoundError):
        worked.read(stay, person(Role.CARE_MANAGER, units=(UNIT,)))


def test_a_follow_up_is_purged_whole_and_never_by_halves(worked: WorkedList) -> None:
    old, busy = worked.stay("example-1"), worked.stay("example-2")
    for stay in (old, busy):
        worked.change(stay, 0, note="First.")
        worked.change(stay, 1, note="Second.")
    last = worked.read(old).changed_at
    assert last is not None
    long_ago = from_datetime(last - timedelta(days=400))
    with worked.keeping.database.writing() as connection:
        changes = tables.FOLLOW_UP_CHANGES
        connection.execute(changes.update().where(changes.c.version == 1).values(at=long_ago))
        connection.execute(changes.update().where(changes.c.stay_index == old).values(at=long_ago))
        follow_ups = tables.FOLLOW_UPS
        connection.execute(
            follow_ups.update().where(follow_ups.c.stay_index == old).values(changed_at=long_ago)
        )
    policy = Policy(scores_days=9_999, broken_glass_days=9_999, follow_ups_days=365)
    store = worked.keeping.audit.anchor.parent
    said = purge(worked.keeping.audit, store, policy, now=last, dry_run=True)
    assert purge(worked.keeping.audit, store, policy, now=last) == said
    gone = {one.what: one.count for one in said if one.count}
    assert gone == {"follow_up_changes": 2, "follow_ups": 1}
    assert [one.version for one in worked.history(busy)] == [1, 2]
    assert worked.read(old).version == 0
    assert worked.change(old, 0, note="Begun anew.").version == 1
