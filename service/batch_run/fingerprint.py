"""What a patient's row rests on, in one keyed name: while it is the same, nothing is computed."""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from fhir_mappings.events import Event
from service.protection.keys import Keys
from service.protection.sealing import index_of

FORMAT: Final = 1
"""Counted up when a row or a score is made otherwise from the same record, so that all are made
anew."""


def fingerprint_of(
    keys: Keys, events: Sequence[Event], *, as_of: int, refused: str | None, basis: str
) -> str:
    """The keyed name of all that the row of a discharged patient rests on.

    A patient in hospital is scored as of the moment as well, and so anew in each run.

    Args:
        keys: the operator's.
        events: of the patient, in the store's order.
        as_of: what could be seen by then counts, so that a discharge which lay ahead in one run
            is news in the next.
        refused: why the patient is not to be scored, if so.
        basis: names the model, the site profile and what else is the same for all.

    """
    content = hashlib.sha256(msgspec.msgpack.encode(events)).hexdigest()
    # Moments pass in one order, each once: how many of a record's have passed says which.
    passed = sum(
        1
        for event in events
        for moment in (event.time, event.end, event.known_at)
        if moment is not None and moment <= as_of
    )
    told = f"{FORMAT}\0{basis}\0{refused or ''}\0{passed}\0{content}"
    return index_of(keys, "fingerprint", told)
