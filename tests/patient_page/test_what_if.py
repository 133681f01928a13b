"""What if a value were otherwise: asked of the model that gave the risk, and of nothing else."""

import math
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from fhir_mappings.features.declaration import declared_features
from service import examples
from service.patient_page.alternatives import CHOICES, ORDERED, RANGES
from service.patient_page.what_if import Asked, what_if
from service.score import ModelIdentity, Scored
from training.risk_model import (
    Calibration,
    FeatureReference,
    Reference,
    load_risk_model,
    save_risk_model,
)

FEATURES = {feature.name: feature for feature in declared_features()}
WEIGHTS = {"sodium_latest": -0.1, "albumin_latest": -0.5, "age": 0.02, "disposition_home": -0.4}


class Weighing:
    """Stands in for a risk model: a weighted sum, of which a test knows every answer."""

    name, version = "weighing", "1"

    def __init__(self, used: Any = lambda name: True) -> None:
        self.features = declared_features()
        self.reference = SimpleNamespace(
            features=[SimpleNamespace(used=used(one.name)) for one in self.features]
        )

    def predict(self, rows: Any) -> list[float]:
        return [self._risk(row) for row in rows]

    def _risk(self, row: list[float]) -> float:
        values = zip(self.features, row, strict=True)
        total = 12.0 + sum(
            WEIGHTS.get(one.name, 0.0) * value for one, value in values if not math.isnan(value)
        )
        return 1 / (1 + math.exp(-total))

    def band(self, risk: float) -> str:
        return "high" if risk >= 0.25 else "low"


def inputs(**values: float) -> dict[str, float | None]:
    return dict.fromkeys(FEATURES) | {"sodium_latest": 129.0, "age": 71.0} | values


def score_of(model: Any, given: dict[str, float | None]) -> Scored:
    row = [math.nan if value is None else value for value in given.values()]
    (risk,) = model.predict([row])
    return msgspec.structs.replace(
        examples.SCORED,
        probability=float(risk),
        model=ModelIdentity(model.name, model.version, None),
    )


def asked(given: dict[str, float | None], question: Asked | None = None, model: Any = None) -> Any:
    model = model or Weighing()
    return what_if(score_of(model, given), given, model, question)


def test_a_low_sodium_is_compared_with_the_nearest_limit_of_what_is_usual():
    found = asked(inputs())
    (sodium,) = [one for one in found.outcomes if "sodium_latest" in one.alternative.values]
    assert sodium.alternative.words == "sodium 135 mmol/L"
    assert sodium.alternative.instead_of == "129 mmol/L"
    risk = 1 / (1 + math.exp(-(12.0 - 13.5 + 71 * 0.02)))
    assert sodium.probability == pytest.approx(risk)
    now = score_of(Weighing(), inputs()).probability
    assert sodium.points == round(risk * 100) - round(now * 100)


def test_a_value_within_what_is_usual_is_not_questioned():
    found = asked(inputs(sodium_latest=140.0))
    assert not any("sodium_latest" in one.alternative.values for one in found.outcomes)


def test_a_discharge_is_otherwise_in_all_its_parts_at_once():
    given = inputs(disposition_home=1.0, disposition_home_care=0.0, disposition_facility=0.0)
    changed = [one.alternative.values for one in asked(given).outcomes]
    home_care = {"disposition_home_care": 1.0, "disposition_facility": 0.0, "disposition_home": 0.0}
    assert home_care in changed
    for values in changed:
        if "disposition_home" in values:
            assert sum(values.values()) == 1


def test_the_strongest_come_first_and_what_moves_nothing_is_left_out():
    moves = [abs(one.points) for one in asked(inputs()).outcomes]
    assert moves == sorted(moves, reverse=True)
    assert all(moves)


def test_the_readers_own_value_is_asked_of_the_model():
    found = asked(inputs(), Asked("sodium_latest", " 138,5 "))
    assert found.answer.alternative.words == "sodium 138.5 mmol/L"
    assert found.answer.probability == pytest.approx(
        1 / (1 + math.exp(-(12.0 - 13.85 + 71 * 0.02)))
    )
    assert not found.fault


@pytest.mark.parametrize("value", ["", "low", "nan", "inf", "-5", "99.9", "1000", "1e400"])
def test_a_value_that_nobody_has_is_refused_in_words_and_not_quoted(value):
    found = asked(inputs(), Asked("sodium_latest", value))
    assert found.fault == "Give a number between 100 and 190 mmol/L for sodium."
    assert found.answer is None


@pytest.mark.parametrize(
    "feature", ["age", "heart_failure", "insulin_at_discharge", "no_such", "inr_latest"]
)
def test_what_cannot_be_changed_and_drugs_are_not_asked_about(feature):
    found = asked(inputs(), Asked(feature, "1"))
    assert found.answer is None
    assert "not among them" in found.fault


