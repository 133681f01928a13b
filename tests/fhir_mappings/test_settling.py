"""Settling: the same rule for a Bundle in memory and for a shard of the store."""

import msgspec
import pyarrow as pa
import pytest
from records import bundle, condition, encounter, lab, moment, procedure

from fhir_mappings.profiles import CodingRules, load_profile
from fhir_mappings.reading import map_record, read_bundle
from fhir_mappings.records.bundles import unbundle
from fhir_mappings.settling import settle, settle_table
from fhir_mappings.sources.reading import Reading
from fhir_mappings.store.schema import events_of, table_of

DEFAULT = load_profile("default")
BILLED = msgspec.structs.replace(DEFAULT, coding=CodingRules("after-discharge", 4))


def unsettled(*resources):
    """Events as the records say it, before any settling."""

    reading = Reading(DEFAULT)
    found = unbundle(bundle(*resources)).records
    return [event for record in found for event in map_record(record, reading).events]


WARD = (
    encounter("e", 0, 4),
    encounter("open", 10, None),
    condition("c1", stay="e"),
    condition("c2", stay="e", recordedDate="2024-03-02T08:00:00Z"),
    condition("c3", stay="e", recordedDate="2024-03-09"),
    condition("c4", stay="open"),
    condition("c5", stay="absent"),
    condition("c6", stay="absent", recordedDate="2024-03-09"),
    condition("c7"),
    procedure("p1", 1, encounter={"reference": "Encounter/e"}),
    procedure("p2", 1, performedDateTime=None, encounter={"reference": "Encounter/e"}),
    lab("l1", 1, effectiveDateTime=None, encounter={"reference": "Encounter/e"}),
    lab("l2", 1, effectiveDateTime=None),
)


@pytest.mark.parametrize("profile", [DEFAULT, BILLED], ids=["recorded", "billed"])
def test_table_and_list_are_settled_alike(profile):
    events = unsettled(*WARD)
    table = settle_table(table_of(events), profile)
    assert list(events_of(table)) == settle(events, profile)


@pytest.mark.parametrize("profile", [DEFAULT, BILLED], ids=["recorded", "billed"])
def test_settling_twice_changes_nothing(profile):
    once = settle(unsettled(*WARD), profile)
    assert settle(once, profile) == once
    assert settle_table(table_of(once), profile).equals(table_of(once))


def test_nothing_to_settle_is_passed_on_as_it_is():
    table = table_of(unsettled(lab("a", 0)))
    assert settle_table(table, DEFAULT) is table


def test_dictionary_columns_are_settled_too():
    events = unsettled(*WARD)
    table = table_of(events)
    for name in ("kind", "code", "encounter_id", "dated_by"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, table.column(name).dictionary_encode())
    assert list(events_of(settle_table(table, DEFAULT))) == settle(events, DEFAULT)
    assert pa.types.is_timestamp(settle_table(table, DEFAULT).column("time").type)


def test_encounter_of_another_patient_dates_nothing():
    mothers = unsettled(encounter("e", 0, 4, who="eve"))
    childs = unsettled(condition("c", stay="e", who="abel"))
    (settled,) = [
        event
        for event in events_of(settle_table(table_of(mothers + childs), DEFAULT))
        if event.kind == "diagnosis"
    ]
    assert settled.time is None


def test_two_patients_may_have_encounters_of_one_id():
    events = unsettled(encounter("e", 0, 4, who="eve"), condition("c", stay="e", who="eve"))
    others = unsettled(encounter("e", 0, 9, who="abel"), condition("d", stay="e", who="abel"))
    settled = list(events_of(settle_table(table_of(events + others), DEFAULT)))
    times = {event.source: event.time for event in settled if event.kind == "diagnosis"}
    assert times == {"Condition/c": moment(4), "Condition/d": moment(9)}


def test_billing_codes_are_known_days_after_the_discharge_whatever_the_record_says():
    read = read_bundle(bundle(*WARD), BILLED)
    known = {event.source: event.known_at for event in read.events}
    assert known["Condition/c1"] == known["Condition/c2"] == moment(8)
    assert known["Condition/c4"] is None
    assert known["Observation/l1"] == moment(0)


def test_procedure_in_a_billing_system_is_known_late_and_another_at_once():
    icd = {"coding": [{"system": "http://www.cms.gov/Medicare/Coding/ICD10", "code": "0FB44ZX"}]}
    stay = {"encounter": {"reference": "Encounter/e"}}
    billed = procedure("p1", 1, code=icd, **stay)
    read = read_bundle(bundle(encounter("e", 0, 4), billed, procedure("p2", 1, **stay)), BILLED)
    known = {event.source: (event.time, event.known_at) for event in read.events}
    assert known["Procedure/p1"] == (moment(1), moment(8))
    assert known["Procedure/p2"] == (moment(1), moment(1))
