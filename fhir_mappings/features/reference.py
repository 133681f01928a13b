"""The reference of every declared feature, made from the declarations.

``python -m fhir_mappings.features.reference`` prints it; ``docs/reference/features.md`` is a copy,
and a test fails when the two differ.
"""

import sys
from collections.abc import Iterable

from fhir_mappings.features.declaration import FAMILIES, Feature, declared_features
from fhir_mappings.features.windows import WINDOWS

_HEAD = """\
# Features

Made from the declarations by `make docs`; do not edit. Every feature is computed from what was on
record as of the moment of scoring.

A risk that a feature *raises* or *lowers* does so by constraint: whatever the data say, the model
cannot turn it round. *Either* leaves it to the data.
"""


def features_reference(features: Iterable[Feature]) -> str:
    """The reference as Markdown: a section a family, and the windows at the end."""
    features = list(features)
    parts = [_HEAD]
    for family in FAMILIES:
        parts.append(f"## {family.replace('_', ' ').capitalize()}\n")
        parts += [_entry(feature) for feature in features if feature.family == family]
    parts.append("## Windows\n")
    parts += [f"- **{name}**: {window.description}" for name, window in WINDOWS.items()]
    return "\n".join(parts) + "\n"


def _entry(feature: Feature) -> str:
    what = f"{feature.measure} of `{feature.of}`" if feature.measure != "sex" else "sex"
    facts = [what, f"window `{feature.window}`"]
    if feature.unit:
        facts.append(f"in {feature.unit}")
    if feature.records:
        facts.append("from " + ", ".join(feature.records))
    facts.append(f"{feature.direction} the risk" if feature.direction != "either" else "either")
    if feature.changeable:
        facts.append("a care team can act on it")
    return (
        f"### {feature.name}\n\n{feature.description}\n\n{'; '.join(facts)}.\n\n"
        f"{feature.rationale} ({feature.reference})\n"
    )


if __name__ == "__main__":
    sys.stdout.write(features_reference(declared_features()))
