"""What a table of a report is: data, so that one macro draws every table alike."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from training.risk_model import Interval
from training.words import MINUS, THIN, interval

_NUMERIC = re.compile(rf"[+{MINUS}]?[\d,.]+(?:{THIN}%|\u00a0points| of \d+)?")


class Cell(NamedTuple):
    """What stands in a cell, and what stands small below it."""

    text: str
    below: str = ""


@dataclass(frozen=True)
class Row:
    """A row: its heading, and its cells or one remark across all of them."""

    head: str
    cells: tuple[Cell, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """A table for a reader."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ""
    words: bool = False
    """Whether no column is one of numbers, whatever stands in it."""

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether a column holds numbers, which stand under each other, and not text."""
        if self.words:
            return (False,) * len(self.columns)
        columns = zip(*(row.cells for row in self.rows if row.cells), strict=False)
        shares = [[bool(_NUMERIC.fullmatch(cell.text)) for cell in column] for column in columns]
        found = tuple(2 * sum(share) >= len(share) for share in shares)
        return (False, *(found or (True,) * (len(self.columns) - 1)))


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Cell]],
    note: str = "",
    *,
    words: bool = False,
) -> Table:
    """A table whose rows start with their heading."""
    made = tuple(
        Row(
            str(first),
            tuple(cell if isinstance(cell, Cell) else Cell(cell) for cell in rest),
        )
        for first, *rest in rows
    )
    return Table(caption, tuple(columns), made, note, words)


def estimate(value: Interval | None, key: str, *, signed: bool = False) -> Cell:
    """An estimate with its interval below it."""
    text, _, below = interval(value, key, signed=signed).partition(" (")
    return Cell(text, below.removesuffix(")"))


def share_estimate(value: Interval | None) -> Cell:
    """An interval of a share, as percentages."""
    return estimate(value, "ppv")


def plain_estimate(value: Interval, digits: int) -> Cell:
    """An estimate that has no measure to say its digits."""
    text, _, below = interval(value, digits=digits).partition(" (")
    return Cell(text, below.removesuffix(")"))
