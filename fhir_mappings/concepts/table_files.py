"""Reading of the concept tables: CSV files that state their own source and version."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fhir_mappings.errors import DeclarationError

FOLDER = Path(__file__).parent
"""Where the tables lie."""

NOT_CODES = frozenset({"names.csv", "units.csv", "unit_spellings.csv", "limits.csv"})
"""Tables of names, units and limits; every other table says which codes a concept has."""


class TableFile(NamedTuple):
    """One table as it stands in its file."""

    name: str
    header: dict[str, str]
    """``title``, ``source``, ``version`` and ``note`` from the comment lines."""
    rows: list[tuple[int, dict[str, str]]]
    """Line number and cells by column name."""


def code_tables() -> list[str]:
    """Names of the tables that give the codes of concepts, in alphabetical order."""
    return sorted(path.name for path in FOLDER.glob("*.csv") if path.name not in NOT_CODES)


def read_table(name: str) -> TableFile:
    """Read one table.

    Raises:
        DeclarationError: a row has more or fewer cells than the table has columns.

    """
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    comments = [line for line in lines if line.startswith("#")]
    return TableFile(name, _header(comments), list(_rows(name, lines)))


def _header(comments: list[str]) -> dict[str, str]:
    header: dict[str, str] = {}
    for line in comments:
        key, found, text = line.removeprefix("#").partition(":")
        if found:
            key = key.strip()
            header[key] = f"{header[key]} {text.strip()}" if key in header else text.strip()
    return header


def _rows(name: str, lines: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    columns: list[str] | None = None
    for number, line in enumerate(lines, start=1):
        if not line or line.startswith("#"):
            continue
        cells = next(csv.reader([line]))
        if columns is None:
            columns = cells
        elif len(cells) != len(columns):
            raise DeclarationError(
                f"{name}, line {number}: {len(cells)} cells instead of {len(columns)}"
            )
        else:
            yield number, dict(zip(columns, cells, strict=True))
