"""A month in the words of whoever reads its page."""

from collections.abc import Mapping
from typing import Final

from service.month.figures import Became
from service.month.show import Who

BECAME: Final[Mapping[Became, str]] = {
    "visit_booked": "Visit booked",
    "declined": "Declined",
    "contacted": "Spoken with, no visit",
    "not_reached": "Could not be reached",
    "not_called": "Not called",
}
"""How far a follow-up came."""

WHO: Final[Mapping[Who, str]] = {"called": "After a call", "not_called": "Without a call so far"}
"""Which days are compared."""

ATTRIBUTES: Final[Mapping[str, str]] = {
    "sex": "Sex",
    "age_band": "Age",
    "race": "Race",
    "ethnicity": "Ethnicity",
    "language": "Language",
    "payer": "Payer",
    "discharge_to": "Discharged to",
}
"""What patients are grouped by."""
