"""A patient's timeline: one order, codes grouped by concept, values in one unit."""

from records import concept, condition, encounter, lab, moment, order, patient, timeline

from fhir_mappings.concepts import load_concepts
from fhir_mappings.profiles import load_profile
from fhir_mappings.timeline import Timeline


def values(series):
    return [event.value for event in series.events]


def test_events_are_in_the_order_of_time_and_undated_ones_left_out():
    found = timeline(lab("b", 2), lab("a", 1), lab("c", 0, effectiveDateTime=None))
    assert [event.source for event in found.events] == ["Observation/a", "Observation/b"]


def test_order_does_not_depend_on_the_order_of_the_input():
    one = timeline(
        patient(), lab("b", 1, 150), lab("a", 1, 150), order("m", 1), encounter("e", 1, 2)
    )
    again = Timeline("ada", reversed(one.events), load_concepts(), load_profile("default"))
    assert again.events == one.events


def test_birth_and_death_are_the_patients():
    found = timeline(patient(birthDate="2024-03-01", deceasedDateTime="2024-03-05T00:00:00Z"))
    assert (found.birth, found.death) == (moment(0), moment(4))
    assert (timeline(lab("a", 0)).birth, timeline(lab("a", 0)).death) == (None, None)


def test_concept_gathers_its_codes_in_the_order_of_time():
    found = timeline(lab("b", 2, 150, loinc="2947-0"), lab("a", 1, 140, loinc="2951-2"))
    assert values(found.series("lab.sodium")) == [140.0, 150.0]


def test_values_come_in_the_canonical_unit():
    found = timeline(
        lab("a", 0, 1.0, loinc="2160-0", unit="mg/dL"),
        lab("b", 1, 88.4, loinc="2160-0", unit="umol/L"),
    )
    series = found.series("lab.creatinine")
    assert {event.unit for event in series.events} == {"mg/dL"}
    first, second = values(series)
    assert first == 1.0
    assert abs(second - 1.0) < 0.01


def test_value_in_an_unknown_unit_is_missing_and_never_guessed():
    strange = [lab("a", 0, 140, unit="grains"), lab("b", 1, 141, unit=""), lab("c", 2, 142)]
    assert values(timeline(*strange).series("lab.sodium")) == [None, None, 142.0]


def test_record_with_several_codings_of_a_concept_is_one_fact():
    both = {
        "coding": [
            {"system": "http://loinc.org", "code": "2951-2"},
            {"system": "http://loinc.org", "code": "2947-0"},
        ]
    }
    found = timeline(lab("a", 0, code=both))
    assert len(found.series("lab.sodium").events) == 1
    assert len(found.series("kind:observation").events) == 2


def test_family_is_the_union_of_its_concepts():
    found = timeline(
        condition("a", "I50.9", recordedDate="2024-03-01T00:00:00Z"),
        condition("b", "I21.9", recordedDate="2024-03-02T00:00:00Z"),
        condition("c", "Z00.0", recordedDate="2024-03-03T00:00:00Z"),
    )
    sources = [event.source for event in found.series("charlson.*").events]
    assert sources == ["Condition/a", "Condition/b"]


def test_joined_concepts_are_in_the_order_of_time_and_counted_once():
    found = timeline(lab("b", 2, 4.0, loinc="2823-3"), lab("a", 1))
    sources = [e.source for e in found.series("lab.sodium + lab.potassium + lab.sodium").events]
    assert sources == ["Observation/a", "Observation/b"]


def test_code_is_found_without_a_concept():
    strange = lab("a", 0, code=concept("urn:ward", "X"))
    assert len(timeline(strange).series("code:urn:ward|X").events) == 1
    assert timeline(strange).series("code:urn:ward|Y").events == []


def test_series_is_cut_with_both_bounds_spelled_out():
    series = timeline(*(lab(str(day), day, 140 + day) for day in range(5))).series("lab.sodium")

    def days(start, end, **how):
        cut = series.between(moment(start), moment(end), **{"known_by": moment(9)} | how)
        return [event.value - 140 for event in cut]

    assert days(1, 3, end_included=True) == [1, 2, 3]
    assert days(1, 3, end_included=False) == [1, 2]
    assert days(0, 9, end_included=True, known_by=moment(2)) == [0, 1, 2]
    assert days(7, 9, end_included=True) == []
