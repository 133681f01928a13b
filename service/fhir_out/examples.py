"""The examples of the FHIR answers in the API's documentation: what the code makes, kept beside it.

Making them takes ``fhir.resources``, which importing the service must not. After a change, run
``python -m service.fhir_out.examples``; a test holds the file to what the code makes.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

FILE: Final = Path(__file__).with_name("examples.json")
URL: Final = "https://readmit.hospital.example"


def made() -> dict[str, Any]:
    """Every example, as the code makes it now."""
    from service import examples
    from service.fhir_out.bundles import assessment, operation_bundle, search_bundle
    from service.fhir_out.capability import (
        INTERACTIONS,
        OPERATIONS,
        capability_statement,
        operation_definition,
    )
    from service.fhir_out.search import parse_search
    from service.kept_scores import KeptScore
    from service.kept_search import Found

    kept = KeptScore(examples.SCORED, datetime(2026, 3, 9, 11, 31, 7, tzinfo=UTC))
    asked = parse_search([("patient", f"Patient/{examples.SCORED.subject}"), ("_summary", "true")])
    return {
        "assessment": assessment(kept),
        "operation": operation_bundle(kept, URL),
        "searchset": search_bundle(asked, Found((kept,), 1, None), URL),
        "capability": capability_statement({*INTERACTIONS, *OPERATIONS}, URL),
        "definition": operation_definition(URL),
    }


if __name__ == "__main__":
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(made()), indent=1) + b"\n")

_KEPT: Final[dict[str, Any]] = msgspec.json.decode(FILE.read_bytes())
ASSESSMENT: Final = _KEPT["assessment"]
OPERATION: Final = _KEPT["operation"]
SEARCHSET: Final = _KEPT["searchset"]
CAPABILITY: Final = _KEPT["capability"]
DEFINITION: Final = _KEPT["definition"]
