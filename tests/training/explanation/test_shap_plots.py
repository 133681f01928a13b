"""shap's plots of simulated contributions: the same bytes, readable, and nothing left behind."""

import xml.etree.ElementTree as ElementTree

import msgspec
import numpy as np
import pytest
from matplotlib import pyplot as plt

from fhir_mappings.features.declaration import declared_features
from training.explanation.importance import Contributions
from training.explanation.labels import label
from training.explanation.shap_plots import (
    DEPENDENCE,
    MOST_DRAWN,
    bars,
    beeswarm,
    dependence,
    shap_plots,
)

SOURCE = "simulated records"
FEATURES = {feature.name: feature for feature in declared_features()}


def simulated(stays: int = 300, features: int = 20, seed: int = 1) -> Contributions:
    """Contributions that rise with a feature's value, the first features' the most."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(stays, features)).astype(np.float32)
    rows[:, 0] = rows[:, 0] > 0
    rows[random.random(rows.shape) < 0.1] = np.nan
    values = np.nan_to_num(rows, nan=0.2) / np.arange(1, features + 1)
    return Contributions(tuple(FEATURES.values())[:features], values, rows, -1.5, stays)


@pytest.fixture(scope="module")
def plots() -> dict[str, str]:
    return shap_plots(simulated(), SOURCE, seed=1)


def text_of(svg: str) -> str:
    return " ".join("".join(ElementTree.fromstring(svg).itertext()).split())


def test_there_are_a_beeswarm_bars_and_the_strongest_features_dependence(plots):
    names = [feature.name for feature in simulated().features[:DEPENDENCE]]
    expected = {"shap_beeswarm.svg", "shap_bar.svg", *(f"shap_dependence_{n}.svg" for n in names)}
    assert plots.keys() == expected


def test_every_plot_says_how_many_stays_of_which_records_it_shows(plots):
    for svg in plots.values():
        assert "300 test stays, simulated records" in text_of(svg)


def test_the_same_contributions_give_the_same_bytes(plots):
    again = simulated()
    assert beeswarm(again, SOURCE, seed=1) == plots["shap_beeswarm.svg"]
    assert bars(again, SOURCE) == plots["shap_bar.svg"]
    assert dependence(again, "age", SOURCE, seed=1) == plots["shap_dependence_age.svg"]
    assert beeswarm(again, SOURCE, seed=2) != plots["shap_beeswarm.svg"]


def test_nothing_of_pyplot_or_of_numpys_generator_is_left_changed():
    mine = plt.figure()
    try:
        np.random.seed(7)
        expected = np.random.RandomState(7).random_sample(3)
        before = plt.get_fignums(), plt.get_backend(), plt.rcParams.copy()
        shap_plots(simulated(40, 1), SOURCE, seed=1)
        assert (plt.get_fignums(), plt.get_backend(), plt.rcParams) == before
        assert plt.gcf() is mine
        np.testing.assert_array_equal(np.random.random_sample(3), expected)
    finally:
        plt.close(mine)


def test_many_stays_do_not_swell_the_report():
    svg = beeswarm(simulated(2_500, 40), SOURCE, seed=1)
    assert len(svg.encode()) < 300_000
    assert f"{MOST_DRAWN} of 2,500 test stays" in text_of(svg)


def test_dependence_counts_those_without_a_value_and_names_yes_and_no(plots):
    shown = simulated()
    said = text_of(plots["shap_dependence_age.svg"])
    assert f"{int(np.isnan(shown.rows[:, 0]).sum())} without a value" in said
    assert f"yes ({int((shown.rows[:, 0] == 1).sum())})" in said


def test_a_feature_that_no_test_stay_has_a_value_of_is_drawn_without_dependence():
    """In a small cohort the absence of a test alone can move the risk."""
    whole = simulated(30, 3)
    rows = whole.rows.copy()
    rows[:, 0] = np.nan
    found = shap_plots(
        Contributions(whole.features, whole.values, rows, whole.baseline, 30), SOURCE, seed=1
    )
    assert "shap_beeswarm.svg" in found
    assert "shap_dependence_age.svg" not in found


@pytest.mark.parametrize("stays", [1, 2])
def test_one_or_two_test_stays_can_be_drawn(stays):
    assert "shap_bar.svg" in shap_plots(simulated(stays, 1), SOURCE, seed=1)


def test_a_model_that_nothing_moves_has_no_plots():
    still = simulated(10, 2)
    flat = Contributions(still.features, np.zeros((10, 2)), still.rows, -1.5, 10)
    assert shap_plots(flat, SOURCE, seed=1) == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sodium_latest", "Last sodium of the stay (mmol/L)"),
        ("systolic_minimum", "Lowest systolic blood pressure of the last 24 hours (mmHg)"),
        ("heart_failure", "Heart failure"),
        ("disposition_facility", "Disposition facility"),
        ("length_of_stay_days", "Days from admission to discharge"),
        ("age", "Age in years at admission"),
    ],
)
def test_features_are_named_in_words_with_their_unit(name, expected):
    assert label(FEATURES[name]) == expected


def test_no_declared_feature_has_a_name_that_is_cut_or_shared():
    names = [label(feature) for feature in FEATURES.values()]
    assert len(set(names)) == len(names)
    assert not [name for name in names if "…" in name]


def test_a_vocabulary_feature_is_named_as_the_site_names_the_code():
    diagnosis = msgspec.structs.replace(
        FEATURES["heart_failure"],
        family="vocabulary",
        phrases=msgspec.structs.replace(
            FEATURES["heart_failure"].phrases, one="a diagnosis such as sepsis " + "x" * 90
        ),
    )
    assert label(diagnosis).startswith("Sepsis")
    assert len(label(diagnosis)) < 80
