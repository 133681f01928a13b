"""The engine: a patient, a stay and a moment in; numbers and the records behind them out."""

import math

import pytest
from records import (
    clock,
    concept,
    condition,
    encounter,
    feature,
    lab,
    left_for,
    moment,
    order,
    patient,
    procedure,
    timeline,
    urgency,
)

from fhir_mappings.concepts import load_concepts
from fhir_mappings.errors import DeclarationError, UnprocessableError
from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.engine import View, check

HL7 = "http://terminology.hl7.org/CodeSystem/"


def view(*resources, day=4.0, stay=-1):
    """The last stay of these records (or another), as seen on that day."""
    whole = timeline(*resources)
    return View(whole, whole.stays[stay], moment(day))


def attribute(name, *resources, day=4.0):
    return view(*resources, day=day).value(feature("stay", name))


INDEX = encounter("e", 0, 4)


def test_declared_features_can_all_be_computed_for_a_patient_with_next_to_nothing():
    features = declared_features()
    check(features, load_concepts().names())
    row = view(patient(), INDEX).row(features)
    assert len(row) == len(features)
    assert all(isinstance(value, float) for value in row)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (feature("latest", "lab.unobtainium"), "lab.unobtainium"),
        (feature("latest", "lab.sodium + lab.unobtainium"), "lab.unobtainium"),
        (feature("latest", "lab.sodium", "next_year"), "next_year"),
        (feature("median", "lab.sodium"), "median"),
        (feature("stay", "shoe_size"), "shoe_size"),
        (feature("distinct", "wonders.*"), r"wonders\.\*"),
        (feature("weighted", "", weights={"wonders.pyramid": 1.0}), "wonders.pyramid"),
    ],
)
def test_declaration_that_cannot_be_computed_is_refused_by_name(wrong, message):
    with pytest.raises(DeclarationError, match=f"example: .*{message}"):
        check([wrong], load_concepts().names())


def test_age_is_that_at_admission():
    born = patient(birthDate="1954-03-01")
    assert view(born, INDEX).value(feature("age", "")) == pytest.approx(70.0, abs=0.01)


@pytest.mark.parametrize("born", ["1890-01-01", "2025-01-01", None])
def test_implausible_age_is_unknown(born):
    assert math.isnan(view(patient(birthDate=born), INDEX).value(feature("age", "")))


@pytest.mark.parametrize(("gender", "value"), [("female", 1.0), ("male", 0.0), ("other", None)])
def test_sex_is_administrative_gender(gender, value):
    found = view(patient(gender=gender), INDEX).value(feature("sex", ""))
    assert found == value or (value is None and math.isnan(found))


def test_value_above_its_cap_is_the_cap():
    labs = [lab(str(number), 1, 140) for number in range(9)]
    assert view(INDEX, *labs).value(feature("count", "lab.sodium", "stay", cap=5.0)) == 5.0
    assert view(INDEX, *labs).value(feature("count", "lab.sodium", "stay", cap=9.5)) == 9.0
    assert math.isnan(view(INDEX).value(feature("latest", "lab.sodium", "stay", cap=5.0)))


def test_kinds_of_record_that_do_not_count_are_passed_by():
    taken_home = order("h", 4, category=[concept(HL7 + "x", "discharge")])
    seen = view(INDEX, order("a", 1), order("b", 2), taken_home)
    drugs = "medication.loop_diuretic"
    assert seen.value(feature("count", drugs, "stay")) == 3.0
    home = feature("count", drugs, "stay", records=("discharge-prescription",))
    assert seen.value(home) == 1.0


def test_weights_are_added_once_a_concept():
    weights = {"charlson.congestive_heart_failure": 2.0, "charlson.dementia": 3.0}
    coded = [condition(str(n), "I50.9", stay="e") for n in range(3)]
    assert view(INDEX, *coded).value(feature("weighted", "", weights=weights)) == 2.0


