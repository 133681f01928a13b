"""A cohort from outside: the stays and labels that somebody else chose, in place of the rules."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from fhir_mappings.errors import StudyError

COLUMNS = ("encounter_id", "label")
LABELS = {"0": False, "1": True}
"""``1``: an unplanned readmission followed, by whatever definition the file was made with."""


@dataclass(frozen=True)
class ExternalCohort:
    """Encounters with their labels, as a file gives them."""

    file: str
    """The name of the file, without its folder."""
    labels: dict[str, bool]
    """Whether a readmission followed, by encounter id, in the order of the file."""
    lines: dict[str, int]
    """The line of each encounter, counted from 1 with the header."""

    def of_stay(self, encounters: Iterable[str]) -> str | None:
        """The one of a stay's encounters that the file names; None where it names none.

        Raises:
            StudyError: if it names several, with their lines: one stay is one row.
        """
        named = [name for name in encounters if name in self.labels]
        if len(named) > 1:
            lines = " and ".join(str(line) for line in sorted(self.lines[name] for name in named))
            raise StudyError(f"{self.file}, lines {lines}: encounters of the same hospital stay")
        return named[0] if named else None


def read_cohort(path: Path) -> ExternalCohort:
    """Read a cohort file: CSV with the columns ``encounter_id`` and ``label`` (0 or 1).

    Other columns are passed over; the id is the Encounter's, with or without ``Encounter/``.

    Raises:
        StudyError: naming the file and the line, if it is absent, not CSV in UTF-8, lacks a column,
            holds no row, an id twice or none, or a label that is neither 0 nor 1.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _cohort(_rows(file, path.name), path.name)
    except OSError:
        raise StudyError(f"{path.name}: no such cohort file, or it cannot be read") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path.name}: not UTF-8") from None


def _rows(file: TextIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold something, each with its number."""
    reader = csv.reader(file, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise StudyError(f"{name}, line {reader.line_num}: not CSV ({error})") from None


def _cohort(rows: Iterator[tuple[int, list[str]]], name: str) -> ExternalCohort:
    line, header = next(rows, (1, []))
    places = _places(header, f"{name}, line {line}")
    labels: dict[str, bool] = {}
    lines: dict[str, int] = {}
    for line, cells in rows:
        encounter, label = _row(cells, places, f"{name}, line {line}")
        if encounter in labels:
            raise StudyError(
                f"{name}, lines {lines[encounter]} and {line}: the same encounter twice"
            )
        labels[encounter], lines[encounter] = label, line
    if not labels:
        raise StudyError(f"{name}: it holds no encounter")
    return ExternalCohort(name, labels, lines)


def _places(header: list[str], place: str) -> tuple[int, int]:
    names = [cell.strip() for cell in header]
    if lacking := [column for column in COLUMNS if column not in names]:
        raise StudyError(f"{place}: the header lacks {' and '.join(lacking)}")
    return names.index(COLUMNS[0]), names.index(COLUMNS[1])


def _row(cells: list[str], places: tuple[int, int], place: str) -> tuple[str, bool]:
    if len(cells) <= max(places):
        raise StudyError(f"{place}: fewer cells than the header has")
    encounter, label = (cells[position].strip() for position in places)
    encounter = encounter.removeprefix("Encounter/")
    if not encounter:
        raise StudyError(f"{place}: no encounter_id")
    if label not in LABELS:
        raise StudyError(f"{place}: the label is neither 0 nor 1")
    return encounter, LABELS[label]
