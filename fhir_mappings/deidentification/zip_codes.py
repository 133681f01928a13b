"""Zip codes: the first three digits, where more than 20,000 people live in their area."""

import re
from typing import Any, Final

from fhir_mappings.deidentification.data_files import column

_ZIP = re.compile(r"\d{5}(-?\d{4})?", re.ASCII)
_UNITED_STATES: Final = ("us", "usa", "united states", "united states of america")
_STATES: Final = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM "
    "NY NC ND OH OK OR PA RI SC SD TN TX UT VT VA WA WV WI WY DC PR GU VI AS MP"
)
"""The United States with the District and the territories."""
_RESTRICTED = column("restricted_zip3.csv", "zip3")

TOO_FEW: Final = "000"
"""In place of an area where 20,000 people or fewer live (45 CFR 164.514(b)(2)(i)(B))."""


def zip3(address: Any) -> str | None:
    """The area of an address in the United States; None for any other, or without a zip code.

    Where the address names no country, its state must be one of the United States: five digits
    alone are as well a postal code of Germany, and nobody has counted the people there.
    """
    code = address.get("postalCode") if isinstance(address, dict) else None
    if not isinstance(code, str) or not _ZIP.fullmatch(code.strip()):
        return None
    country, state = address.get("country"), address.get("state")
    if country is None and str(state) not in _STATES.split():
        return None
    if country is not None and str(country).strip().rstrip(".").lower() not in _UNITED_STATES:
        return None
    area = code.strip()[:3]
    return TOO_FEW if area in _RESTRICTED else area
