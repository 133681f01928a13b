"""The risk if one changeable input were otherwise, by the model that gave the risk.

It says how the model's answer depends on its inputs, for this patient. It does not say what a
treatment would do: whoever corrects a sodium does not thereby cure what lowered it.
"""

from collections.abc import Iterator, Mapping
from math import isclose, isfinite, nan
from typing import TYPE_CHECKING, Final, NamedTuple

from fhir_mappings.concepts.written_units import written_unit
from fhir_mappings.features.declaration import Feature
from service.kept_scores import Inputs
from service.patient_page.alternatives import CHOICES, ORDERED, RANGES, Range
from service.score import Scored
from service.wording import number

if TYPE_CHECKING:
    from training.risk_model import RiskModel

MOST_LISTED: Final = 8
"""How many alternatives are listed: those that move the risk most."""

SAME_RISK: Final = 1e-5
"""How far the risk may be off that the model gives for the inputs that were kept: the trees count
in single precision."""


class Asked(NamedTuple):
    """What a reader typed: both parts as they came."""

    feature: str
    value: str


class Alternative(NamedTuple):
    """The inputs of one stay with something otherwise."""

    words: str
    instead_of: str
    source: str
    values: Mapping[str, float]


class Outcome(NamedTuple):
    """An alternative, and what the model says of it."""

    alternative: Alternative
    probability: float
    band: str
    points: int
    """How many percentage points more than the risk, each rounded as it is shown."""


class Field(NamedTuple):
    """A number that a reader may ask about."""

    feature: str
    noun: str
    unit: str
    least: str
    most: str
    value: str
    """What it is; empty where the record has none."""


class WhatIf(NamedTuple):
    """All that a page says of what would change the risk."""

    why_none: str = ""
    """Why nothing can be said; empty where something can."""
    outcomes: tuple[Outcome, ...] = ()
    """The alternatives that move the risk by a percentage point or more, the strongest first."""
    fields: tuple[Field, ...] = ()
    asked: Asked | None = None
    answer: Outcome | None = None
    """To what the reader asked."""
    fault: str = ""
    """Why what they asked is refused, in words."""


def what_if(
    score: Scored, inputs: Inputs | None, model: "RiskModel | None", asked: Asked | None
) -> WhatIf:
    """Say what the model would say of this stay if one changeable input were otherwise.

    Args:
        score: the risk that was given.
        inputs: what the model went by; None where it was not kept.
        model: the model in use; None where there is none.
        asked: what a reader wants to know beyond the alternatives that are declared.
    """
    if inputs is None:
        return WhatIf("What the model went by was not kept with this score.")
    if model is None:
        return WhatIf("No model is in use at present, so that none can be asked.")
    if (model.name, model.version) != (score.model.name, score.model.version):
        return WhatIf(
            f"This risk was given by version {score.model.version} of the model "
            f"{score.model.name}; another is in use now, which would give another risk anyway."
        )
    stay = _Stay(score, inputs, model)
    if not stay.is_the_same():
        return WhatIf("The model in use does not give this risk for these inputs any more.")
    outcomes = stay.outcomes(list(stay.alternatives()))
    moving = sorted(
        (one for one in outcomes if one.points),
        key=lambda one: -abs(one.probability - score.probability),
    )
    found = WhatIf("", tuple(moving[:MOST_LISTED]), tuple(stay.fields()), asked)
    if asked is None:
        return found
    alternative = stay.asked(asked)
    if isinstance(alternative, str):
        return found._replace(fault=alternative)
    return found._replace(answer=stay.outcomes([alternative])[0])


