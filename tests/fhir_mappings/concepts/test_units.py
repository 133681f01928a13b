"""Values in one unit: the right number, or none."""

import math
import re

import pytest
from ucumvert import PintUcumRegistry

from fhir_mappings.concepts import load_concepts
from fhir_mappings.concepts.table_files import read_table
from fhir_mappings.concepts.units import load_units

UNITS = load_units()

NOT_FOR_THE_ORACLE = {
    "meq/L": "equivalents depend on the charge of the ion",
    "{score}": "annotations alone are no unit to it",
    "{nominal}": "as above",
    "{INR}": "as above",
    "{ratio}": "as above",
    "{fraction}": "as above",
    "1": "a bare number",
    "mL/min/1.73.m2": "not UCUM: the area is written as a number",
    "mL/(24.h)": "volume a day against volume",
    "mL/d": "volume a day against volume",
    "mL/min": "the area is left out",
    "[IU]/L": "of an enzyme it is the U, of other substances it is not",
    "[pH]": "unknown to it",
}
"""Units whose conversion is a clinical convention, not arithmetic of units."""

MOLES = re.compile(r"mol")
MOLAR_MASS = re.compile(r"(\d+(?:\.\d+)?) (k?)g/mol")


@pytest.fixture(scope="module")
def oracle() -> PintUcumRegistry:
    return PintUcumRegistry()


def pure_conversions() -> list[tuple[str, str]]:
    """Concept and unit where both units are of the same dimension."""
    return [
        (concept, unit)
        for concept, unit in UNITS.conversions
        if unit not in NOT_FOR_THE_ORACLE
        and UNITS.canonical[concept] not in NOT_FOR_THE_ORACLE
        and bool(MOLES.search(unit)) == bool(MOLES.search(UNITS.canonical[concept]))
    ]


@pytest.mark.parametrize(("concept", "unit"), pure_conversions())
def test_conversions_agree_with_an_independent_reading_of_ucum(
    concept: str, unit: str, oracle: PintUcumRegistry
) -> None:
    canonical = UNITS.canonical[concept]
    conversion = UNITS.conversions[concept, unit]
    for value in (1.0, 37.5):
        expected = (
            oracle.Quantity(value, oracle.from_ucum(unit).units)
            .to(oracle.from_ucum(canonical).units)
            .magnitude
        )
        ours = value * conversion.factor + conversion.offset
        assert ours == pytest.approx(expected, rel=1e-6)


def test_the_oracle_is_asked_about_most_conversions() -> None:
    """If it were asked about none, the test above would pass on nothing."""
    assert len(pure_conversions()) > 100


MOLAR = [
    row
    for _, row in read_table("units.csv").rows
    if MOLES.search(row["unit"]) and not MOLES.search(UNITS.canonical[row["concept"]])
]


@pytest.mark.parametrize("row", MOLAR, ids=lambda row: f"{row['concept']}-{row['unit']}")
def test_molar_conversions_follow_from_the_molar_mass_beside_them(row: dict[str, str]) -> None:
    conversion = UNITS.conversions[row["concept"], row["unit"]]
    if row["unit"] == "mmol/mol":
        assert "10.1373/clinchem.2008.103556" in row["note"]
        assert conversion.factor * 53 + conversion.offset == pytest.approx(7.0, abs=0.01)
        return
    found = MOLAR_MASS.search(row["note"])
    assert found is not None, "a molar conversion states its molar mass"
    grams = float(found[1]) * (1000 if found[2] else 1)
    if row["unit"] == "mg/mmol":
        assert conversion.factor == pytest.approx(1000 / grams, rel=1e-3)
        return
    moles = {"mmol/L": 1e-3, "umol/L": 1e-6, "nmol/L": 1e-9, "pmol/L": 1e-12}[row["unit"]]
    canonical = UNITS.canonical[row["concept"]]
    per_litre = {"mg/dL": 1e2, "g/dL": 1e-1, "mg/L": 1e3, "pg/mL": 1e9}[canonical]
    assert conversion.factor == pytest.approx(moles * grams * per_litre, rel=1e-3)


