"""When somebody should look: each alert with a sentence, a level and where to begin.

A threshold alone would cry wolf. With two hundred inputs some are beyond any by chance, so a drift
also has to be unlikely by chance after correction for the number of inputs (Bonferroni), and a
measure is clearly behind only when its whole interval is.
"""

from collections.abc import Iterator, Mapping, Sequence

from training.findings import Measures
from training.monitoring.drift import PopulationStability
from training.monitoring.findings import Alert, FeatureDrift, ForecastCheck, Level, ScoreDrift
from training.monitoring.unit_change import UnitChange
from training.risk_model import Interval, Reference
from training.study import Monitoring
from training.words import interval, measure_name, number, percent

SIGNIFICANT = 0.05
"""Chance of a false alert over all inputs together."""

FORECASTS_OFF = 0.01
"""Chance below which past forecasts count as off. Weeks of a unit resemble each other a little, and
at 5 % one period of twenty would be called into question for nothing."""
FORECASTS_APART = 0.1
"""Share of the expected total by which readmissions must be off: over a long period the slightest
difference is no chance, and nobody plans otherwise for it."""

_INPUTS = (
    "Ask whether coding, a device, an interface, the patients, or how far back the records reach "
    "have changed since training; look at the feature's values by month and site."
)
_MISSING = (
    "See readmit coverage for refused units and unknown codes; ask whether the test is still "
    "ordered and still sent."
)
_FORECASTS = (
    "Look at the weeks and units of the readmissions: a surge, a unit that opened or closed, a "
    "model that is no longer calibrated. Until it is explained, plan with wider margins."
)
_UNIT = (
    "Ask the laboratory which unit it sends, and since when; correct the interface or add the "
    "local code to the site profile. Until then, do not use scores that rest on these values."
)
_PROFILE = "Look after the model on the store of its own site, or train one on this site's records."
_SCORES = "Look at the drifted inputs first; if there are none, at who is discharged."
_RETRAIN = (
    "Compare by subgroup and month, look at the drifted inputs, and weigh recalibration or "
    "training anew; readmit rollback puts the version before in use."
)


def profile_alerts(learned: str, read: str) -> Iterator[Alert]:
    """Whether the records are read otherwise than those that the model learned from.

    Args:
        learned: the site profile of the model's training data.
        read: that of the records at hand.
    """
    if learned != read:
        yield Alert(
            "alert",
            "profile",
            f"The model learned from records of the site profile '{learned}'; these are of "
            f"'{read}'. What differs below may be the coding, and not the patients.",
            _PROFILE,
        )


def drifted_features(
    stability: PopulationStability, reference: Reference, rules: Monitoring
) -> tuple[FeatureDrift, ...]:
    """The inputs that have changed, the largest change first."""
    count = len(stability.names)
    found = []
    for position, feature in enumerate(reference.features):
        psi, chance = float(stability.psi[position]), float(stability.chance[position])
        missing = float(stability.missing[position])
        missing_chance = float(stability.missing_chance[position])
        drift = FeatureDrift(
            name=feature.name,
            psi=psi,
            chance=chance,
            missing_reference=feature.missing,
            missing=missing,
            missing_chance=missing_chance,
            used=feature.used,
            drifted=psi >= rules.psi_warn and chance * count < SIGNIFICANT,
            missing_changed=abs(missing - feature.missing) >= rules.missing_change
            and missing_chance * count < SIGNIFICANT,
        )
        if drift.drifted or drift.missing_changed:
            found.append(drift)
    return tuple(sorted(found, key=lambda drift: (-drift.psi, drift.name)))


def input_alerts(
    drifted: Sequence[FeatureDrift],
    units: Sequence[UnitChange],
    concepts: Mapping[str, str],
    descriptions: Mapping[str, str],
    rules: Monitoring,
) -> Iterator[Alert]:
    """One alert for each probable change of unit, and one for each other input that changed.

    Args:
        drifted: the inputs that have changed.
        units: probable changes of unit.
        concepts: what each feature measures.
        descriptions: what each feature is, for people.
        rules: the thresholds.
    """
    explained: dict[str, list[UnitChange]] = {}
    for change in units:
        explained.setdefault(change.concept, []).append(change)
    for concept, changes in explained.items():
        strongest = max(changes, key=lambda change: change.values)
        touched = {change.feature for change in changes}
        touched |= {drift.name for drift in drifted if concepts[drift.name] == concept}
        inputs = ", ".join(sorted(touched))
        yield Alert("alert", concept, f"{strongest.sentence} Inputs: {inputs}.", _UNIT)
    for drift in drifted:
        if concepts[drift.name] not in explained:
            yield _of_input(drift, descriptions[drift.name].rstrip("."), rules)


