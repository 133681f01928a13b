"""Corrections, withdrawals and repeated exports: of every record the latest version counts."""

import itertools

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from store_ward import NOON, ingest, order, shard_bytes, sodium, stored, version, withdrawn

from fhir_mappings.errors import StoreError
from fhir_mappings.store import open_store


def test_storing_the_same_export_again_changes_nothing(tmp_path):
    export = [version(sodium(f"patient-{n % 5}", n, value=n / 7)) for n in range(40)]
    ingest(tmp_path / "store", *export)
    before = shard_bytes(tmp_path / "store")
    summary = ingest(tmp_path / "store", *export)
    assert shard_bytes(tmp_path / "store") == before
    assert (summary.events, summary.patients, summary.resources_replaced) == (40, 5, 0)


def test_a_corrected_laboratory_result_replaces_the_first(tmp_path):
    ingest(tmp_path / "store", version(sodium(value=104.0, updated=1)), version(sodium(number=2)))
    corrected = sodium(value=140.0, updated=2)
    summary = ingest(tmp_path / "store", version(corrected))
    assert sorted(stored(tmp_path / "store")["ada"]) == sorted([corrected, sodium(number=2)])
    assert summary.resources_replaced == 1


def test_an_older_version_that_arrives_late_does_not_undo_a_correction(tmp_path):
    corrected = sodium(value=140.0, updated=2)
    ingest(tmp_path / "store", version(corrected))
    ingest(tmp_path / "store", version(sodium(value=104.0, updated=1)))
    assert stored(tmp_path / "store") == {"ada": [corrected]}


def test_without_last_updated_the_version_added_last_counts(tmp_path):
    first, second, third = (sodium(value=v, updated=0) for v in (1.0, 2.0, 3.0))
    ingest(tmp_path / "store", version(first), version(second))
    assert stored(tmp_path / "store") == {"ada": [second]}
    ingest(tmp_path / "store", version(third))
    assert stored(tmp_path / "store") == {"ada": [third]}


def test_a_panel_that_lost_a_component_loses_its_event(tmp_path):
    chloride = sodium()._replace(code="LOINC|2075-0", value=101.0)
    ingest(tmp_path / "store", version(sodium(), chloride))
    later = sodium(updated=2)
    ingest(tmp_path / "store", version(later))
    assert stored(tmp_path / "store") == {"ada": [later]}


def test_a_result_entered_in_error_goes_and_stays_away(tmp_path):
    wrong, right = sodium(updated=1), sodium(number=2)
    ingest(tmp_path / "store", version(wrong), version(right))
    summary = ingest(tmp_path / "store", withdrawn(wrong, updated=2))
    assert stored(tmp_path / "store") == {"ada": [right]}
    assert summary.tombstones == 1
    summary = ingest(tmp_path / "store", version(wrong))
    assert stored(tmp_path / "store") == {"ada": [right]}
    assert summary.tombstones == 1


def test_a_withdrawal_that_arrives_before_the_result_still_holds(tmp_path):
    ingest(tmp_path / "store", withdrawn(sodium(), updated=2))
    ingest(tmp_path / "store", version(sodium(updated=1)))
    assert stored(tmp_path / "store") == {}


def test_a_result_reinstated_after_its_withdrawal_counts_again(tmp_path):
    ingest(tmp_path / "store", version(sodium(updated=1)))
    ingest(tmp_path / "store", withdrawn(sodium(), updated=2))
    again = sodium(updated=3)
    summary = ingest(tmp_path / "store", version(again))
    assert stored(tmp_path / "store") == {"ada": [again]}
    assert summary.tombstones == 0


def test_a_withdrawal_that_names_no_patient_finds_the_result(tmp_path):
    everyone = [sodium(f"patient-{n}", updated=1) for n in range(6)]
    ingest(tmp_path / "store", *map(version, everyone))
    summary = ingest(tmp_path / "store", withdrawn(everyone[4], updated=2, subject=""))
    assert sorted(stored(tmp_path / "store")) == [f"patient-{n}" for n in (0, 1, 2, 3, 5)]
    assert summary.tombstones == 1
    ingest(tmp_path / "store", version(everyone[4]))
    assert "patient-4" not in stored(tmp_path / "store")


