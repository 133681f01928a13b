"""What moves the model: contributions by feature and by family, on simulated stays."""

import msgspec
import numpy as np
import pytest
from scipy.special import logit

from fhir_mappings.features.declaration import Feature, declared_features
from training.explanation.importance import (
    Contributions,
    contributions,
    families,
    family_of,
    strongest,
    thinned,
)
from training.split import split_stays


def declared(name: str, **changes) -> Feature:
    feature = next(each for each in declared_features() if each.name == name)
    return msgspec.structs.replace(feature, **changes)


def explained(values, *features: Feature) -> Contributions:
    """Contributions of stays whose feature values do not matter."""
    values = np.array(values, dtype=np.float64)
    return Contributions(features, values, np.zeros(values.shape, np.float32), -1.5, len(values))


SODIUM = declared("sodium_latest")
POTASSIUM = declared("potassium_latest")
AGE = declared("age")


def test_baseline_and_contributions_add_up_to_the_risk(risk_model, study):
    judged = study.subset(split_stays(study, seed=3).test)
    found = contributions(risk_model, judged)
    risks = risk_model.predict(judged.values)
    np.testing.assert_allclose(found.baseline + found.values.sum(axis=1), logit(risks), atol=1e-5)


def test_what_drives_the_outcome_is_strongest(risk_model, study):
    judged = study.subset(split_stays(study, seed=3).test)
    ranked = strongest(contributions(risk_model, judged))
    assert {name for name, _ in ranked[:3]} == {"f0", "f1", "f2"}
    sizes = [size for _, size in ranked]
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes) > 0


def test_the_size_of_a_feature_is_its_mean_absolute_contribution():
    found = explained([[1.0, -0.5, 0.0], [-3.0, 0.5, 0.0]], SODIUM, AGE, POTASSIUM)
    assert strongest(found) == (("sodium_latest", 2.0), ("age", 0.5))


def test_a_family_is_what_its_features_do_together():
    """Two laboratory values that cancel in one stay and add up in the other."""
    found = explained([[1.0, -1.0, 0.3], [1.0, 1.0, -0.3]], SODIUM, POTASSIUM, AGE)
    laboratory, demographics = families(found)
    assert (laboratory.family, laboratory.size, laboratory.features) == ("labs_and_vitals", 1.0, 2)
    assert (demographics.family, demographics.size) == ("demographics", 0.3)
    assert laboratory.share == pytest.approx(1 / 1.3, abs=1e-6)
    assert laboratory.share + demographics.share == pytest.approx(1)


def test_features_that_move_nothing_do_not_count_in_their_family():
    found = explained([[1.0, 0.0], [1.0, 0.0]], SODIUM, POTASSIUM)
    assert [(each.family, each.features) for each in families(found)] == [("labs_and_vitals", 1)]
    assert families(explained([[0.0, 0.0]], SODIUM, POTASSIUM)) == ()


@pytest.mark.parametrize(
    ("records", "family"),
    [
        (("diagnosis", "problem"), "conditions"),
        (("observation",), "labs_and_vitals"),
        (("medication-order", "medication-administration"), "medications"),
        (("procedure",), "procedures"),
    ],
)
def test_a_vocabulary_feature_belongs_to_the_family_of_its_records(records, family):
    assert family_of(declared("age", family="vocabulary", records=records)) == family


def test_stays_to_draw_are_taken_evenly():
    whole = explained(np.arange(10.0)[:, None], AGE)
    few = thinned(whole, 4)
    assert few.values[:, 0].tolist() == [0, 2, 5, 7]
    assert few.of_stays == 10
    assert thinned(whole, 50).values.shape == whole.values.shape
