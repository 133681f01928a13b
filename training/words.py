"""How names and numbers are worded for people: one place, so that each reads alike throughout."""

from dataclasses import dataclass

from training.findings import Measures
from training.risk_model import Interval

MINUS = "\u2212"
THIN = "\u202f"
"""A narrow space that does not break: between a number and its per cent sign."""
UNKNOWN = "cannot be estimated"
_WHOLE = 0.01


@dataclass(frozen=True)
class Measure:
    """A measure as people know it."""

    name: str
    ideal: str
    """What is good, in a few words."""
    digits: int = 3
    percent: bool = False


MEASURES = {
    "auroc": Measure("AUROC", "0.5 is chance, 1 is perfect"),
    "auprc": Measure("AUPRC", "the share of readmissions is chance, 1 is perfect"),
    "brier": Measure("Brier score", "lower is better"),
    "scaled_brier": Measure("Scaled Brier score", "0 is the average risk for all, 1 is perfect"),
    "log_loss": Measure("Log loss", "lower is better"),
    "calibration_slope": Measure("Calibration slope", "1; below, risks are too extreme", 2),
    "calibration_intercept": Measure("Calibration intercept", "0; above, risks are too low", 2),
    "ppv": Measure("PPV at the high band", "higher is better", 1, percent=True),
    "sensitivity": Measure("Sensitivity at the high band", "higher is better", 1, percent=True),
    "specificity": Measure("Specificity at the high band", "higher is better", 1, percent=True),
    "flagged": Measure("In the high band", "as many as can be followed up", 1, percent=True),
}
PEERS = {
    "model": "This model",
    "lace": "LACE",
    "hospital": "HOSPITAL",
    "prevalence": "Same risk for all",
    "logistic": "Logistic regression",
    "champion": "Model in use",
}
ATTRIBUTES = {
    "sex": "Sex",
    "age_band": "Age",
    "race": "Race",
    "ethnicity": "Ethnicity",
    "language": "Language",
    "payer": "Payer",
    "site": "Site",
    "discharge_to": "Discharge destination",
}
"""What patients and stays are grouped by."""
_SIGNS = {
    "implausible_alone": "implausibly good alone",
    "after_discharge": "known only after discharge",
    "coded_at_discharge": "coded when the stay ended",
    "model_implausible": "the model as a whole is implausibly good",
}


def measure_name(key: str) -> str:
    """A measure's name for people."""
    return MEASURES[key].name if key in MEASURES else key.replace("_", " ")


def peer_name(key: str) -> str:
    """A baseline's name for people."""
    return PEERS.get(key, key.replace("_", " "))


def peer_in_sentence(key: str) -> str:
    """The same within a sentence."""
    name = peer_name(key)
    return name if name.isupper() else f"the {name[0].lower()}{name[1:]}"


def attribute_name(key: str) -> str:
    """What stays are grouped by, for people."""
    return ATTRIBUTES.get(key, key.replace("_", " ").capitalize())


def sign_name(key: str) -> str:
    """What a leakage audit saw in a feature."""
    return _SIGNS.get(key, key.replace("_", " "))


def count(value: int) -> str:
    """A count with commas between thousands."""
    return f"{value:,}"


def number(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A number with a true minus sign; words where there is none."""
    if value is None:
        return UNKNOWN
    text = f"{abs(value):,.{digits}f}"
    if float(text.replace(",", "")) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def percent(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """A share as a percentage."""
    if value is None:
        return UNKNOWN
    return f"{number(100 * value, digits, signed=signed)}{THIN}%"


def calibration_formula(slope: float, intercept: float) -> str:
    """How a margin of the trees becomes a probability."""
    sign = MINUS if intercept < 0 else "+"
    return f"logit(p) = {number(slope)} \u00d7 margin {sign} {number(abs(intercept))}"


def threshold(value: float) -> str:
    """A risk that was chosen, not measured: with a decimal only where it has one."""
    return percent(value, 0 if abs(100 * value - round(100 * value)) < _WHOLE else 1)


def interval(
    value: Interval | None, key: str = "", *, digits: int | None = None, signed: bool = False
) -> str:
    """An estimate with its 95 % interval in brackets, rounded as its measure is.

    Args:
        value: the estimate; None where it was not asked for.
        key: the measure's, for its digits.
        digits: instead of the measure's.
        signed: whether a plus stands before what is above 0, as for a difference.

    """
    if value is None or value.value is None:
        return UNKNOWN
    measure = MEASURES.get(key, Measure(key, ""))
    shown = measure.digits if digits is None else digits
    if measure.percent and signed:
        return _points(value, shown)
    write = percent if measure.percent else number
    middle = write(value.value, shown, signed=signed)
    if value.low is None or value.high is None:
        return f"{middle} (no interval)"
    low, high = (write(end, shown, signed=signed) for end in (value.low, value.high))
    return f"{middle} ({low} to {high})"


def points(share: float) -> str:
    """A difference of two shares, in points."""
    return f"{number(100 * share, 1)}\u00a0points"


def _points(value: Interval, digits: int) -> str:
    """A difference of two shares: in points, since a difference of 5 % could be taken of either."""
    scaled = (None if end is None else 100 * end for end in (value.value, value.low, value.high))
    middle, *ends = (number(end, digits, signed=True) for end in scaled)
    return f"{middle}\u00a0points ({' to '.join(ends) if UNKNOWN not in ends else 'no interval'})"


def measured(measures: Measures, key: str, *, signed: bool = False) -> str:
    """One of several measures with its interval."""
    return interval(measures.get(key), key, signed=signed)


def listed(names: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