def test_a_patient_of_whom_everything_was_withdrawn_is_no_patient_of_the_store(tmp_path):
    ingest(tmp_path / "store", version(sodium("ada")), version(sodium("ben")))
    summary = ingest(tmp_path / "store", withdrawn(sodium("ada"), updated=2))
    assert summary.patients == 1
    with open_store(tmp_path / "store") as store:
        assert store.subjects() == ["ben"]


def test_versions_in_any_order_and_any_number_of_exports_end_alike(tmp_path):
    versions = [
        version(sodium(value=1.0, updated=1)),
        withdrawn(sodium(), updated=2),
        version(sodium(value=3.0, updated=3)),
        withdrawn(sodium(), updated=4, subject=""),
    ]
    ends = set()
    for number, one_order in enumerate(itertools.permutations(versions)):
        store = tmp_path / str(number)
        ingest(store, *one_order[:2], shards=2)
        ingest(store, *one_order[2:], shards=2)
        ends.add(tuple(shard_bytes(store)))
        assert stored(store) == {}
    assert len(ends) == 1


def test_shards_without_news_are_passed_on_unchanged(tmp_path):
    ingest(tmp_path / "store", *(version(sodium(f"patient-{n}")) for n in range(20)), shards=8)
    data = tmp_path / "store" / "current" / "data"
    before = {path.name: path.stat().st_ino for path in data.iterdir()}
    summary = ingest(tmp_path / "store", version(sodium("patient-3", number=2)), shards=8)
    after = {path.name: path.stat().st_ino for path in data.iterdir()}
    assert sum(before[name] == after[name] for name in before) == 7
    assert (summary.events, summary.patients) == (21, 20)
    with open_store(tmp_path / "store") as store:
        assert len(store.subjects()) == 20
        assert store.information.ingests == 2


def test_the_number_of_shards_of_a_store_is_fixed(tmp_path):
    ingest(tmp_path / "store", shards=4)
    with pytest.raises(StoreError, match="4 shards"):
        ingest(tmp_path / "store", shards=5)


# Medications


def test_a_drug_is_resolved_whether_its_medication_comes_before_or_after(tmp_path):
    known, unknown = order("Medication/7"), order("Medication/8", number=2)
    furosemide = ("Medication/7", ["RXNORM|4603", "ATC|C03CA01"], 1)
    ingest(tmp_path / "one", version(known), version(unknown), medications=[furosemide])
    ingest(tmp_path / "other", medications=[furosemide])
    ingest(tmp_path / "other", version(unknown), version(known))
    ingest(tmp_path / "third", version(unknown), version(known))
    ingest(tmp_path / "third", medications=[furosemide])
    for name in ("one", "other", "third"):
        assert sorted(stored(tmp_path / name)["ada"]) == sorted(
            [known._replace(code="RXNORM|4603"), known._replace(code="ATC|C03CA01"), unknown]
        )
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "other")
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "third")


def test_a_medication_with_new_codes_changes_the_orders_that_refer_to_it(tmp_path):
    ingest(
        tmp_path / "store",
        version(order("Medication/7")),
        medications=[("Medication/7", ["RXNORM|1", "RXNORM|2"], 1)],
    )
    ingest(tmp_path / "store", medications=[("Medication/7", ["RXNORM|4603"], 2)])
    assert stored(tmp_path / "store") == {"ada": [order("RXNORM|4603")]}
    ingest(tmp_path / "store", medications=[("Medication/7", ["RXNORM|1"], 1)])
    assert stored(tmp_path / "store") == {"ada": [order("RXNORM|4603")]}
    ingest(tmp_path / "store", medications=[("Medication/7", [], 3)])
    assert stored(tmp_path / "store") == {"ada": [order("Medication/7")]}