@pytest.mark.parametrize(
    ("concept", "value", "unit", "expected"),
    [
        ("lab.glucose", 5.5, "mmol/L", 99.088),
        ("lab.creatinine", 88.42, "umol/L", 1.0),
        ("lab.creatinine", 88.42, "µmol/L", 1.0),
        ("lab.haemoglobin", 120, "g/L", 12.0),
        ("lab.sodium", 140, "mEq/L", 140),
        ("lab.calcium", 2.5, "mmol/L", 10.0195),
        ("lab.magnesium", 2.0, "mEq/L", 2.4305),
        ("lab.urea_nitrogen", 10, "mmol/L", 28.014),
        ("lab.white_cells", 7200, "/uL", 7.2),
        ("lab.white_cells", 7.2, "K/uL", 7.2),
        ("lab.platelets", 250, "10*9/L", 250),
        ("lab.troponin", 0.04, "ng/mL", 40),
        ("lab.troponin", 40, "pg/mL", 40),
        ("lab.haemoglobin_a1c", 53, "mmol/mol", 7.00044),
        ("lab.c_reactive_protein", 1.2, "mg/dL", 12),
        ("vital.temperature", 98.6, "[degF]", 37),
        ("vital.temperature", 98.6, "degF", 37),
        ("vital.heart_rate", 72, "bpm", 72),
        ("vital.heart_rate", 72, "{beats}/min", 72),
        ("vital.systolic_blood_pressure", 120, "mmHg", 120),
        ("vital.body_weight", 150, "[lb_av]", 68.0388555),
        ("vital.body_height", 70, "[in_i]", 177.8),
        ("lab.egfr", 60, "mL/min/1.73m2", 60),
    ],
)
def test_values_come_out_in_the_canonical_unit(
    concept: str, value: float, unit: str, expected: float
) -> None:
    assert load_concepts().convert(concept, value, unit) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("unit", [None, "", " ", "mg", "mmol", "furlong", "mg/dL ", "%"])
def test_a_missing_or_unknown_unit_gives_no_value(unit: str | None) -> None:
    assert load_concepts().convert("lab.sodium", 140, unit) is None


def test_what_equals_another_unit_for_one_ion_does_not_for_the_next() -> None:
    tables = load_concepts()
    assert tables.convert("lab.potassium", 4, "meq/L") == 4
    assert tables.convert("lab.calcium", 5, "meq/L") == pytest.approx(10.0195)
    assert tables.convert("lab.creatinine", 1, "meq/L") is None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_gives_no_value(value: float) -> None:
    assert load_concepts().convert("lab.sodium", value, "mmol/L") is None


@pytest.mark.parametrize(
    ("concept", "value", "unit"),
    [
        ("lab.sodium", 14, "mmol/L"),
        ("lab.potassium", 45, "mmol/L"),
        ("lab.haemoglobin", 120, "g/dL"),
        ("vital.temperature", 98.6, "Cel"),
        ("vital.temperature", 37, "[degF]"),
        ("vital.oxygen_saturation", 101, "%"),
        ("vital.heart_rate", 0, "/min"),
        ("vital.systolic_blood_pressure", 1200, "mm[Hg]"),
        ("vital.body_weight", 0, "kg"),
    ],
)
def test_what_no_living_patient_has_gives_no_value(concept: str, value: float, unit: str) -> None:
    assert load_concepts().convert(concept, value, unit) is None


@pytest.mark.parametrize(
    ("concept", "value", "unit"),
    [
        ("lab.sodium", 104, "mmol/L"),
        ("lab.potassium", 8.9, "mmol/L"),
        ("lab.glucose", 1900, "mg/dL"),
        ("lab.haemoglobin", 2.5, "g/dL"),
        ("lab.platelets", 1, "10*3/uL"),
        ("vital.temperature", 26, "Cel"),
        ("vital.heart_rate", 220, "/min"),
    ],
)
def test_what_is_extreme_but_true_stays(concept: str, value: float, unit: str) -> None:
    """The sickest patients must not lose their values to a narrow limit."""
    assert load_concepts().convert(concept, value, unit) == value


def test_accepting_a_unit_is_not_judging_a_value() -> None:
    tables = load_concepts()
    assert tables.accepts("lab.glucose", "mmol/l")
    assert not tables.accepts("lab.glucose", "furlong")
    assert not tables.accepts("lab.glucose", None)
    assert not tables.accepts("charlson.dementia", "mg/dL")


def test_what_is_not_measured_has_no_unit() -> None:
    assert load_concepts().canonical_unit("charlson.dementia") is None
    assert load_concepts().convert("charlson.dementia", 1, "1") is None
