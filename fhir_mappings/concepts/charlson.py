"""Charlson's conditions in ICD-9-CM and ICD-10-CM, from the package ``pycomorb``.

The coding is Quan's (doi:10.1097/01.mlr.0000182534.19832.83), which the package ships as a table.
That table is read as a file: importing the package would pull a data-frame library into every
process that scores a patient.
"""

import csv
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from fhir_mappings.concepts.table_files import read_table
from fhir_mappings.errors import DeclarationError

CONDITIONS = "charlson_conditions.csv"
"""Which concept each of the package's categories is."""


def charlson_codes() -> Iterator[tuple[str, str]]:
    """Concept and code prefix of each Charlson condition, ``ICD10CM|I50*``.

    Raises:
        DeclarationError: the package or its table is missing, or its categories have changed.

    """
    codes = _categories()
    for _, row in read_table(CONDITIONS).rows:
        if row["category"] not in codes:
            raise DeclarationError(f"pycomorb has no Charlson category '{row['category']}'")
        category = codes[row["category"]]
        for system, column in (("ICD9CM", "icd9_codes"), ("ICD10CM", "icd10_codes")):
            for prefix in category[column].split("|"):
                yield row["concept"], f"{system}|{prefix}*"


def _categories() -> dict[str, dict[str, str]]:
    package = find_spec("pycomorb")
    if package is None or package.origin is None:
        raise DeclarationError("the package pycomorb, which gives the Charlson codes, is missing")
    path = Path(package.origin).parent / "common" / "CHARLSON_QUAN.csv"
    if not path.is_file():
        raise DeclarationError("the package pycomorb has no table common/CHARLSON_QUAN.csv")
    with path.open(encoding="utf-8", newline="") as table:
        return {row["category"]: row for row in csv.DictReader(table)}
