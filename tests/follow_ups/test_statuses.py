"""Every way from one status to another, and every way that there is none."""

from datetime import date
from itertools import product

import pytest

from service.follow_ups.follow_up import Change, FollowUp, FollowUpChangeError, changed
from service.follow_ups.statuses import CLOSING, REASONS, REOPENING, TRANSITIONS, Reason, Status

ALLOWED = {
    "new": {"contacted", "visit_booked", "declined", "closed"},
    "contacted": {"visit_booked", "declined", "closed"},
    "visit_booked": {"contacted", "declined", "closed"},
    "declined": {"contacted", "visit_booked", "closed"},
    "closed": {"new", "contacted"},
}
"""Written by hand: from what a follow-up is to what it may become."""

EVERY_WAY = [(a, b) for a, b in product(Status, Status) if a is not b]


def at(status: Status, **more: object) -> FollowUp:
    return FollowUp(stay="s", patient="example-1", status=status, **more)  # type: ignore[arg-type]


def good_reason(before: Status, after: Status) -> Reason | None:
    if after is Status.CLOSED:
        return Reason.COMPLETED
    return Reason.PATIENT_ASKED if before is Status.CLOSED else None


@pytest.mark.parametrize(("before", "after"), EVERY_WAY)
def test_a_follow_up_goes_where_it_may_and_nowhere_else(before: Status, after: Status) -> None:
    change = Change(status=after, reason=good_reason(before, after))
    if after.value in ALLOWED[before.value]:
        assert changed(at(before), change).status is after
    else:
        with pytest.raises(FollowUpChangeError, match="there is no way"):
            changed(at(before), change)


@pytest.mark.parametrize(("before", "after"), list(TRANSITIONS))
@pytest.mark.parametrize("reason", [None, *Reason])
def test_closing_and_reopening_say_why_and_nothing_else_does(
    before: Status, after: Status, reason: Reason | None
) -> None:
    if after is Status.CLOSED:
        fits = reason in CLOSING
    elif before is Status.CLOSED:
        fits = reason in REOPENING
    else:
        fits = reason is None
    if fits:
        assert changed(at(before), Change(status=after, reason=reason)).status is after
    else:
        with pytest.raises(FollowUpChangeError, match=r"^reason: "):
            changed(at(before), Change(status=after, reason=reason))


def test_every_reason_has_its_words_and_is_of_one_kind() -> None:
    assert list(REASONS) == list(Reason)
    assert set(Reason) == CLOSING | REOPENING
    assert not CLOSING & REOPENING
    assert all(len(reason) <= 32 for reason in Reason)


@pytest.mark.parametrize("status", Status)
def test_a_note_can_be_added_whatever_the_status(status: Status) -> None:
    assert changed(at(status), Change(note="Called, no answer.")) == at(status)


def test_who_takes_over_is_told_how_it_stands() -> None:
    mine = at(Status.CONTACTED, assigned_to="https://id.example.org|m.example")
    other = "https://id.example.org|n.example"
    with pytest.raises(FollowUpChangeError, match=r"^note: "):
        changed(mine, Change(assigned_to=other))
    assert changed(mine, Change(assigned_to=other, note="Visit on Monday.")).assigned_to == other
    assert changed(mine, Change(assigned_to=None)).assigned_to is None
    assert changed(at(Status.NEW), Change(assigned_to=other)).assigned_to == other


@pytest.mark.parametrize(
    "change",
    [
        Change(),
        Change(status=Status.CONTACTED, due_on=date(2026, 6, 1), assigned_to="i|m"),
        Change(note=""),
        Change(note="  \n"),
        Change(note="x" * 4_001),
        Change(reason=Reason.COMPLETED, note="Still at work."),
        Change(assigned_to="nobody"),
        Change(assigned_to="|m"),
        Change(assigned_to="i|"),
        Change(assigned_to="i|a\0b"),
        Change(assigned_to="i|" + "m" * 1_000),
    ],
)
def test_what_is_no_change_or_names_nobody_is_refused_without_being_quoted(change: Change) -> None:
    as_it_is = at(Status.CONTACTED, due_on=date(2026, 6, 1), assigned_to=None)
    if change.status is Status.CONTACTED:
        as_it_is = at(Status.CONTACTED, due_on=date(2026, 6, 1), assigned_to="i|m")
    with pytest.raises(FollowUpChangeError) as refused:
        changed(as_it_is, change)
    assert "nobody" not in str(refused.value)
    assert "Still at work" not in str(refused.value)


def test_what_is_left_out_stays_as_it_is() -> None:
    before = at(Status.NEW, due_on=date(2026, 6, 1), assigned_to="i|m")
    assert changed(before, Change(status=Status.CONTACTED)) == at(
        Status.CONTACTED, due_on=date(2026, 6, 1), assigned_to="i|m"
    )
    assert changed(before, Change(due_on=None)).due_on is None
