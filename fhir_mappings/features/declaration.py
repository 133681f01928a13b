"""What a feature is: data, not code.

A feature is declared once. The declaration drives the engine, the model's monotone constraints,
the sentence that a clinician reads, the reference documentation and the tests; a trained model
carries its own declarations, so that the service computes what that model needs.
"""

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

from fhir_mappings.errors import DeclarationError
from fhir_mappings.events import Kind

Measure = Literal[
    "age",
    "sex",
    "stay",
    "count",
    "distinct",
    "present",
    "latest",
    "first",
    "minimum",
    "maximum",
    "mean",
    "slope",
    "change",
    "days_since",
    "sum",
    "weighted",
]
"""How a window of events becomes one number; ``measures.py`` has a function for each."""

Direction = Literal["raises", "lowers", "either"]
"""What a higher value does to the risk, by clinical knowledge: the model's monotone constraint."""

FAMILIES = (
    "demographics",
    "index_stay",
    "prior_use",
    "conditions",
    "labs_and_vitals",
    "medications",
    "procedures",
    "discharge",
)
"""The families that features are declared in, one TOML file each, in reading order."""


class Phrases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a clinician reads for a value of zero, of one, of anything else, and for none at all.

    Templates may use ``{value}``, ``{unit}``, ``{date}`` and ``{days}`` (days before ``as_of``).
    An empty ``zero`` or ``one`` falls back to ``many``.
    """

    many: str
    zero: str = ""
    one: str = ""
    missing: str = ""


class Feature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number computed from a patient's timeline as seen at one moment."""

    name: str
    """Unique, snake_case, and stable: a trained model refers to it."""
    family: str
    description: str
    measure: Measure
    of: str
    """What is measured: a concept, ``family.*``, several joined by `` + ``, ``code:SYSTEM|code``,
    ``kind:<record kind>``, ``stays.<kind>``, or an attribute of the index stay."""
    window: str
    """The name of a window in ``windows.py``."""
    unit: str | None = None
    records: tuple[Kind, ...] = ()
    """The kinds of record that count; empty for all."""
    weights: dict[str, float] = {}
    """For the measure ``weighted``: what each concept adds when it is present."""
    cap: float | None = None
    """Values above are set to it, where more no longer means anything."""
    direction: Direction = "either"
    changeable: bool = False
    """Whether a care team can act on it before or after discharge."""
    rationale: str
    reference: str
    """Source of the rationale: a DOI (``doi:10...``) or a specification section."""
    phrases: Phrases
    stale_after_days: float | None = None
    """A latest value older than this at ``as_of`` is reported as stale."""


class _Declarations(msgspec.Struct, forbid_unknown_fields=True):
    feature: list[Feature]


@cache
def declared_features() -> tuple[Feature, ...]:
    """Every clinical feature that ships with readmit, family by family.

    Raises:
        DeclarationError: if a declaration is malformed, or a name is declared twice.

    """
    folder = files("fhir_mappings.features") / "declarations"
    features: list[Feature] = []
    for family in FAMILIES:
        text = (folder / f"{family}.toml").read_text(encoding="utf-8")
        try:
            declared = msgspec.toml.decode(text, type=_Declarations).feature
        except msgspec.DecodeError as error:
            raise DeclarationError(f"features/declarations/{family}.toml: {error}") from None
        features.extend(declared)
    names = [feature.name for feature in features]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DeclarationError(f"declared twice: {', '.join(twice)}")
    return tuple(features)
