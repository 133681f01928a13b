"""Every sealed column, with the context that its values are bound to: what a rotation must reach.

A column that is not declared here would become unreadable with the old key; a test compares this
list with the tables.
"""

from collections.abc import Callable, Collection
from typing import Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Table, func, select, update

from service.database import tables


class SealedColumn(NamedTuple):
    """A column of sealed values."""

    table: Table
    name: str
    context: str
    """What its values were sealed with as their context (``service.protection.sealing``)."""

    @property
    def column(self) -> "Column[bytes]":
        """The column."""
        column: Column[bytes] = self.table.c[self.name]
        return column

    @property
    def row_id(self) -> "Column[int | str]":
        """The column that its rows are told apart and walked by."""
        (column,) = self.table.primary_key.columns
        return column


SEALED_COLUMNS: Final = (
    SealedColumn(tables.AUDIT_ENTRIES, "patient_sealed", "audit_entries.patient"),
    SealedColumn(tables.SCORES, "score_sealed", "scores.score"),
    SealedColumn(tables.BROKEN_GLASS, "explanation_sealed", "broken_glass.explanation"),
    SealedColumn(tables.SIGN_INS, "secrets_sealed", "sign_ins.secrets"),
    SealedColumn(tables.SESSIONS, "caller_sealed", "sessions.caller"),
    SealedColumn(tables.SIGNING_KEYS, "private_sealed", "signing_keys.private"),
    SealedColumn(tables.SHOWN_CARDS, "patient_sealed", "shown_cards.patient"),
    SealedColumn(tables.CARD_FEEDBACK, "comment_sealed", "card_feedback.comment"),
    SealedColumn(tables.SCORES, "row_sealed", "scores.row"),
    SealedColumn(tables.WORK_LIST, "patient_sealed", "work_list.patient"),
    SealedColumn(tables.WORK_LIST, "summary_sealed", "work_list.summary"),
    SealedColumn(tables.FOLLOW_UP_CHANGES, "note_sealed", "follow_up_changes.note"),
    SealedColumn(tables.RECEIVED_EVENTS, "encounter_sealed", "received_events.encounter"),
)
"""All of them."""


class Reached(NamedTuple):
    """How far a walk along a column has come."""

    last: int | str | None
    """The last row's id; None at the end."""
    changed: int


def seal_anew(
    connection: Connection,
    sealed: SealedColumn,
    *,
    current: str,
    after: int | str | None,
    at_once: int,
    anew: Callable[[bytes], bytes],
) -> Reached:
    """Seal the next values that another than the current key sealed with the current one.

    A value that somebody else changes at the same time is left to them.

    Args:
        connection: of a transaction.
        sealed: the column.
        current: the current key's id.
        after: the row after which to go on; None for the first.
        at_once: how many values.
        anew: opens a value and seals it again.
    """
    found = select(sealed.row_id, sealed.column).where(
        sealed.column.is_not(None), ~_begins_with(sealed, current)
    )
    if after is not None:
        found = found.where(sealed.row_id > after)
    rows = connection.execute(found.order_by(sealed.row_id).limit(at_once)).all()
    changed = 0
    for row_id, value in rows:
        done = connection.execute(
            update(sealed.table)
            .where(sealed.row_id == row_id, sealed.column == value)
            .values({sealed.name: anew(value)})
        )
        changed += done.rowcount
    return Reached(rows[-1][0] if len(rows) == at_once else None, changed)


def sealed_with_others(connection: Connection, names: Collection[str]) -> int:
    """How many values are sealed with a key that is not among ``names``."""
    count = 0
    for sealed in SEALED_COLUMNS:
        others = [~_begins_with(sealed, name) for name in names]
        found = select(func.count()).where(sealed.column.is_not(None), *others)
        count += connection.execute(found).scalar_one()
    return count


def _begins_with(sealed: SealedColumn, key: str) -> ColumnElement[bool]:
    prefix = key.encode() + b"."
    return func.substr(sealed.column, 1, len(prefix)) == prefix
