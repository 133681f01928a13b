"""What is written is FHIR R4, tells one story, and covers what a hospital's records cover."""

import importlib
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from simulated_export import Hospital, when

TYPES = (
    "Patient",
    "Encounter",
    "Condition",
    "Observation",
    "MedicationRequest",
    "MedicationAdministration",
    "Medication",
    "Procedure",
    "Coverage",
    "Organization",
)


@pytest.mark.parametrize("kind", TYPES)
def test_a_sample_of_every_type_is_valid_r4(hospital: Hospital, kind: str) -> None:
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    records = [record for _, record in hospital.lines if record["resourceType"] == kind]
    shapes: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        shapes[(str(record.get("status")), *sorted(record))].append(record)
    sample = [record for alike in shapes.values() for record in alike[:25]]
    assert len(sample) >= (3 if kind == "Organization" else 10)
    for record in sample:
        model.model_validate(record)


def test_there_are_no_other_types(hospital: Hospital) -> None:
    assert {record["resourceType"] for _, record in hospital.lines} == {*TYPES}


def test_the_summary_counts_what_is_there(hospital: Hospital) -> None:
    assert len(hospital.lines) == hospital.summary.resources
    assert len(hospital.of_type("Patient")) == hospital.summary.patients
    assert len(hospital.truth) == hospital.summary.stays


def test_every_reference_leads_to_a_record(hospital: Hospital) -> None:
    there = {f"{kind}/{name}" for kind, name in hospital.current}
    dangling = Counter(
        reference.split("/")[0]
        for _, record in hospital.lines
        for reference in _references(record)
        if reference not in there and not reference.startswith("#")
    )
    assert dangling == {}


def _references(element: Any) -> list[str]:
    if isinstance(element, list):
        return [found for item in element for found in _references(item)]
    if isinstance(element, dict):
        own = [element["reference"]] if isinstance(element.get("reference"), str) else []
        return own + [found for item in element.values() for found in _references(item)]
    return []


def test_a_moment_has_the_offset_of_its_season(hospital: Hospital) -> None:
    offsets = {
        (start[5:7], start[-6:])
        for encounter in hospital.of_type("Encounter")
        if (start := encounter["period"]["start"])
    }
    assert {offset for month, offset in offsets if month in ("12", "01", "02")} == {"-05:00"}
    assert {offset for month, offset in offsets if month in ("06", "07", "08")} == {"-04:00"}


def test_stays_of_one_person_never_overlap_and_none_begins_after_death(hospital: Hospital) -> None:
    deaths = {
        patient["id"]: when(patient["deceasedDateTime"])
        for patient in hospital.of_type("Patient")
        if "deceasedDateTime" in patient
    }
    assert deaths
    periods = defaultdict(list)
    for encounter in hospital.of_type("Encounter"):
        period = encounter["period"]
        person = encounter["subject"]["reference"].split("/")[1]
        if "end" in period:
            periods[person].append((when(period["start"]), when(period["end"])))
    for person, spans in periods.items():
        spans.sort()
        for (_, end), (start, _) in pairwise(spans):
            assert start >= end
        for start, end in spans:
            assert start < end
            assert end <= deaths.get(person, end)


def test_an_emergency_visit_that_led_to_a_stay_ends_where_the_stay_begins(
    hospital: Hospital,
) -> None:
    encounters = {encounter["id"]: encounter for encounter in hospital.of_type("Encounter")}
    led = [e for e in encounters.values() if e["class"]["code"] == "EMER" and "partOf" in e]
    alone = [e for e in encounters.values() if e["class"]["code"] == "EMER" and "partOf" not in e]
    assert led
    assert alone
    for visit in led:
        stay = encounters[visit["partOf"]["reference"].split("/")[1]]
        assert stay["class"]["code"] == "IMP"
        assert stay["period"]["start"] == visit["period"]["end"]
        assert stay["subject"] == visit["subject"]


def test_a_newborn_is_a_patient_of_its_own_within_its_mothers_stay(hospital: Hospital) -> None:
    encounters = {encounter["id"]: encounter for encounter in hospital.of_type("Encounter")}
    newborns = [
        encounter
        for encounter in encounters.values()
        if encounter["class"]["code"] == "IMP" and "partOf" in encounter
    ]
    assert newborns
    for newborn in newborns:
        mother = encounters[newborn["partOf"]["reference"].split("/")[1]]
        assert mother["subject"] != newborn["subject"]
        assert when(mother["period"]["start"]) < when(newborn["period"]["start"])


def test_every_sort_of_encounter_and_ending_occurs(hospital: Hospital) -> None:
    encounters = hospital.of_type("Encounter")
    assert {e["class"]["code"] for e in encounters} == {"IMP", "EMER", "AMB", "OBSENC"}
    assert {row["exclusion"] for row in hospital.truth} >= {"", "died", "child", "obstetric"}
    endings = {
        (coding["system"].rpartition("/")[2], coding["code"])
        for e in encounters
        if e["class"]["code"] == "IMP"
        for coding in e["hospitalization"].get("dischargeDisposition", {}).get("coding", [])
    }
    assert endings >= {
        ("discharge-disposition", "home"),
        ("discharge-disposition", "snf"),
        ("discharge-disposition", "exp"),
        ("PatDischargeStatus", "06"),
        ("PatDischargeStatus", "03"),
    }
    assert any(row["encounters"].count(" ") for row in hospital.truth), "no transfer chain"
    assert any(int(row["planned"]) for row in hospital.truth)


def test_a_result_is_issued_after_its_blood_was_drawn(hospital: Hospital) -> None:
    issued = [o for o in hospital.of_type("Observation") if "issued" in o]
    assert issued
    assert all(when(o["effectiveDateTime"]) < when(o["issued"]) for o in issued)


def test_orders_name_their_medicine_in_all_three_ways(hospital: Hospital) -> None:
    orders = hospital.of_type("MedicationRequest")
    ways = Counter(
        "concept"
        if "medicationCodeableConcept" in order
        else "contained"
        if "contained" in order
        else "reference"
        for order in orders
    )
    assert ways["concept"] > ways["reference"] > ways["contained"] > 0
    categories = Counter(order["category"][0]["coding"][0]["code"] for order in orders)
    assert {*categories} == {"inpatient", "discharge"}


def test_the_volume_is_that_of_a_moderate_record(hospital: Hospital) -> None:
    assert 80 < hospital.summary.resources / hospital.summary.patients < 200
