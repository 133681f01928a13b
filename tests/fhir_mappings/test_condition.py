"""Condition: what it is, when it was, and when it was known."""

import pytest
from records import bundle, concept, condition, encounter, events, moment, problem, timeline

from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import read_bundle

VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"


def diagnosis(*resources):
    """The one diagnosis among settled events, undated ones included."""
    found = read_bundle(bundle(*resources), load_profile("default")).events
    (one,) = [event for event in found if event.kind in ("diagnosis", "problem")]
    return one


@pytest.mark.parametrize("status", ["entered-in-error", "refuted"])
def test_condition_that_is_not_leaves_nothing(status):
    assert events(condition("c", verificationStatus=concept(VERIFICATION, status))) == []


@pytest.mark.parametrize("status", ["confirmed", "provisional", "differential", "unconfirmed"])
def test_condition_that_is_or_may_be_counts(status):
    assert len(events(condition("c", verificationStatus=concept(VERIFICATION, status)))) == 1


def test_problem_of_the_list_is_known_when_it_was_written_down():
    one = diagnosis(problem("c", "I50.9", "2024-03-02T10:00:00Z"))
    assert (one.kind, one.time, one.known_at) == ("problem", moment(1, 10), moment(1, 10))


def test_problem_noted_in_an_encounter_is_not_dated_by_its_end():
    noted = problem("c", "I50.9", "2024-03-02") | {"encounter": {"reference": "Encounter/e"}}
    one = diagnosis(encounter("e", 0, 9), noted)
    assert (one.time, one.known_at) == (moment(1), moment(2) - 1)


def test_diagnosis_without_a_date_is_known_at_the_discharge():
    one = diagnosis(encounter("e", 0, 3.5), condition("c", stay="e"))
    assert (one.time, one.known_at) == (moment(3.5), moment(3.5))


@pytest.mark.parametrize(
    ("recorded", "day", "known"),
    [
        ("2024-03-02", 1, moment(2) - 1),
        ("2024-03-03", 2, moment(3) - 1),
        ("2024-03-04", 3, moment(3.5)),
        ("2024-03-05", 4, moment(5) - 1),
    ],
)
def test_diagnosis_recorded_on_a_day_is_known_when_that_day_or_the_stay_is_over(
    recorded, day, known
):
    one = diagnosis(encounter("e", 0, 3.5), condition("c", stay="e", recordedDate=recorded))
    assert (one.time, one.known_at) == (moment(day), known)


@pytest.mark.parametrize("end", [None, 3.5, 9])
def test_when_a_stay_will_end_does_not_tell_when_a_diagnosis_was_known(end):
    """Else a score half-way through the stay would change with what comes later."""
    one = diagnosis(encounter("e", 0, end), condition("c", stay="e", recordedDate="2024-03-02"))
    assert (one.time, one.known_at) == (moment(1), moment(2) - 1)


def test_diagnosis_recorded_with_a_clock_is_known_then():
    record = condition("c", stay="e", recordedDate="2024-03-02T10:00:00Z")
    one = diagnosis(encounter("e", 0, 3), record)
    assert (one.time, one.known_at, one.dated_by) == (moment(1, 10), moment(1, 10), "record")


def test_diagnosis_of_an_encounter_under_way_keeps_its_own_dates():
    record = condition("c", stay="e", recordedDate="2024-03-02")
    one = diagnosis(encounter("e", 0, None), record)
    assert (one.time, one.known_at) == (moment(1), moment(2) - 1)


def test_undated_diagnosis_of_an_encounter_under_way_is_undated():
    one = diagnosis(encounter("e", 0, None), condition("c", stay="e"))
    assert (one.time, one.known_at) == (None, None)


def test_onset_is_when_it_happened_and_recording_is_when_it_was_known():
    dates = {"onsetDateTime": "2024-02-20", "recordedDate": "2024-03-02T10:00:00Z"}
    one = diagnosis(condition("c", **dates))
    assert (one.time, one.known_at) == (moment(-10), moment(1, 10))


def test_onset_of_a_period_is_its_start():
    record = condition("c", onsetPeriod={"start": "2024-03-02"}, abatementDateTime="2024-03-04")
    one = diagnosis(record)
    assert (one.time, one.end) == (moment(1), moment(3))


def test_onset_after_the_recording_is_taken_at_the_recording():
    dates = {"onsetDateTime": "2024-03-09", "recordedDate": "2024-03-02T10:00:00Z"}
    assert diagnosis(condition("c", **dates)).time == moment(1, 10)


def test_every_coding_is_an_event_of_one_source():
    codes = concept("http://snomed.info/sct", "84114007")
    codes["coding"].append({"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I50.9"})
    found = events(condition("c", code=codes))
    assert [event.code for event in found] == ["SNOMED|84114007", "ICD10CM|I509"]
    assert {event.source for event in found} == {"Condition/c"}


def test_condition_without_code_or_patient_leaves_nothing():
    assert events(condition("c", code=None)) == []
    assert events(condition("c", subject={"display": "somebody"})) == []


def test_undated_condition_is_on_no_timeline():
    assert timeline(condition("c")).events == []