def test_a_lowest_glucose_is_never_above_the_highest():
    given = inputs(glucose_maximum=150.0, glucose_minimum=120.0)
    assert asked(given, Asked("glucose_minimum", "160")).fault
    assert asked(given, Asked("glucose_maximum", "110")).fault
    assert not asked(given, Asked("glucose_maximum", "130")).fault


def test_an_input_that_the_trees_do_not_ask_for_is_not_offered():
    unused = Weighing(used=lambda name: name != "sodium_latest")
    found = asked(inputs(), model=unused)
    assert "sodium_latest" not in {field.feature for field in found.fields}
    assert "sodium_latest" in {field.feature for field in asked(inputs()).fields}


def test_nothing_is_said_where_the_inputs_or_the_model_are_not_the_scores():
    model, given = Weighing(), inputs()
    score = score_of(model, given)
    assert "not kept" in what_if(score, None, model, None).why_none
    assert "No model is in use" in what_if(score, given, None, None).why_none
    other = Weighing()
    other.version = "2"
    assert "another is in use now" in what_if(score, given, other, None).why_none
    moved = given | {"sodium_latest": 140.0}
    for kept in (moved, {"age": 71.0}):
        none = what_if(score, kept, model, Asked("sodium_latest", "138"))
        assert "does not give this risk" in none.why_none
        assert (none.outcomes, none.fields, none.answer) == ((), (), None)


def test_alternatives_are_declared_for_changeable_features_and_within_their_bounds():
    for name, usual in RANGES.items():
        assert FEATURES[name].changeable, name
        assert usual.least <= usual.low <= usual.high <= usual.most, name
        cap = FEATURES[name].cap
        assert cap is None or usual.most <= cap, name
    for choice in CHOICES:
        assert all(FEATURES[name].changeable for name in choice.values)
    assert {name for pair in ORDERED for name in pair} <= RANGES.keys()


def test_every_changeable_feature_has_an_alternative_or_is_left_out_on_purpose():
    chosen = {name for choice in CHOICES for name in choice.values}
    left = {
        name
        for name, feature in FEATURES.items()
        if feature.changeable and name not in RANGES and name not in chosen
    }
    assert {FEATURES[name].family for name in left - {"inr_latest"}} == {"medications"}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model in which the risk never falls as urea rises, as its declaration has it."""
    features = tuple(FEATURES.values())
    random = np.random.default_rng(5)
    values = random.normal(0, 1, (400, len(features)))
    urea = list(FEATURES).index("urea_nitrogen_latest")
    values[:, urea] = random.uniform(2, 120, 400)
    outcome = random.random(400) < values[:, urea] / 150
    signs = {"raises": 1, "lowers": -1, "either": 0}
    booster = xgboost.train(
        {
            "max_depth": 3,
            "objective": "binary:logistic",
            "nthread": 1,
            "monotone_constraints": tuple(signs[one.direction] for one in features),
        },
        xgboost.DMatrix(values, outcome),
        num_boost_round=30,
    )
    folder = tmp_path_factory.mktemp("models") / "model"
    save_risk_model(
        folder,
        name="made-up",
        booster=bytes(booster.save_raw("ubj")),
        features=features,
        calibration=Calibration(slope=0.9, intercept=0.0),
        reference=Reference(
            intended_population="Nobody: made up for a test.",
            outcome="Unplanned admission within 30 days.",
            horizon_days=30,
            profile="default",
            data_fingerprint="0" * 64,
            split="none",
            training_stays=400,
            training_readmissions=160,
            prevalence=0.4,
            low_below=0.4,
            high_from=0.6,
            risk_quantiles=(),
            features=tuple(FeatureReference(one.name, 0.0, (), used=True) for one in features),
            test={},
            baselines={},
        ),
    )
    return load_risk_model(folder)


@given(st.floats(1, 250), st.floats(1, 250))
def test_a_direction_that_the_model_is_held_to_holds_in_what_if(trees, one, other):
    given_inputs = inputs(urea_nitrogen_latest=40.0)
    risks = [
        asked(given_inputs, Asked("urea_nitrogen_latest", repr(value)), trees).answer.probability
        for value in sorted((one, other))
    ]
    assert risks[0] <= risks[1] + 1e-9


def test_the_value_that_it_is_gives_the_risk_that_it_is(trees):
    given_inputs = inputs(urea_nitrogen_latest=40.0)
    found = asked(given_inputs, Asked("urea_nitrogen_latest", "40"), trees)
    assert found.answer.probability == pytest.approx(
        score_of(trees, given_inputs).probability, abs=1e-9
    )
    assert found.answer.points == 0
