"""What must hold for every clinical feature that ships, whoever adds the next one."""

import re
from collections import Counter
from string import Formatter
from typing import get_args

import pytest

from fhir_mappings.concepts import load_concepts
from fhir_mappings.events import Kind
from fhir_mappings.features.declaration import (
    FAMILIES,
    Direction,
    Feature,
    Measure,
    Phrases,
    declared_features,
)
from fhir_mappings.features.windows import WINDOWS

FEATURES = declared_features()

every_feature = pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)

PLACEHOLDERS = {"value", "unit", "date", "days"}

STAY_ATTRIBUTES = {
    "length_of_stay_days",
    "urgent",
    "from_emergency",
    "transferred_in",
    "intensive_care",
    "weekend_discharge",
    "discharge_hour",
    "emergency_wait_hours",
    "disposition_home",
    "disposition_home_care",
    "disposition_facility",
    "oncology_service",
    "history_days",
    "encounters_merged",
}

NEVER_MISSING = {"count", "distinct", "present", "sum", "weighted"}
"""Measures that are zero, not missing, when nothing is recorded."""

IN_THE_UNIT_OF_THE_CONCEPT = {"latest", "first", "minimum", "maximum", "mean", "change"}


def terms(feature: Feature) -> list[str]:
    return feature.of.split(" + ")


def templates(phrases: Phrases) -> list[str]:
    return [
        template
        for template in (phrases.zero, phrases.one, phrases.many, phrases.missing)
        if template
    ]


def of_a_concept(feature: Feature) -> bool:
    return feature.of.startswith(("lab.", "vital."))


def test_there_are_about_eighty() -> None:
    assert 70 <= len(FEATURES) <= 95


def test_every_family_has_features() -> None:
    assert {feature.family for feature in FEATURES} == set(FAMILIES)


def test_families_come_in_reading_order() -> None:
    order = [FAMILIES.index(feature.family) for feature in FEATURES]
    assert order == sorted(order)


def test_no_two_features_measure_the_same() -> None:
    measured = Counter(
        (f.measure, f.of, f.window, f.records, tuple(sorted(f.weights.items()))) for f in FEATURES
    )
    assert [key for key, times in measured.items() if times > 1] == []


def test_no_two_features_share_a_description() -> None:
    descriptions = Counter(feature.description for feature in FEATURES)
    assert [text for text, times in descriptions.items() if times > 1] == []


@every_feature
def test_names_are_snake_case(feature: Feature) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", feature.name)
    assert len(feature.name) <= 40


@every_feature
def test_measure_direction_and_records_are_known(feature: Feature) -> None:
    assert feature.measure in get_args(Measure)
    assert feature.direction in get_args(Direction)
    assert set(feature.records) <= set(get_args(Kind))


@every_feature
def test_the_window_is_known(feature: Feature) -> None:
    assert feature.window in WINDOWS


@every_feature
def test_what_is_measured_exists(feature: Feature) -> None:
    concepts = load_concepts()
    if feature.measure in {"age", "sex"}:
        assert feature.of == feature.measure
        return
    if feature.measure == "stay":
        assert feature.of in STAY_ATTRIBUTES
        return
    for term in terms(feature):
        if term.startswith("stays."):
            kind = term.removeprefix("stays.")
            assert kind in {"inpatient", "observation", "emergency", "outpatient"}
        elif term.startswith("kind:"):
            assert term.removeprefix("kind:") in get_args(Kind)
        elif term.endswith(".*"):
            assert concepts.family(term), f"no concept in {term}"
        else:
            assert term in concepts.names()


@every_feature
def test_weights_belong_to_weighted_features_and_to_concepts_within_what_is_measured(
    feature: Feature,
) -> None:
    assert bool(feature.weights) == (feature.measure == "weighted")
    if feature.weights:
        assert set(feature.weights) == set(load_concepts().family(feature.of))
        assert all(weight > 0 for weight in feature.weights.values())


@every_feature
def test_the_unit_is_the_canonical_one_of_the_concept(feature: Feature) -> None:
    if not of_a_concept(feature):
        return
    canonical = {load_concepts().canonical_unit(term) for term in terms(feature)}
    assert len(canonical) == 1, "concepts in different units cannot be measured together"
    (unit,) = canonical
    if feature.measure in IN_THE_UNIT_OF_THE_CONCEPT:
        assert feature.unit == unit
    elif feature.measure == "slope":
        assert feature.unit == f"{unit}/d"
    else:
        assert feature.unit in {None, "d"}