def test_result_issued_after_the_moment_of_scoring_is_not_seen():
    late = lab("b", 2, 150, issued=clock(5))
    seen = view(INDEX, lab("a", 1, 140), late)
    assert seen.value(feature("latest", "lab.sodium", "stay")) == 140.0
    assert seen.value(feature("count", "kind:observation")) == 1.0


def test_earlier_stays_do_not_count_the_index_stay():
    before = [encounter("a", -90, -85), encounter("b", -40, -38), encounter("c", -39, -37)]
    seen = view(*before, INDEX)
    assert seen.value(feature("count", "stays.inpatient", "year_before")) == 2.0
    assert seen.value(feature("sum", "stays.inpatient", "year_before")) == 8.0
    assert seen.value(feature("days_since", "stays.inpatient", "year_before")) == 41.0
    assert seen.value(feature("count", "stays.inpatient", "six_months_before")) == 2.0


def test_emergency_visit_that_led_to_the_stay_is_no_earlier_visit():
    visits = [encounter("x", -9, -8.9, kind="EMER"), encounter("ed", -0.3, 0, kind="EMER")]
    seen = view(*visits, INDEX)
    assert seen.value(feature("count", "stays.emergency", "year_before")) == 1.0
    assert seen.value(feature("count", "stays.emergency", "ever")) == 1.0


def test_observation_stays_are_counted_as_stays():
    pieces = [encounter("o1", -9, -8, kind="OBSENC"), encounter("o2", -8, -7, kind="OBSENC")]
    assert view(*pieces, INDEX).value(feature("count", "stays.observation", "year_before")) == 1.0


def test_stay_under_way_elsewhere_has_no_length_yet():
    seen = view(encounter("a", -9, 30, kind="OBSENC"), INDEX)
    assert seen.value(feature("sum", "stays.observation", "year_before")) == 0.0


@pytest.mark.parametrize(
    ("name", "resources", "value"),
    [
        ("length_of_stay_days", [INDEX], 4.0),
        ("urgent", [INDEX | {"priority": urgency("EM")}], 1.0),
        ("urgent", [INDEX | {"priority": urgency("UR")}], 1.0),
        ("urgent", [INDEX | {"priority": urgency("EL")}], 0.0),
        ("urgent", [INDEX], None),
        ("urgent", [INDEX, encounter("ed", -0.3, 0, kind="EMER")], 1.0),
        ("from_emergency", [INDEX], 0.0),
        ("from_emergency", [INDEX, encounter("ed", -0.3, 0, kind="EMER")], 1.0),
        ("emergency_wait_hours", [INDEX], None),
        ("emergency_wait_hours", [INDEX, encounter("ed", -0.25, 0, kind="EMER")], 6.0),
        ("encounters_merged", [INDEX], 1.0),
        ("encounters_merged", [encounter("a", -3, -0.2), INDEX], 2.0),
        ("weekend_discharge", [INDEX], 0.0),
        ("discharge_hour", [INDEX], 0.0),
        ("disposition_home", [INDEX], None),
        ("disposition_home", [INDEX | {"hospitalization": left_for("home")}], 1.0),
        ("disposition_facility", [INDEX | {"hospitalization": left_for("snf")}], 1.0),
        ("disposition_home", [INDEX | {"hospitalization": left_for("snf")}], 0.0),
        ("oncology_service", [INDEX | {"serviceType": {"text": "Medical Oncology"}}], 1.0),
        ("oncology_service", [INDEX], 0.0),
        ("history_days", [patient(), INDEX], 0.0),
        ("history_days", [patient(), lab("a", -100), INDEX], 100.0),
    ],
)
def test_attribute_of_the_stay(name, resources, value):
    found = attribute(name, *resources)
    assert found == value or (value is None and math.isnan(found))


