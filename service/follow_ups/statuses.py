"""The statuses of a follow-up, and from which to which it may go. All of it is data."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """How far a stay has been worked."""

    NEW = "new"
    CONTACTED = "contacted"
    VISIT_BOOKED = "visit_booked"
    DECLINED = "declined"
    CLOSED = "closed"


class Reason(StrEnum):
    """Why a follow-up was closed, or opened again."""

    COMPLETED = "completed"
    READMITTED = "readmitted"
    DECEASED = "deceased"
    NOT_REACHED = "not_reached"
    NOT_NEEDED = "not_needed"
    ELSEWHERE = "elsewhere"
    WRONG_PATIENT = "wrong_patient"
    CLOSED_BY_MISTAKE = "closed_by_mistake"
    PATIENT_ASKED = "patient_asked"
    NEW_CONCERN = "new_concern"


REASONS: Final[Mapping[Reason, str]] = {
    Reason.COMPLETED: "Followed until the thirty days were over",
    Reason.READMITTED: "Back in hospital",
    Reason.DECEASED: "Died",
    Reason.NOT_REACHED: "Could not be reached",
    Reason.NOT_NEEDED: "Needs no follow-up",
    Reason.ELSEWHERE: "Followed by somebody else",
    Reason.WRONG_PATIENT: "Worked on the wrong patient",
    Reason.CLOSED_BY_MISTAKE: "Closed by mistake",
    Reason.PATIENT_ASKED: "The patient asked for it",
    Reason.NEW_CONCERN: "Something new came up",
}
"""Every reason as a person reads it."""

REOPENING: Final = frozenset({Reason.CLOSED_BY_MISTAKE, Reason.PATIENT_ASKED, Reason.NEW_CONCERN})
"""Why a closed follow-up is opened again."""
CLOSING: Final = frozenset(REASONS) - REOPENING
"""Why a follow-up is closed."""
NO_REASON: Final[frozenset[Reason]] = frozenset()
"""Of a transition that asks for none, and takes none."""

_N, _C, _V, _D, _X = Status

TRANSITIONS: Final[Mapping[tuple[Status, Status], frozenset[Reason]]] = {
    (_N, _C): NO_REASON,
    (_N, _V): NO_REASON,
    (_N, _D): NO_REASON,
    (_C, _V): NO_REASON,
    (_C, _D): NO_REASON,
    # A visit that fell through.
    (_V, _C): NO_REASON,
    (_V, _D): NO_REASON,
    # A patient may change their mind.
    (_D, _C): NO_REASON,
    (_D, _V): NO_REASON,
    (_N, _X): CLOSING,
    (_C, _X): CLOSING,
    (_V, _X): CLOSING,
    (_D, _X): CLOSING,
    (_X, _N): REOPENING,
    (_X, _C): REOPENING,
}
"""From which status to which, and the reasons of which one must be given."""