@every_feature
def test_phrases_render_with_the_allowed_placeholders_alone(feature: Feature) -> None:
    known = {"value": "7", "unit": feature.unit or "", "date": "2026-03-02", "days": "3"}
    for template in templates(feature.phrases):
        used = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        assert used <= PLACEHOLDERS
        rendered = template.format(**known)
        assert not set("{}") & set(rendered)
        assert rendered == rendered.strip()
        assert "  " not in rendered, "a placeholder with nothing to show leaves a gap"
        assert not rendered.endswith(".")


@every_feature
def test_a_phrase_is_read_in_seconds(feature: Feature) -> None:
    for template in templates(feature.phrases):
        assert len(template) <= 80


@every_feature
def test_a_number_that_matters_is_shown(feature: Feature) -> None:
    """Anything but yes-or-no tells its value when it is neither zero nor one."""
    yes_or_no = feature.measure in {"present", "sex"} or (
        feature.measure == "stay" and feature.unit is None and feature.of != "encounters_merged"
    )
    assert yes_or_no != ("{value}" in feature.phrases.many)


@every_feature
def test_zero_and_one_are_worded_where_they_read_differently(feature: Feature) -> None:
    """ "1 hospital stays" and "0 emergency visits" are not what a clinician says."""
    if feature.measure in {"count", "distinct", "sum"}:
        assert feature.phrases.zero.startswith("no ")
        assert feature.phrases.one.startswith("1 ")
    if feature.measure in {"present", "sex"}:
        assert feature.phrases.zero


@every_feature
def test_a_count_of_one_is_not_worded_for_measurements(feature: Feature) -> None:
    """A potassium of exactly 1 is a value like any other."""
    if of_a_concept(feature):
        assert feature.phrases.one == ""


@every_feature
def test_what_can_be_missing_says_so(feature: Feature) -> None:
    if feature.measure in NEVER_MISSING:
        assert feature.phrases.missing == ""
    else:
        assert feature.phrases.missing
        unrendered = {name for _, name, _, _ in Formatter().parse(feature.phrases.missing)}
        assert unrendered <= {None}, "there is no value to show"


@every_feature
def test_every_feature_says_why_and_on_whose_word(feature: Feature) -> None:
    assert feature.description.endswith(".")
    assert feature.rationale.endswith(".")
    assert 40 <= len(feature.rationale) <= 320
    assert re.fullmatch(r"doi:10\.\d{4,9}/\S+", feature.reference)


@every_feature
def test_only_latest_values_go_stale(feature: Feature) -> None:
    if feature.stale_after_days is not None:
        assert feature.measure == "latest"
        assert feature.stale_after_days > 0


@every_feature
def test_a_cap_leaves_room(feature: Feature) -> None:
    if feature.cap is not None:
        assert feature.cap > 1
        assert feature.measure != "present"


@every_feature
def test_what_lies_in_the_past_is_not_called_changeable(feature: Feature) -> None:
    if feature.family in {"demographics", "prior_use", "conditions"} or feature.window in {
        "before",
        "six_months_before",
        "year_before",
        "two_years_before",
    }:
        assert not feature.changeable


@pytest.mark.parametrize(
    ("measure", "of", "window"),
    [
        ("age", "age", "ever"),
        ("count", "stays.inpatient", "year_before"),
        ("count", "stays.emergency", "six_months_before"),
        ("present", "charlson.congestive_heart_failure", "ever"),
        ("present", "charlson.chronic_pulmonary_disease", "ever"),
        ("present", "charlson.renal_disease", "ever"),
        ("present", "cancer.any", "ever"),
        ("stay", "length_of_stay_days", "stay"),
        ("latest", "lab.haemoglobin", "stay"),
        ("latest", "lab.sodium", "stay"),
        ("stay", "disposition_facility", "stay"),
        ("count", "kind:discharge-prescription", "stay"),
        ("present", "medication.insulin", "stay"),
        ("present", "medication.opioid", "stay"),
        ("present", "medication.loop_diuretic", "stay"),
    ],
)
def test_the_well_established_risk_factors_are_there(measure: str, of: str, window: str) -> None:
    assert (measure, of, window) in {(f.measure, f.of, f.window) for f in FEATURES}


def test_firm_directions_are_the_clinical_ones() -> None:
    """A sign turned round here would force every model to learn the opposite of what is known."""
    direction = {feature.name: feature.direction for feature in FEATURES}
    assert direction["admissions_year"] == "raises"
    assert direction["emergency_visits_six_months"] == "raises"
    assert direction["days_since_last_stay"] == "lowers"
    assert direction["length_of_stay_days"] == "raises"
    assert direction["haemoglobin_latest"] == "lowers"
    assert direction["albumin_latest"] == "lowers"
    assert direction["oxygen_saturation_minimum"] == "lowers"
    assert direction["sodium_latest"] == "either", "both a low and a high sodium are bad"
    assert direction["potassium_latest"] == "either", "both a low and a high potassium are bad"
    assert direction["age"] == "either"
