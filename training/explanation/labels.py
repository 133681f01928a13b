"""A feature's name as an axis of a plot can carry it: short, with its unit, in plain words."""

import re
from textwrap import shorten

from fhir_mappings.concepts.written_units import written_unit
from fhir_mappings.features.declaration import Feature

_LONGEST = 76
"""Two lines beside a plot."""
_LESS = re.compile(r", | among all | to the moment of scoring| \(ICD")
"""Where a description turns to details that a plot can do without."""
_ONE = "1 when "
_DIAGNOSIS = "a diagnosis such as "


def label(feature: Feature) -> str:
    """What is measured, in words short enough to stand beside a row of a plot.

    A declared feature goes by the start of its description. Where that only says what 1
    means, or how it is coded, its name in words is clearer. A vocabulary feature goes by what the
    site calls the code.
    """
    if feature.family == "vocabulary":
        said = (feature.phrases.one or feature.phrases.many).partition(" {")[0]
        said = said.removeprefix(_DIAGNOSIS)
    elif feature.description[:1].isdigit() or ": " in feature.description:
        said = feature.name.replace("_", " ")
    else:
        said = _LESS.split(feature.description.rstrip("."), maxsplit=1)[0]
    return with_unit(feature, shorten(said[:1].upper() + said[1:], _LONGEST, placeholder=" …"))


def described(feature: Feature) -> str:
    """The declaration's description; what only says when a feature is 1, as what it asks."""
    said = feature.description
    return f"Whether {said.removeprefix(_ONE)}" if said.startswith(_ONE) else said


def with_unit(feature: Feature, said: str) -> str:
    """The words with the feature's unit after them, where they do not name it themselves."""
    unit = written_unit(feature.unit)
    return f"{said} ({unit})" if unit and unit not in said.lower() else said