def _of_input(drift: FeatureDrift, description: str, rules: Monitoring) -> Alert:
    strong = drift.missing_changed or drift.psi >= rules.psi_alert
    level: Level = "alert" if strong and drift.used else "warning"
    unused = "" if drift.used else " The model does not use it."
    name = f"{drift.name} ({description})"
    if drift.missing_changed:
        return Alert(
            level,
            drift.name,
            f"{name} is missing in {percent(drift.missing, 0)} of the stays; in training it was "
            f"{percent(drift.missing_reference, 0)}.{unused}",
            _MISSING if drift.missing > drift.missing_reference else _INPUTS,
        )
    return Alert(
        level,
        drift.name,
        f"{name} is distributed otherwise than in training: PSI {drift.psi:.2f}.{unused}",
        _INPUTS,
    )


def score_alerts(scores: ScoreDrift, rules: Monitoring) -> Iterator[Alert]:
    """Whether the risks themselves have moved."""
    if scores.psi < rules.psi_warn or scores.chance >= SIGNIFICANT:
        return
    yield Alert(
        "alert" if scores.psi >= rules.psi_alert else "warning",
        "scores",
        f"The risks are distributed otherwise than in training: PSI {scores.psi:.2f}; their mean "
        f"is {percent(scores.mean)}, where {percent(scores.prevalence)} were readmitted in "
        "training.",
        _SCORES,
    )


def performance_alerts(performance: Measures, test: Measures, rules: Monitoring) -> Iterator[Alert]:
    """Whether the model is clearly behind its test, or clearly no longer calibrated."""
    found, then = performance.get("auroc"), test.get("auroc")
    if found and then and found.value is not None and then.value is not None:
        limit = then.value - rules.auroc_drop
        level = _beyond(found, limit, None)
        if level:
            sentence = (
                f"AUROC is {interval(found, 'auroc')}; in the test it was {number(then.value)}, "
                f"and {number(limit)} is the least to be accepted."
            )
            yield Alert(level, "auroc", sentence, _RETRAIN)
    bounds = {
        "calibration_slope": rules.slope,
        "calibration_intercept": (-rules.intercept, rules.intercept),
    }
    for name, (low, high) in bounds.items():
        measure = performance.get(name)
        if measure and (level := _beyond(measure, low, high)):
            sentence = (
                f"The {measure_name(name).lower()} is {interval(measure, name)}, where "
                f"{number(low, 2)} to {number(high, 2)} is accepted."
            )
            yield Alert(level, name, sentence, _RETRAIN)


def estimate_alerts(estimate: Measures, test: Measures, rules: Monitoring) -> Iterator[Alert]:
    """Whether the patients have changed so that less discrimination is to be expected."""
    found, then = estimate.get("auroc"), test.get("auroc")
    if found and then and found.value is not None and then.value is not None:
        limit = then.value - rules.auroc_drop
        if _beyond(found, limit, None) == "alert":
            sentence = (
                f"Estimated from the risks alone, the AUROC will be {interval(found, 'auroc')}; "
                f"in the test it was {number(then.value)}. Outcomes are not known yet."
            )
            yield Alert("warning", "estimated auroc", sentence, _SCORES)


def forecast_alerts(check: ForecastCheck | None) -> Iterator[Alert]:
    """Whether past forecasts held less than they said, or were too high or too low on the whole.

    A surge of a few weeks may leave most weeks of a long period within their intervals and show in
    the total alone.
    """
    if check is None:
        return
    total_off = abs(check.observed - check.expected) >= FORECASTS_APART * check.expected
    too_few_held = check.chance < FORECASTS_OFF
    if not too_few_held and not (total_off and check.chance_of_total < FORECASTS_OFF):
        return
    share = percent(check.inside / check.unit_weeks, 0)
    yield Alert(
        "alert",
        "forecasts",
        f"Of {check.unit_weeks:,} past forecasts of a unit's week {share} held what came, where "
        f"95 % should; {number(check.expected, 0)} readmissions were expected and "
        f"{check.observed:,} came.",
        _FORECASTS,
    )


def _beyond(measure: Interval, low: float | None, high: float | None) -> Level | None:
    """An alert where the whole interval is out of bounds, a warning where only the value is."""
    if measure.value is None:
        return None
    ends = (measure.low, measure.high)
    below = low is not None and measure.value < low
    above = high is not None and measure.value > high
    if not below and not above:
        return None
    clearly_below = below and low is not None and ends[1] is not None and ends[1] < low
    clearly_above = above and high is not None and ends[0] is not None and ends[0] > high
    return "alert" if clearly_below or clearly_above else "warning"
