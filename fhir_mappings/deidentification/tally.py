"""What was kept, changed and removed: counts by resource type and element, and never a value."""

from collections import Counter
from typing import Any, Final

import msgspec

from fhir_mappings.deidentification.data_files import column
from fhir_mappings.deidentification.dates import Dates

SMALLEST: Final = 11
"""Counts under it are not told outside: a small group could be looked for (CMS's cell size)."""

UNKNOWN_ELEMENT = "(not an element of FHIR)"
UNKNOWN_TYPE = "(not a resource type of FHIR)"

NAMES = column("fhir_names.csv", "name")
"""Names that may be repeated. Any other could be a patient's own, written as a key."""


class Summary(msgspec.Struct, kw_only=True):
    """What an export left out, exactly; for the operator, who has the records anyway."""

    method: str
    resources: int = 0
    """Resources written."""
    patients: int = 0
    written: dict[str, int]
    """Resources written, by type."""
    left_out: dict[str, dict[str, int]]
    """Resources not written, by type and reason."""
    elements: dict[str, dict[str, int]]
    """By element (``Patient.birthDate``): how often it was kept, changed (how) or dropped."""
    rejected: dict[str, int]
    """Lines, documents and entries that could not be read, by reason."""


class Tally:
    """Counts as an export goes on."""

    def __init__(self) -> None:
        self.written: Counter[str] = Counter()
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._elements: Counter[tuple[str, str]] = Counter()
        self.rejected: Counter[str] = Counter()

    def element(self, path: str, outcome: str, times: int = 1) -> None:
        """An element of the allow-list, and what became of it."""
        self._elements[path, outcome] += times

    def unlisted(self, path: str, name: str) -> None:
        """Something below ``path`` that the allow-list does not name."""
        bare = name.removeprefix("_")
        where = f"{path}.{bare}" if bare in NAMES else f"{path}.{UNKNOWN_ELEMENT}"
        self._elements[where, "dropped"] += 1

    def left_out(self, resource_type: Any, reason: str) -> None:
        """A whole resource that is not written."""
        known = isinstance(resource_type, str) and resource_type in NAMES
        self._left_out[resource_type if known else UNKNOWN_TYPE, reason] += 1

    def summary(self, dates: Dates, patients: int) -> Summary:
        """The counts so far."""
        return Summary(
            method=METHODS[dates],
            resources=self.written.total(),
            patients=patients,
            written=dict(sorted(self.written.items())),
            left_out=_nested(self._left_out),
            elements=_nested(self._elements),
            rejected=dict(sorted(self.rejected.items())),
        )


METHODS: Final = {
    Dates.YEAR: "safe-harbor",
    Dates.SHIFTED: "dates-shifted-not-safe-harbor",
}

_MEANINGS: Final = {
    Dates.YEAR: (
        "The identifiers that 45 CFR 164.514(b)(2)(i) lists were removed by an allow-list of "
        "elements. Safe Harbor holds only if whoever gives these records away also has no actual "
        "knowledge that they could identify somebody (164.514(b)(2)(ii)). Every date is a year: "
        "no interval of days is left, and no model of readmission within 30 days can be trained "
        "on this export."
    ),
    Dates.SHIFTED: (
        "THIS IS NOT SAFE HARBOR. Dates are finer than the year. Each patient's were moved by the "
        "same secret number of weeks (1 to 52, back or forth), so that intervals, order, weekdays "
        "and times of day are true and calendar dates are not. Under HIPAA this needs an expert's "
        "determination (45 CFR 164.514(b)(1)) or a data use agreement for a limited data set "
        "(164.514(e)). Dates cannot be compared between patients: read it with a site profile "
        "that says calendar = false."
    ),
}


def travelling(summary: Summary, dates: Dates, *, lasting: bool, allow_list: str) -> dict[str, Any]:
    """The report that goes with the export: what it is, what it is not, and rounded counts.

    Args:
        summary: the exact counts.
        dates: what became of dates.
        lasting: whether pseudonyms are those of other exports, too.
        allow_list: SHA-256 of the allow-list that was used.
    """
    exact = msgspec.to_builtins(summary)
    return {
        "method": summary.method,
        "safe_harbor": dates is Dates.YEAR,
        "meaning": _MEANINGS[dates],
        "pseudonyms": "the same in every export that keeps them" if lasting else "of this export",
        "ages": "over 89 are pooled as 90 or more at the latest date of the record",
        "counts": f"under {SMALLEST} they are given as '<{SMALLEST}', others to the nearest ten, "
        "so that none can be had by subtraction",
        "allow_list_sha256": allow_list,
    } | {
        name: _rounded(exact[name])
        for name in ("resources", "patients", "written", "left_out", "elements", "rejected")
    }


def _rounded(count: Any) -> Any:
    if isinstance(count, dict):
        return {name: _rounded(each) for name, each in count.items()}
    return f"<{SMALLEST}" if count < SMALLEST else round(count, -1)


def _nested(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (name, outcome), count in sorted(counts.items()):
        found.setdefault(name, {})[outcome] = count
    return found
