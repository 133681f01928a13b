"""What a changeable input could be instead, declared as data: the terms of every what-if.

A measurement is compared with the nearest limit of what is usual in adults, and not with the
average of the training stays: those were ill too, and a clinician knows 135 as the limit of a
sodium. A limit is a fixed point to compare with, not an aim of treatment.

Left out on purpose, though a care team can change them: drugs, because the risk without insulin
says nothing about whether the patient needs it, and would read as advice to stop it; and INR,
whose usual value is not the aim under an anticoagulant.
"""

from typing import Final, NamedTuple

ABIM: Final = "ABIM Laboratory Test Reference Ranges"
NEWS2: Final = "NEWS2, values that score 0 (Royal College of Physicians, 2017)"
HOSPITAL: Final = "limit of the HOSPITAL score (doi:10.1001/jamainternmed.2015.8462)"


class Range(NamedTuple):
    """A number that could be another: what is usual, and what it can be at all."""

    noun: str
    """What is measured, as it stands before a number."""
    low: float
    """The lower limit of what is usual, in the feature's unit."""
    high: float
    least: float
    """Below, a value is a mistake and no measurement: it is refused."""
    most: float
    source: str


RANGES: Final[dict[str, Range]] = {
    "sodium_latest": Range("sodium", 135, 145, 100, 190, HOSPITAL),
    "potassium_latest": Range("potassium", 3.5, 5.0, 1.5, 10, ABIM),
    "bicarbonate_latest": Range("bicarbonate", 23, 28, 3, 60, ABIM),
    "creatinine_latest": Range("creatinine", 0.5, 1.3, 0.1, 25, ABIM),
    "creatinine_change": Range("creatinine changed by", 0, 0, -20, 20, "no change"),
    "urea_nitrogen_latest": Range("urea nitrogen", 8, 20, 1, 250, ABIM),
    "urea_nitrogen_slope": Range("urea nitrogen changing a day by", 0, 0, -100, 100, "no change"),
    "haemoglobin_latest": Range("haemoglobin", 12, 18, 2, 25, HOSPITAL),
    "white_cells_latest": Range("white cells", 4, 11, 0.1, 500, ABIM),
    "platelets_latest": Range("platelets", 150, 450, 1, 2500, ABIM),
    "glucose_maximum": Range(
        "highest glucose", 70, 180, 10, 2000, "target in hospital (doi:10.2337/dc25-S016)"
    ),
    "glucose_minimum": Range(
        "lowest glucose", 70, 180, 10, 2000, "target in hospital (doi:10.2337/dc25-S016)"
    ),
    "albumin_latest": Range("albumin", 3.5, 5.5, 0.5, 8, ABIM),
    "bnp_latest": Range("BNP", 0, 100, 0, 20_000, ABIM),
    "nt_pro_bnp_latest": Range(
        "NT-proBNP",
        0,
        300,
        0,
        200_000,
        "rules out acute heart failure (doi:10.1093/eurheartj/ehab368)",
    ),
    "c_reactive_protein_latest": Range("C-reactive protein", 0, 8, 0, 800, ABIM),
    "haemoglobin_a1c_latest": Range(
        "HbA1c", 4, 7, 2, 25, "target for most adults (doi:10.2337/dc25-S006)"
    ),
    "heart_rate_maximum": Range("highest heart rate", 51, 90, 20, 300, NEWS2),
    "systolic_minimum": Range("lowest systolic blood pressure", 111, 219, 30, 300, NEWS2),
    "respiratory_rate_maximum": Range("highest respiratory rate", 12, 20, 3, 80, NEWS2),
    "temperature_maximum": Range("highest temperature", 36.1, 38.0, 25, 45, NEWS2),
    "oxygen_saturation_minimum": Range("lowest oxygen saturation", 96, 100, 30, 100, NEWS2),
    "weight_change": Range("weight changed by", 0, 0, -80, 80, "no change"),
    "discharge_prescriptions": Range(
        "prescriptions at discharge",
        0,
        4,
        0,
        40,
        "fewer than 5: no polypharmacy (doi:10.1186/s12877-017-0621-2)",
    ),
    "discharge_hour": Range(
        "discharged at hour", 8, 17, 0, 23, "while pharmacies and practices are open"
    ),
}
"""Each changeable number by its feature. A form offers these, and nothing else."""


class Choice(NamedTuple):
    """Something that is one way or another, in however many features it stands."""

    words: str
    values: dict[str, float]
    """The features that say so, all of them: half a choice is a patient who does not exist."""


CHOICES: Final = (
    Choice(
        "home with home care",
        {"disposition_home_care": 1.0, "disposition_facility": 0.0, "disposition_home": 0.0},
    ),
    Choice(
        "discharged to a facility",
        {"disposition_home_care": 0.0, "disposition_facility": 1.0, "disposition_home": 0.0},
    ),
    Choice(
        "home without arranged care",
        {"disposition_home_care": 0.0, "disposition_facility": 0.0, "disposition_home": 1.0},
    ),
    Choice("discharged on a weekday", {"weekend_discharge": 0.0}),
    Choice("discharged at the weekend", {"weekend_discharge": 1.0}),
)
"""What can be chosen at a discharge."""

ORDERED: Final = (("glucose_minimum", "glucose_maximum"),)
"""Pairs of which the first is never above the second: the lowest of a stay is not above a highest
within it."""
