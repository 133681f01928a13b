"""A feature's name as an axis of a plot can carry it: short, with its unit, in plain words."""

from fhir_mappings.features.declaration import Feature

_UNITS = {
    "a": "years",
    "d": "days",
    "h": "hours",
    "Cel": "°C",
    "mm[Hg]": "mmHg",
    "10*3/uL": "10³/µL",
    "{INR}": "",
}
"""UCUM codes that people write otherwise; the others read as they are."""

_LONGEST = 44
_DIAGNOSIS = "a diagnosis such as "


def label(feature: Feature, *, longest: int = _LONGEST) -> str:
    """A declared feature's name in words; of a vocabulary feature, what the site calls the code.

    The description would be a sentence, too long for an axis, and the name is what the tables and
    the model's own files say.

    Args:
        feature: the declaration.
        longest: letters after which it is cut, without the unit.
    """
    if feature.family == "vocabulary":
        said = (feature.phrases.one or feature.phrases.many).partition(" {")[0]
        said = said.removeprefix(_DIAGNOSIS)
    else:
        said = feature.name.replace("_", " ")
    said = said[:1].upper() + said[1:]
    if len(said) > longest:
        said = said[: longest - 1].rstrip() + "…"
    unit = _UNITS.get(feature.unit or "", feature.unit or "")
    return f"{said} ({unit})" if unit and unit not in said.lower().split() else said