class _Stay:
    """The inputs of one stay, and the model that is asked about them."""

    def __init__(self, score: Scored, inputs: Inputs, model: "RiskModel") -> None:
        self.score, self.inputs, self.model = score, inputs, model
        self.features: dict[str, Feature] = {
            feature.name: feature
            for feature, found in zip(model.features, model.reference.features, strict=True)
            if feature.changeable and found.used
        }

    def is_the_same(self) -> bool:
        if self.inputs.keys() != {feature.name for feature in self.model.features}:
            return False
        (again,) = self._probabilities([{}])
        return isclose(again, self.score.probability, abs_tol=SAME_RISK)

    def alternatives(self) -> Iterator[Alternative]:
        """What is declared, as far as the model asks for it and it is otherwise for this stay."""
        for name, feature in self.features.items():
            usual = RANGES.get(name)
            value = self.inputs[name]
            if usual is None or (value is not None and usual.low <= value <= usual.high):
                continue
            if value is None:
                # Nobody knows on which side it would lie: between the limits then.
                value = (usual.low + usual.high) / 2
            nearest = min(max(value, usual.low), usual.high)
            if not self._disordered(name, nearest):
                yield self._measured(feature, usual, nearest)
        for choice in CHOICES:
            known = {n: v for n, v in choice.values.items() if n in self.inputs}
            if not known.keys() & self.features.keys():
                continue
            if any(self.inputs[name] != value for name, value in known.items()):
                yield Alternative(choice.words, "", "", known)

    def fields(self) -> Iterator[Field]:
        for name, feature in self.features.items():
            if (usual := RANGES.get(name)) is not None:
                value = self.inputs[name]
                yield Field(
                    name,
                    usual.noun,
                    written_unit(feature.unit),
                    number(usual.least),
                    number(usual.most),
                    "" if value is None else number(value),
                )

    def asked(self, asked: Asked) -> Alternative | str:
        """What a reader asks about; or why not, in words. What they typed is not quoted."""
        feature, usual = self.features.get(asked.feature), RANGES.get(asked.feature)
        if feature is None or usual is None:
            return "Choose one of the values that are listed: it is not among them."
        try:
            value = float(asked.value.strip().replace(",", "."))
        except ValueError:
            value = nan
        unit = written_unit(feature.unit)
        between = f"between {number(usual.least)} and {number(usual.most)} {unit}".rstrip()
        if not (isfinite(value) and usual.least <= value <= usual.most):
            return f"Give a number {between} for {usual.noun}."
        if self._disordered(asked.feature, value):
            return "The lowest value of a stay cannot be above its highest."
        return self._measured(feature, usual, value)

    def outcomes(self, alternatives: list[Alternative]) -> list[Outcome]:
        if not alternatives:
            return []
        shown = round(self.score.probability * 100)
        return [
            Outcome(one, risk, self.model.band(risk), round(risk * 100) - shown)
            for one, risk in zip(
                alternatives,
                self._probabilities([one.values for one in alternatives]),
                strict=True,
            )
        ]

    def _probabilities(self, changes: list[Mapping[str, float]]) -> list[float]:
        return [
            float(risk) for risk in self.model.predict([self._row(changed) for changed in changes])
        ]

    def _row(self, changed: Mapping[str, float]) -> list[float]:
        """The inputs in the order of the model's features."""
        names = (feature.name for feature in self.model.features)
        values = (changed.get(name, self.inputs[name]) for name in names)
        return [nan if value is None else value for value in values]

    def _measured(self, feature: Feature, usual: Range, value: float) -> Alternative:
        unit = written_unit(feature.unit)
        now = self.inputs[feature.name]
        words = f"{usual.noun} {number(value)} {unit}".rstrip()
        if value == 0 and feature.phrases.zero:
            words = feature.phrases.zero
        return Alternative(
            words,
            "not recorded" if now is None else f"{number(now)} {unit}".rstrip(),
            usual.source,
            {feature.name: value},
        )

    def _disordered(self, name: str, value: float) -> bool:
        """Whether a lowest value would lie above a highest one."""
        for low, high in ORDERED:
            if name in (low, high):
                values = {low: self.inputs.get(low), high: self.inputs.get(high), name: value}
                lowest, highest = values[low], values[high]
                if lowest is not None and highest is not None and lowest > highest:
                    return True
        return False
