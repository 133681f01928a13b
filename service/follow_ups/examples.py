"""What the documentation of follow-ups shows: a patient and people who do not exist."""

from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec

from service import examples
from service.follow_ups.follow_up import FollowUp, FollowUpChange
from service.follow_ups.keep import Whole
from service.follow_ups.statuses import Status

_ONE: Final = "https://id.example.org|example-care-manager"
_OTHER: Final = "https://id.example.org|example-colleague"
_MOMENT: Final = datetime(2026, 3, 12, 9, 15, tzinfo=UTC)

FOLLOW_UP: Final = FollowUp(
    stay="5e" * 32,
    patient="example-patient",
    status=Status.CONTACTED,
    assigned_to=_ONE,
    due_on=date(2026, 3, 13),
    version=1,
    changed_at=_MOMENT,
    changed_by=_ONE,
    score_id=examples.SCORE_ID,
)

CHANGES: Final = (
    FollowUpChange(
        version=1,
        at=_MOMENT,
        by=_ONE,
        status=Status.CONTACTED,
        assigned_to=_ONE,
        due_on=date(2026, 3, 13),
        reason=None,
        note="Weighs herself every morning; wants the nurse to call again on Friday.",
    ),
)

WHOLE: Final = Whole(FOLLOW_UP, CHANGES)

WANTED: Final[dict[str, Any]] = {
    "version": 0,
    "change": {
        "status": "contacted",
        "assigned_to": _ONE,
        "due_on": "2026-03-13",
        "note": CHANGES[0].note,
    },
}

CONFLICT: Final[dict[str, Any]] = {
    "type": "urn:readmit:problem:conflict",
    "title": "Somebody else was first",
    "status": 409,
    "detail": "The follow-up was changed since it was looked at. Nothing was written.",
    "present": msgspec.to_builtins(
        msgspec.structs.replace(FOLLOW_UP, changed_by=_OTHER, assigned_to=_OTHER)
    ),
}
