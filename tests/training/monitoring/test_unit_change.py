"""A value that is read in the wrong unit is recognised by its size; all values are made up."""

import numpy as np
import pytest

from fhir_mappings.features.declaration import declared_features
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.monitoring.unit_change import (
    LEVELS,
    measured_concepts,
    refused_values,
    unit_change_in_refused,
    unit_change_in_values,
)
from training.risk_model import FeatureReference

FEATURES = {feature.name: feature for feature in declared_features()}
random = np.random.default_rng(4)
CREATININE = np.exp(random.normal(0.1, 0.35, 800)).clip(0.4, 6).astype(np.float32)


def reference_of(name, values):
    return FeatureReference(name, 0.0, tuple(np.quantile(values, np.linspace(0, 1, 11))), True)


def found_in(values, name="creatinine_latest", then=CREATININE):
    feature = FEATURES[name]
    return unit_change_in_values(feature, feature.of, reference_of(name, then), values)


def test_creatinine_in_umol_per_litre_is_named():
    change = found_in(CREATININE * np.float32(88.42))
    assert (change.expected, change.probable) == ("mg/dL", "umol/L")
    assert change.ratio == pytest.approx(88.42, rel=1e-3)
    assert "about 88.4 times as large as in training: mg/dL -> umol/L?" in change.sentence


def test_a_tenth_of_the_stays_is_enough_although_the_median_has_not_moved():
    values = CREATININE.copy()
    values[:80] *= np.float32(88.42)
    change = found_in(values)
    assert (change.probable, change.values) == ("umol/L", 80)


def test_values_that_are_too_small_are_named_as_well():
    urea = random.normal(30, 5, 500).astype(np.float32)
    feature = next(
        f for f in FEATURES.values() if f.of == "lab.urea_nitrogen" and f.measure in LEVELS
    )
    change = found_in(urea / np.float32(2.8014), feature.name, urea)
    assert (change.expected, change.probable) == ("mg/dL", "mmol/L")
    assert "about 2.8 times as small" in change.sentence


@pytest.mark.parametrize("change", [1.0, 1.2, 3.0, 0.3])
def test_sicker_or_healthier_patients_are_no_change_of_unit(change):
    assert found_in(CREATININE * np.float32(change)) is None


def test_a_few_slips_are_no_change_of_unit():
    values = CREATININE.copy()
    values[:5] *= np.float32(88.42)
    assert found_in(values) is None


def test_counts_and_features_without_a_reference_have_no_unit():
    counted = next(feature for feature in FEATURES.values() if feature.measure == "count")
    values = np.arange(100, dtype=np.float32)
    assert unit_change_in_values(counted, counted.of, reference_of("x", values), values) is None
    empty = FeatureReference("creatinine_latest", 1.0, (), True)
    feature = FEATURES["creatinine_latest"]
    assert unit_change_in_values(feature, feature.of, empty, values) is None
    assert unit_change_in_refused(feature, feature.of, empty, values.astype(float), 100) is None


def test_refused_values_are_compared_with_the_training_stays():
    feature = FEATURES["creatinine_latest"]
    refused = CREATININE[:200].astype(float) * 88.42
    reference = reference_of(feature.name, CREATININE)
    change = unit_change_in_refused(feature, feature.of, reference, refused, read=800)
    assert change.refused
    assert "200 values of lab.creatinine were refused as impossible" in change.sentence
    assert unit_change_in_refused(feature, feature.of, reference, refused, read=20_000) is None


def test_only_measured_levels_have_a_concept_with_units():
    concepts = measured_concepts(FEATURES.values(), load_profile("default"))
    assert concepts["creatinine_latest"] == "lab.creatinine"
    assert "creatinine_change" not in concepts
    assert all(FEATURES[name].measure != "count" for name in concepts)


def test_impossible_values_on_record_are_counted_among_those_that_were_read(
    hospital, hospital_with_another_unit
):
    concepts = {"lab.haemoglobin", "lab.sodium"}
    before, after = (refused_of(each, concepts) for each in (hospital, hospital_with_another_unit))
    assert before["lab.haemoglobin"][1] == after["lab.haemoglobin"][1] > 0
    assert len(before["lab.haemoglobin"][0]) == 0
    assert 50 < np.median(after["lab.haemoglobin"][0]) < 200
    assert before["lab.sodium"][1] == after["lab.sodium"][1] > 0
    assert len(after["lab.sodium"][0]) == len(before["lab.sodium"][0])


def test_a_period_bounds_the_values_that_are_looked_at(hospital_with_another_unit):
    first = 1_672_531_200_000_000  # 2023-01-01
    concepts = {"lab.haemoglobin"}
    whole = refused_of(hospital_with_another_unit, concepts)["lab.haemoglobin"][1]
    before = refused_of(hospital_with_another_unit, concepts, until=first)["lab.haemoglobin"][1]
    after = refused_of(hospital_with_another_unit, concepts, since=first)["lab.haemoglobin"][1]
    assert before + after == whole
    assert 0 < before < whole


def refused_of(hospital, concepts, **period):
    with open_store(hospital.store) as store:
        return refused_values(store, hospital.profile, concepts, **period)
