"""Tables for spreadsheets: cells that are shown and never run."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What begins a formula in one spreadsheet or another (OWASP, CSV injection)."""


def cell(value: Any) -> Any:
    """A value that a spreadsheet shows: text that would be a formula gets a quote before it."""
    if isinstance(value, str) and value[:1] in _FORMULA:
        return "'" + value
    return value


def as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A table as CSV (RFC 4180), with a line of headings."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(row[name]) for name in columns})
    return out.getvalue()
