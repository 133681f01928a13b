"""The CSV files of this package: rows after a commented header, as the concept tables have."""

import csv
from pathlib import Path

FOLDER = Path(__file__).parent


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one file, each by column name."""
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def column(name: str, heading: str) -> frozenset[str]:
    """The cells of one column."""
    return frozenset(row[heading] for row in rows(name))
