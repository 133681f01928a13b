"""Alerts come with thresholds and with intervals: neither alone decides."""

import numpy as np
import pytest

from training.monitoring.alerts import (
    estimate_alerts,
    input_alerts,
    performance_alerts,
    score_alerts,
)
from training.monitoring.findings import FeatureDrift, ScoreDrift
from training.risk_model import Interval
from training.study import Monitoring

RULES = Monitoring()
TEST = {"auroc": Interval(0.75, 0.72, 0.78)}


def drift(**changes):
    known = {
        "name": "f", "psi": 0.3, "chance": 0.0, "missing_reference": 0.1, "missing": 0.1,
        "missing_chance": 1.0, "used": True, "drifted": True, "missing_changed": False,
    }  # fmt: skip
    return FeatureDrift(**{**known, **changes})


def levels(alerts):
    return [(alert.level, alert.about) for alert in alerts]


@pytest.mark.parametrize(
    ("auroc", "expected"),
    [
        (Interval(0.72, 0.68, 0.76), []),
        (Interval(0.69, 0.64, 0.74), [("warning", "auroc")]),
        (Interval(0.60, 0.55, 0.65), [("alert", "auroc")]),
        (Interval(0.60, None, None), [("warning", "auroc")]),
        (Interval(None, None, None), []),
    ],
)
def test_an_auroc_is_an_alert_where_its_whole_interval_is_below_the_limit(auroc, expected):
    assert levels(performance_alerts({"auroc": auroc}, TEST, RULES)) == expected


@pytest.mark.parametrize(
    ("name", "measure", "expected"),
    [
        ("calibration_slope", Interval(1.0, 0.9, 1.1), []),
        ("calibration_slope", Interval(0.6, 0.5, 0.7), [("alert", "calibration_slope")]),
        ("calibration_slope", Interval(1.4, 1.2, 1.6), [("warning", "calibration_slope")]),
        ("calibration_intercept", Interval(0.5, 0.4, 0.6), [("alert", "calibration_intercept")]),
        ("calibration_intercept", Interval(-0.5, -0.6, -0.4), [("alert", "calibration_intercept")]),
    ],
)
def test_calibration_is_held_to_its_bounds_on_both_sides(name, measure, expected):
    assert levels(performance_alerts({name: measure}, TEST, RULES)) == expected


def test_an_estimate_is_never_more_than_a_warning():
    low = {"auroc": Interval(0.55, 0.54, 0.56)}
    (alert,) = estimate_alerts(low, TEST, RULES)
    assert alert.level == "warning"
    assert alert.sentence.startswith("Estimated from the risks alone")
    assert list(estimate_alerts({"auroc": Interval(0.74, 0.7, 0.78)}, TEST, RULES)) == []
    assert list(estimate_alerts(low, {}, RULES)) == []


@pytest.mark.parametrize(
    ("psi", "chance", "expected"),
    [
        (0.05, 0.0, []),
        (0.15, 0.0, [("warning", "scores")]),
        (0.3, 0.0, [("alert", "scores")]),
        (0.3, 0.4, []),
    ],
)
def test_scores_that_moved_by_chance_are_no_alert(psi, chance, expected):
    scores = ScoreDrift(psi, chance, 0.2, 0.15, {"low": 1.0, "moderate": 0.0, "high": 0.0})
    assert levels(score_alerts(scores, RULES)) == expected


def test_an_input_that_the_model_does_not_use_is_a_warning_at_most():
    concepts, descriptions = {"f": "lab.sodium"}, {"f": "Sodium."}
    for each, level in ((drift(), "alert"), (drift(used=False), "warning")):
        (alert,) = input_alerts([each], [], concepts, descriptions, RULES)
        assert alert.level == level
        assert ("does not use it" in alert.sentence) is not each.used


def test_values_that_went_missing_send_people_to_the_coverage_report():
    concepts, descriptions = {"f": "lab.sodium"}, {"f": "Sodium."}
    lost = drift(missing=0.6, missing_changed=True)
    (alert,) = input_alerts([lost], [], concepts, descriptions, RULES)
    assert "missing in 60\u202f% of the stays; in training it was 10\u202f%" in alert.sentence
    assert "readmit coverage" in alert.look_at
    gained = drift(missing=0.0, missing_reference=0.5, missing_changed=True)
    (alert,) = input_alerts([gained], [], concepts, descriptions, RULES)
    assert "readmit coverage" not in alert.look_at


def test_among_hundreds_of_undisturbed_inputs_none_is_called_drifted():
    """2,000 inputs and 150 stays: by the index alone hundreds would be."""
    from benchmarks.monitoring import made_up, reference_of
    from training.monitoring.alerts import drifted_features
    from training.monitoring.drift import population_stability

    reference = reference_of(made_up(4_000, 2_000, seed=1))
    stability = population_stability(reference, made_up(150, 2_000, seed=2))
    assert np.count_nonzero(stability.psi > RULES.psi_warn) > 50
    assert drifted_features(stability, reference, RULES) == ()