def test_weekend_and_hour_are_those_of_the_local_clock():
    period = {"start": "2024-03-01T08:00:00-08:00", "end": "2024-03-02T21:30:00-08:00"}
    stay = encounter("e", 0, 1, period=period)
    assert attribute("weekend_discharge", stay, day=9) == 1.0
    assert attribute("discharge_hour", stay, day=9) == 21.5


def test_where_the_patient_goes_is_unknown_before_the_discharge():
    stay = INDEX | {"hospitalization": left_for("home")}
    assert math.isnan(attribute("disposition_home", stay, day=3))
    assert attribute("length_of_stay_days", stay, day=3) == 3.0


def test_intensive_care_counts_only_within_the_stay():
    icu = {"class": {"code": "ACUTE"}}
    stay = INDEX | {
        "priority": urgency("UR"),
        "serviceType": {"text": "MED"},
        "location": [{}, {"location": {}}],
    }
    for start, value in ((1, 1.0), (-9, 0.0), (9, 0.0)):
        whole = timeline(stay, encounter("u", start, start + 1) | icu, profile="mimic")
        seen = View(whole, whole.stays[-1], moment(4))
        assert seen.value(feature("stay", "intensive_care")) == value


def test_moment_before_the_stay_is_refused():
    with pytest.raises(UnprocessableError, match="had not begun"):
        view(INDEX, day=-1)


def evidence(seen, measure, of="lab.sodium", **elements):
    return [e.source for e in seen.evidence(feature(measure, of, "stay", **elements))]


def test_evidence_is_the_records_behind_the_value():
    seen = view(
        encounter("e", 0, 9),
        lab("a", 1, 140),
        lab("b", 2, 130),
        lab("c", 3, 150),
        lab("d", 4, 9, unit="grains"),
        day=9,
    )
    assert evidence(seen, "latest") == ["Observation/c"]
    assert evidence(seen, "first") == ["Observation/a"]
    assert evidence(seen, "minimum") == ["Observation/b"]
    assert evidence(seen, "maximum") == ["Observation/c"]
    assert evidence(seen, "change") == ["Observation/c", "Observation/a"]
    assert evidence(seen, "mean") == ["Observation/c", "Observation/b", "Observation/a"]
    assert evidence(seen, "days_since") == ["Observation/d"]
    assert len(evidence(seen, "count")) == 4


@pytest.mark.parametrize("measure", ["latest", "minimum", "maximum", "mean", "change", "slope"])
def test_missing_value_has_no_evidence(measure):
    assert evidence(view(INDEX, lab("a", 1, 9, unit="grains")), measure) == []


def test_evidence_of_days_since_a_visit_is_the_one_that_ended_last():
    seen = view(encounter("a", -9, -1, kind="AMB"), encounter("b", -8, -7, kind="AMB"), INDEX)
    found = seen.evidence(feature("days_since", "stays.outpatient", "before"))
    assert [each.source for each in found] == ["Encounter/a"]
    assert seen.value(feature("days_since", "stays.outpatient", "before")) == 5.0


def test_evidence_of_weights_names_each_record():
    weights = {"charlson.congestive_heart_failure": 2.0, "charlson.dementia": 3.0}
    seen = view(INDEX, condition("a", "I50.9", stay="e"), procedure("p", 1))
    assert evidence(seen, "weighted", "", weights=weights) == ["Condition/a"]


def test_evidence_of_the_stay_is_its_encounters_and_of_age_the_patient():
    seen = view(patient(), encounter("ed", -0.3, 0, kind="EMER"), INDEX)
    assert evidence(seen, "stay", "urgent") == ["Encounter/e", "Encounter/ed"]
    assert evidence(seen, "age", "") == ["Patient/ada"]


def test_evidence_carries_value_unit_and_clock():
    (one,) = view(INDEX, lab("a", 1, 140)).evidence(feature("latest", "lab.sodium"))
    assert (one.value, one.unit, one.time, one.utc_offset) == (140.0, "mmol/L", moment(1), 0)
