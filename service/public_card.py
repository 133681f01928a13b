"""The model in use, for the public: what its own reference says, in plain words.

The card of a run (``training.model_card``) is for whoever decides about a model. This one is for
whoever is scored by it. Its counts are of thousands of stays, and nothing is of one patient.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

from fhir_mappings.eligibility import REASONS
from fhir_mappings.profiles import SIMULATED

if TYPE_CHECKING:
    from training.risk_model import Interval, RiskModel

OUTSIDE: Final = tuple(
    REASONS[code]
    for code in REASONS
    # The two are no group of patients; the card speaks of saying no elsewhere.
    if code not in ("opted_out", "consent_unreadable")
)
"""When no risk is given, sentence by sentence."""


class Measure(NamedTuple):
    """A measure as the public reads it."""

    name: str
    words: str
    as_share: bool
    """Whether it is read as so many of a hundred."""


MEASURES: Final = {
    "auroc": Measure(
        "Tells higher risks from lower ones",
        "Of two patients, one who came back and one who did not: how often the one who came back "
        "had the higher risk. 50 of 100 would be chance.",
        as_share=True,
    ),
    "calibration_slope": Measure(
        "Does not exaggerate",
        "1 is ideal. Below 1, high risks are too high and low ones too low.",
        as_share=False,
    ),
    "ppv": Measure(
        "High risks that came true",
        "Of 100 patients with a high risk, how many came back. The others did not: a high risk is "
        "no certainty.",
        as_share=True,
    ),
    "sensitivity": Measure(
        "Returns that were seen coming",
        "Of 100 patients who came back, how many had a high risk. The others had none, and came "
        "back all the same.",
        as_share=True,
    ),
}
"""What is told of how well it did, in this order."""

PEERS: Final = {"LACE": "LACE", "HOSPITAL": "HOSPITAL"}
"""Published scores that are told beside the first measure."""


class Told(NamedTuple):
    """A measure with its 95 % interval."""

    measure: Measure
    value: str
    low: str
    high: str


class PublicCard(NamedTuple):
    """All that the page shows."""

    name: str
    version: str
    simulated: bool
    """Whether it learned from made-up patients."""
    horizon_days: int
    population: str
    outcome: str
    stays: str
    """About how many it learned from."""
    of_hundred: int
    """How many of a hundred of them were followed by a readmission."""
    high_from: int
    """From how many of a hundred on a risk is called high."""
    measures: tuple[Told, ...]
    peers: tuple[tuple[str, str], ...]
    """Published scores, and how they did at the first measure on the same stays."""
    outside: tuple[str, ...]


def public_card(model: "RiskModel") -> PublicCard:
    """The card of a loaded model."""
    reference = model.reference
    told = (
        _told(measure, reference.test[name])
        for name, measure in MEASURES.items()
        if name in reference.test
    )
    first, measure = next(iter(MEASURES.items()))
    peers = (
        (name, _told(measure, found[first]))
        for name, found in reference.baselines.items()
        if name.upper() in PEERS and first in found
    )
    return PublicCard(
        name=model.name,
        version=model.version,
        simulated=reference.profile in SIMULATED,
        horizon_days=model.horizon_days,
        population=reference.intended_population,
        outcome=reference.outcome,
        stays=_about(reference.training_stays),
        of_hundred=round(reference.prevalence * 100),
        high_from=round(reference.high_from * 100),
        measures=tuple(one for one in told if one is not None),
        peers=tuple((PEERS[name.upper()], one.value) for name, one in peers if one is not None),
        outside=OUTSIDE,
    )


def _told(measure: Measure, found: "Interval") -> Told | None:
    """A measure in words; None where it could not be estimated."""
    if found.value is None or found.low is None or found.high is None:
        return None
    words = _share if measure.as_share else _number
    return Told(measure, words(found.value), words(found.low), words(found.high))


def _share(value: float) -> str:
    return f"{round(value * 100)} of 100"


def _number(value: float) -> str:
    return f"{value:.2f}"


def _about(count: int) -> str:
    """Two significant digits: 51,842 as 52,000."""
    digits = max(0, len(str(count)) - 2)
    return f"{round(count, -digits):,}"
