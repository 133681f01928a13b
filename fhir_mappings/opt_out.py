"""The site's opt-out list: a file of patient ids, for those whose refusal stands in no Consent.

::

    # asked by telephone, 3 March
    patient_id
    7f3c
    Patient/2b91

One id a line; or CSV with a column ``patient_id``. Blank lines and lines that begin with ``#`` are
passed over. What cannot be read for certain is an error: a patient who was left out by mistake
would be scored.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

from fhir_mappings.errors import OptOutError

COLUMNS = ("patient_id", "patient", "subject_id", "subject", "id")
"""Names of the column with the ids, in any case; the first of them that a header has."""


def read_opt_out(path: Path) -> frozenset[str]:
    """Read the list.

    Raises:
        OptOutError: naming the file and the line, if it is absent, not UTF-8, has several columns
            of which none is named as the patient's, or a line without one plain id.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return frozenset(_ids(_rows(file), path.name))
    except OSError:
        raise OptOutError(f"{path.name}: no such opt-out list, or it cannot be read") from None
    except UnicodeDecodeError:
        raise OptOutError(f"{path.name}: the opt-out list is not UTF-8") from None
    except csv.Error:
        raise OptOutError(f"{path.name}: the opt-out list is not CSV") from None


def _rows(lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines that hold something, each with its number. Quotes do not span lines."""
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            delimiter = ";" if ";" in line and "," not in line else ","
            cells = next(csv.reader([line], delimiter=delimiter, strict=True))
            yield number, [cell.strip() for cell in cells]


def _ids(rows: Iterator[tuple[int, list[str]]], name: str) -> Iterator[str]:
    column: int | None = None
    for position, (line, cells) in enumerate(rows):
        if position == 0:
            named = [cell.lower() for cell in cells]
            column = next((named.index(one) for one in COLUMNS if one in named), None)
            if column is not None:
                continue
        if column is None and len(cells) > 1:
            raise OptOutError(
                f"{name}, line {line}: several columns, and no header that names patient_id"
            )
        place = column or 0
        found = cells[place].rpartition("Patient/")[2] if place < len(cells) else ""
        if not found or any(character.isspace() for character in found):
            raise OptOutError(f"{name}, line {line}: not one patient id")
        yield found


class OptOutList:
    """The list as its file has it now: read again when the file changes, so that nobody waits.

    Args:
        path: the file; None where the site keeps no list.

    Raises:
        OptOutError: as ``read_opt_out``.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._read: tuple[tuple[int, int, int], frozenset[str]] | None = None
        self.patients()

    def patients(self) -> frozenset[str]:
        """Who is on the list.

        Raises:
            OptOutError: if the file has gone or cannot be read: the list before may lack somebody.
        """
        if self._path is None:
            return frozenset()
        try:
            status = self._path.stat()
        except OSError:
            raise OptOutError(
                f"{self._path.name}: no such opt-out list, or it cannot be read"
            ) from None
        # The inode as well: an editor replaces a file, and may keep its size within one tick.
        state = (status.st_mtime_ns, status.st_size, status.st_ino)
        if self._read is None or self._read[0] != state:
            self._read = state, read_opt_out(self._path)
        return self._read[1]
