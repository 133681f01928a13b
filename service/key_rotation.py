"""Rotating the keys that identifiers are sealed with, while the service runs.

1. A new key is added to the file and becomes the current one. Services that run read the file again
   and seal with it from then on.
2. Every sealed value is sealed anew, a batch a transaction.
3. A request that was under way at the first step may still commit what it sealed with the old key.
   Those are waited for, and what they left is sealed anew in the transaction that enters the
   rotation in the audit.
4. The old key leaves the file; the file as it was is put aside, for backups from before.

Killed at any moment, it is taken up where it was: while the file holds two keys, the next rotation
finishes this one.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import Connection

from service.audit.ledger import Audit, Detail, Entry
from service.audit.vocabulary import Event
from service.database.engine import BUSY_SECONDS, Database
from service.database.sealed_columns import SEALED_COLUMNS, SealedColumn, seal_anew
from service.protection.keys import Keys
from service.protection.rotation import rotating, with_new_key, without_old_keys
from service.protection.sealing import seal, unseal

UNDER_WAY_SECONDS: Final = 3 * BUSY_SECONDS
"""How long a request may take from sealing a value to committing it: it waits for a connection and
for other writers, ``BUSY_SECONDS`` each, and has the third for its work."""
AT_ONCE: Final = 500
"""Values in one transaction: other writers wait no longer than that takes."""


class Rotated(msgspec.Struct, frozen=True):
    """What a rotation did."""

    key: str
    """The id of the key that everything is sealed with now."""
    count: int
    """How many values were sealed anew."""
    aside: str | None
    """The file of keys as it was, put aside for backups of the database from before."""


def rotate(
    file: Path,
    database: Database,
    anchor: Path,
    *,
    under_way_seconds: float = UNDER_WAY_SECONDS,
    at_once: int = AT_ONCE,
) -> Rotated:
    """Seal everything with a new key, and take the old one out of the file.

    Args:
        file: the file of keys that the services use, not a copy of it.
        database: at the version that this code needs.
        anchor: of the audit.
        under_way_seconds: how long to wait for requests that were under way.
        at_once: values in one transaction.

    Raises:
        KeysError: if another rotation is under way, or the file or a sealed value cannot be read.
        DatabaseError: if the database cannot be reached or written.
        AuditError: if the rotation cannot be entered.
    """
    with rotating(file):
        keys = with_new_key(file)
        began = time.monotonic()
        count = 0
        for sealed in SEALED_COLUMNS:
            count += sum(_walk(database.writing, keys, sealed, at_once))
        time.sleep(max(0.0, began + under_way_seconds - time.monotonic()))
        with Audit(database, keys, anchor).recorded() as work:
            for sealed in SEALED_COLUMNS:
                count += sum(_walk(lambda: nullcontext(work.connection), keys, sealed, at_once))
            details: dict[str, Detail] = {"key": keys.current, "count": count}
            work.record(Entry(event=Event.KEYS_ROTATED, caller=None, details=details))
        aside = without_old_keys(file)
        return Rotated(keys.current, count, None if aside is None else str(aside))


def _walk(
    transaction: Callable[[], AbstractContextManager[Connection]],
    keys: Keys,
    sealed: SealedColumn,
    at_once: int,
) -> Iterator[int]:
    """Seal a column anew and tell how many values each step changed."""

    def anew(value: bytes) -> bytes:
        return seal(keys, unseal(keys, value, sealed.context), sealed.context)

    after: int | str | None = None
    while True:
        with transaction() as connection:
            reached = seal_anew(
                connection, sealed, current=keys.current, after=after, at_once=at_once, anew=anew
            )
        yield reached.changed
        after = reached.last
        if after is None:
            return
