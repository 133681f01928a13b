"""What a row of the list says, and by which keyed names it is found."""

from typing import Final, Literal

import msgspec

from service.database.work_list import Row as Row  # what others need of a row is had from here
from service.protection.keys import Keys
from service.protection.sealing import index_of, seal, unseal

PATIENT_CONTEXT: Final = "work_list.patient"
SUMMARY_CONTEXT: Final = "work_list.summary"

REASONS_SHOWN: Final = 3
"""How many reasons a row names: what fits one line that is read at a glance."""

Left = Literal["readmitted", "deceased", "opted_out", "not_scored", "over"]
"""Why a patient is not on the list (any more).

- ``readmitted``: they came back within the thirty days, and the new stay gets no risk. Whoever
  comes back to a stay that gets one stays on the list, with the row of the new stay: nobody is to
  be called at home while they are in hospital, and the new discharge starts its own thirty days.
- ``deceased``: they died, in hospital or after it.
- ``opted_out``: they said no, or a Consent of theirs cannot be read. The row then holds nothing
  but that.
- ``not_scored``: the model is not for their newest stay, or the stay is not on record any more.
- ``over``: the thirty days have passed.
"""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What one line of the list shows of a score without opening it."""

    raising: tuple[str, ...]
    """The phrases of the reasons that raise the risk most, at most three, the strongest first."""
    main_reason: str | None
    """The model's name of the input that raises the risk most; None where nothing raises it."""
    changeable: tuple[str, ...]
    """Those phrases among the score's reasons that raise the risk and that a care team can act
    on, the strongest first."""
    missing: int
    """How many inputs matter to the model and are not on record."""
    age: int | None
    """Completed years at the admission."""
    sex: str | None
    """Administrative gender."""


def stay_index_of(keys: Keys, subject: str, first_encounter: str) -> str:
    """The keyed name of a stay: what follow-ups are kept by.

    Args:
        keys: the operator's.
        subject: the Patient's id.
        first_encounter: the id of the stay's first inpatient Encounter. It stays the first when
            transfers follow; the last one, which names the stay elsewhere, does not stay the last.

    """
    return index_of(keys, "stay", f"{subject}\0{first_encounter}")


def sealed_summary(keys: Keys, summary: Summary) -> bytes:
    """A summary as it is kept."""
    return seal(keys, msgspec.json.encode(summary).decode(), SUMMARY_CONTEXT)


def summary_of(keys: Keys, sealed: bytes | None) -> Summary | None:
    """What a row's line shows, opened; None where there was nothing to show.

    Raises:
        KeysError: if it was sealed with another key, or was changed.
    """
    if sealed is None:
        return None
    return msgspec.json.decode(unseal(keys, sealed, SUMMARY_CONTEXT), type=Summary)


def sealed_patient(keys: Keys, subject: str) -> bytes:
    """A patient's id as it is kept."""
    return seal(keys, subject, PATIENT_CONTEXT)


def patient_of(keys: Keys, row: Row) -> str:
    """The Patient's id.

    Raises:
        KeysError: if it was sealed with another key, or was changed.
    """
    return unseal(keys, row.patient_sealed, PATIENT_CONTEXT)