def test_the_formulary_outlives_ingests_that_do_not_mention_it(tmp_path):
    ingest(tmp_path / "store", medications=[("Medication/7", ["RXNORM|4603"], 1)])
    ingest(tmp_path / "store", version(sodium("ben")))
    ingest(tmp_path / "store", version(order("Medication/7")))
    assert stored(tmp_path / "store")["ada"] == [order("RXNORM|4603")]


# Settling: events dated by their encounter


def dated_by_encounter(table):
    """Give undated rows the noon; a rule that the lead of the ingest would bring."""
    at = table.schema.get_field_index("time")
    noon = pa.scalar(NOON, pa.timestamp("us"))
    return table.set_column(at, "time", pc.fill_null(table.column("time"), noon))


def without_unit(table):
    return table.filter(pc.is_valid(table.column("unit")))


def test_events_dated_by_their_encounter_are_stored_with_its_date_in_order(tmp_path):
    undated = sodium(number=1)._replace(time=None, dated_by="encounter-end")
    earlier = sodium(number=2, day=-1)
    ingest(tmp_path / "store", version(undated), version(earlier), settle=dated_by_encounter)
    assert stored(tmp_path / "store") == {"ada": [earlier, undated._replace(time=NOON)]}


def test_settling_again_starts_from_what_the_record_said(tmp_path):
    undated = sodium()._replace(time=None, dated_by="encounter-end")
    ingest(tmp_path / "store", version(undated), settle=dated_by_encounter)
    seen = []

    def look(table):
        seen.extend(table.column("time").to_pylist())
        return table

    ingest(tmp_path / "store", version(sodium("ada", 2)._replace(time=None)), settle=look)
    assert seen.count(None) == 2
    assert [event.time for event in stored(tmp_path / "store")["ada"]] == [None, None]


def test_an_event_that_settling_dropped_returns_when_the_rule_no_longer_drops_it(tmp_path):
    unitless = sodium()._replace(unit=None)
    ingest(tmp_path / "store", version(unitless), settle=without_unit, rules="1")
    assert stored(tmp_path / "store") == {}
    ingest(tmp_path / "store", rules="2")
    assert stored(tmp_path / "store") == {"ada": [unitless]}


def test_an_older_version_does_not_return_because_settling_dropped_the_newer(tmp_path):
    ingest(tmp_path / "store", version(sodium(updated=2)._replace(unit=None)), settle=without_unit)
    ingest(tmp_path / "store", version(sodium(updated=1)), settle=without_unit)
    assert stored(tmp_path / "store") == {}


def test_new_rules_settle_every_shard_and_the_same_rules_none(tmp_path):
    results = [version(sodium(f"patient-{n}")._replace(time=None)) for n in range(8)]
    ingest(tmp_path / "store", *results, rules="1")
    ingest(tmp_path / "store", settle=dated_by_encounter, rules="1")
    assert {e.time for events in stored(tmp_path / "store").values() for e in events} == {None}
    ingest(tmp_path / "store", settle=dated_by_encounter, rules="2")
    assert {e.time for events in stored(tmp_path / "store").values() for e in events} == {NOON}


def test_settled_shards_are_the_same_in_one_ingest_or_in_two(tmp_path):
    results = [
        version(sodium(f"patient-{n % 3}", n)._replace(time=None if n % 2 else NOON + n))
        for n in range(30)
    ]
    ingest(tmp_path / "one", *results, settle=dated_by_encounter)
    ingest(tmp_path / "two", *results[20:], settle=dated_by_encounter)
    ingest(tmp_path / "two", *results[:20], settle=dated_by_encounter)
    ingest(tmp_path / "two", *results, settle=dated_by_encounter)
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "two")


def test_settling_may_not_lose_a_column(tmp_path):
    with pytest.raises(ValueError, match="columns"):
        ingest(tmp_path / "s", version(sodium()), settle=lambda table: table.drop_columns("unit"))
