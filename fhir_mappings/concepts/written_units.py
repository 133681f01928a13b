"""Units as people write them, beside UCUM as records and declarations do."""

import re
from typing import Final

_CLINICAL_UNITS: Final = {
    "[degF]": "°F",
    "Cel": "°C",
    "mm[Hg]": "mmHg",
    "10*3/uL": "10³/µL",
    "10*6/uL": "10⁶/µL",
    "10*9/L": "10⁹/L",
    "10*12/L": "10¹²/L",
    "d": "days",
    "h": "hours",
    "a": "years",
    "wk": "weeks",
    "mo": "months",
    "1": "",
}
"""UCUM codes that nobody at a bedside writes as UCUM does; the others read as they are."""


def written_unit(ucum: str | None) -> str:
    """Write a UCUM unit as a clinician does; annotations in braces are not units."""
    bare = re.sub(r"\{[^}]*\}", "", ucum or "")
    written = _CLINICAL_UNITS.get(bare, bare)
    return written.replace("uL", "µL").replace("ug/", "µg/")
