"""What monitoring found: one JSON file a run, which trends and alerts are read from."""

from typing import Literal

import msgspec

from training.findings import Measures
from training.monitoring.unit_change import UnitChange

Level = Literal["warning", "alert"]


class Alert(msgspec.Struct, frozen=True):
    """Something that somebody should look at."""

    level: Level
    about: str
    """A feature, a concept, ``scores``, a measure, ``forecasts`` or ``profile``."""
    sentence: str
    look_at: str
    """What to look at first."""


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """An input that is not distributed as it was in training."""

    name: str
    psi: float
    chance: float
    """Probability of bins so different by chance, in this one feature."""
    missing_reference: float
    missing: float
    missing_chance: float
    used: bool
    """Whether any tree may split on it: only then does the drift reach the risks."""
    drifted: bool
    """The index is beyond the warning and not chance, corrected for the number of features."""
    missing_changed: bool
    """The same of the share of missing values."""


class ScoreDrift(msgspec.Struct, frozen=True):
    """The risks beside those of the training stays."""

    psi: float
    chance: float
    mean: float
    """Mean risk of these stays."""
    prevalence: float
    """Share of training stays that were followed by a readmission."""
    bands: dict[str, float]
    """Share of these stays in each band."""


class Month(msgspec.Struct, frozen=True):
    """Readmissions after the discharges of a month, beside as many as the risks add up to."""

    month: str
    stays: int
    observed: int
    expected: float
    low: float
    high: float
    """Between which 95 % of months lie that only chance, and what months usually differ by, move
    away from the expected."""


class ForecastCheck(msgspec.Struct, frozen=True):
    """Past forecasts of units and weeks against what came."""

    unit_weeks: int
    inside: int
    """Of them, within the 95 % interval of their forecast."""
    expected: float
    observed: int
    chance: float
    """Probability of as many outside, or more, if the intervals held 95 %."""
    chance_of_total: float
    """Probability of a total as far from the expected, either way, if the forecasts were right."""


class MonitorReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a model in a period."""

    made: str
    """When, ISO 8601 UTC."""
    model: str
    version: str
    fingerprint: str
    """Of the model: SHA-256 of its manifest."""
    profile: str
    simulated: bool
    """Whether the records are of the simulated hospital: every figure then says so."""
    horizon_days: int
    since: str | None
    until: str | None
    """Days, local time: discharges from ``since`` on and before ``until``; None for no bound."""
    first_discharge: str | None
    last_discharge: str | None
    """Of the stays; None where dates are shifted per patient."""
    stays: int
    patients: int
    enough: bool
    """Whether there are stays enough to say anything. If not, the rest is empty."""
    matured: int
    """Stays whose outcome is known: the horizon has passed."""
    readmissions: int
    """Among those."""
    inputs: int
    trained_until: str | None = None
    """The last day of discharge of the data that the model was made from; stays up to it flatter
    the model."""
    groups: dict[str, dict[str, int]] = {}
    """Stays by attribute and group, ``band`` among the attributes. For the house: small counts are
    in it, and only ``transparency`` makes of them what may be published."""
    outcomes: dict[str, int] = {}
    """Stays whose outcome is known, by what it was; small counts as well."""
    drifted: tuple[FeatureDrift, ...] = ()
    """Inputs whose distribution or missingness has changed, the largest change first."""
    unit_changes: tuple[UnitChange, ...] = ()
    scores: ScoreDrift | None = None
    performance: Measures = {}
    """Of the stays whose outcome is known: auroc, brier, calibration_slope, calibration_intercept,
    observed_to_expected, ppv, sensitivity. Empty where too few are."""
    test: Measures = {}
    """The model's measures on its test stays, to compare with."""
    estimate: Measures = {}
    """Expected auroc, brier, ppv, sensitivity and readmission_rate of all stays, from their risks
    alone. An estimate, no measurement."""
    estimate_assumes: str = ""
    """What must hold for the estimate to do so."""
    months: tuple[Month, ...] = ()
    remaining_risk: bool = False
    """Whether the model also gives the risk that is left after days at home."""
    forecasts: ForecastCheck | None = None
    """None where the model makes none, dates are shifted, or too few weeks have passed."""
    alerts: tuple[Alert, ...] = ()

    @property
    def flattered(self) -> bool:
        """Whether the model was made from the time of some of these stays."""
        if self.trained_until is None or self.first_discharge is None:
            return False
        return self.first_discharge[:10] <= self.trained_until
