"""Loading of the tables that ship: once a process, without any data-frame library."""

from collections.abc import Iterator
from functools import cache

from fhir_mappings.concepts.charlson import CONDITIONS, charlson_codes
from fhir_mappings.concepts.table_files import code_tables, read_table
from fhir_mappings.concepts.tables import ConceptTables
from fhir_mappings.concepts.units import load_units


@cache
def load_concepts() -> ConceptTables:
    """The concept tables of this package.

    Raises:
        DeclarationError: a table is malformed, or the package that gives Charlson's codes is
            missing.

    """
    names = {row["concept"]: row["display"] for _, row in read_table("names.csv").rows}
    return ConceptTables(_codes(), load_units(), names)


def _codes() -> Iterator[tuple[str, str]]:
    for name in code_tables():
        if name != CONDITIONS:
            for _, row in read_table(name).rows:
                yield row["concept"], row["code"]
    yield from charlson_codes()
