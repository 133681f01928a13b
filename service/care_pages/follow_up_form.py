"""The form that changes a follow-up: which ways there are, what somebody typed, what that means.

A status and the reason that it asks for are one choice: there is none that cannot be saved. What is
left as it is changes nothing, whatever somebody else did to it meanwhile.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from msgspec import UNSET, UnsetType

from service.body import FormError
from service.care_pages.words import STATUS_WORDS, person_words
from service.follow_ups.follow_up import Change, FollowUp, FollowUpChangeError, person_of
from service.follow_ups.statuses import REASONS, TRANSITIONS, Reason, Status
from service.identity.caller import Caller
from service.work_list.wanted import ME, NOBODY

AS_IT_IS: Final = ""


class Option(NamedTuple):
    """One thing that can be chosen."""

    value: str
    words: str
    chosen: bool = False


class OptionGroup(NamedTuple):
    """Options under a heading."""

    label: str
    options: tuple[Option, ...]


class Typed(NamedTuple):
    """What somebody sent, as they typed it."""

    version: int
    status: str = AS_IT_IS
    """A status, or ``status:reason``."""
    due_seen: str = ""
    due_on: str = ""
    assigned_to: str = AS_IT_IS
    person: str = ""
    """``issuer|subject`` of somebody who is not among the choices."""
    note: str = ""
    back: str = ""
    to_the_list: bool = False

    @property
    def due_was_changed(self) -> bool:
        """Whether they typed another due date than the one that they saw."""
        return self.due_on != self.due_seen


def typed_of(form: Mapping[str, str]) -> Typed:
    """What a form says.

    Raises:
        FormError: if it is not the form of a follow-up.
    """
    version = form.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise FormError("The form does not say which version of the follow-up it is about.")
    return Typed(
        version=int(version),
        status=form.get("status", AS_IT_IS),
        due_seen=form.get("due_seen", ""),
        due_on=form.get("due_on", "").strip(),
        assigned_to=form.get("assigned_to", AS_IT_IS),
        person=form.get("person", "").strip(),
        # Forms send lines as they are sent in mail (HTML, 4.10.21.4); notes keep them as typed.
        note=form.get("note", "").replace("\r\n", "\n"),
        back=form.get("back", ""),
        to_the_list=form.get("then") == "list",
    )


def wanted_of(typed: Typed, caller: Caller) -> Change:
    """The change that somebody wants.

    Raises:
        FollowUpChangeError: if what they typed is no status, no reason or no date.
    """
    status, reason = _status(typed.status)
    return Change(
        status=status,
        reason=reason,
        due_on=_due(typed.due_on) if typed.due_was_changed else UNSET,
        assigned_to=_person(typed, caller),
        note=typed.note if typed.note.strip() else None,
    )


def _status(value: str) -> tuple[Status | UnsetType, Reason | None]:
    if value == AS_IT_IS:
        return UNSET, None
    status, _, reason = value.partition(":")
    if status not in set(Status) or (reason and reason not in set(Reason)):
        raise FollowUpChangeError("status: none that there is")
    return Status(status), Reason(reason) if reason else None


def _due(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise FollowUpChangeError("due_on: not a date, as 2026-03-13") from None


def _person(typed: Typed, caller: Caller) -> str | UnsetType | None:
    if typed.person:
        return typed.person
    if typed.assigned_to == AS_IT_IS:
        return UNSET
    if typed.assigned_to == NOBODY:
        return None
    return person_of(caller) if typed.assigned_to == ME else typed.assigned_to


def status_groups(present: Status, chosen: str = AS_IT_IS) -> tuple[OptionGroup, ...]:
    """Every way from a status, with the reasons that it asks for."""
    return tuple(
        OptionGroup(label, tuple(one._replace(chosen=one.value == chosen) for one in options))
        for label, options in _ways(present)
    )


def _ways(present: Status) -> Iterator[tuple[str, Sequence[Option]]]:
    as_it_is = f"as it is: {STATUS_WORDS[present]}"
    yield "Leave", [Option(AS_IT_IS, as_it_is)]
    ways = [(to, reasons) for (since, to), reasons in TRANSITIONS.items() if since is present]
    plain = [Option(to.value, STATUS_WORDS[to]) for to, reasons in ways if not reasons]
    if plain:
        yield "Change to", plain
    for to, reasons in ways:
        if reasons:
            label = "Close, because" if to is Status.CLOSED else f"Open as {STATUS_WORDS[to]}"
            yield (
                label,
                [
                    Option(f"{to.value}:{reason.value}", _because(to, words))
                    for reason, words in REASONS.items()
                    if reason in reasons
                ],
            )


def _because(to: Status, words: str) -> str:
    return f"{STATUS_WORDS[to]}: {words[:1].lower()}{words[1:]}"


def status_choice_words(value: str) -> str:
    """A choice of the status, in words; as it was sent where it is none."""
    status, _, reason = value.partition(":")
    if status not in set(Status):
        return value
    if reason in set(Reason):
        return _because(Status(status), REASONS[Reason(reason)])
    return STATUS_WORDS[status]


def people_options(
    present: FollowUp, people: Sequence[str], caller: Caller, chosen: str = AS_IT_IS
) -> tuple[Option, ...]:
    """Who may have the patient: as it is, me, nobody, and whoever has worked the list here."""
    me = person_of(caller)
    options = [Option(AS_IT_IS, f"as it is: {person_words(present.assigned_to, caller)}")]
    if present.assigned_to != me:
        options.append(Option(ME, "me"))
    if present.assigned_to is not None:
        options.append(Option(NOBODY, "nobody"))
    options += [
        Option(one, person_words(one, caller))
        for one in people
        if one not in (me, present.assigned_to)
    ]
    if chosen not in {one.value for one in options} | {ME, NOBODY}:
        options.append(Option(chosen, person_words(chosen, caller)))
    return tuple(one._replace(chosen=one.value == chosen) for one in options)
