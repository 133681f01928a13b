"""What goes into the store comes out of it, exactly and in order."""

import math
import random
import struct
import tempfile
from pathlib import Path
from typing import get_args

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_ward import ingest, shard_bytes, sodium, stored, version

from fhir_mappings.errors import StoreError
from fhir_mappings.events import DatedBy, Event, Kind
from fhir_mappings.store import StoreWriter, open_store, schema, shards
from fhir_mappings.store.schema import EVENT_COLUMNS

instants = st.integers(-(2**62), 2**62)
texts = st.text(max_size=12)
patients = st.sampled_from(["ada", "ben", "chloé", "d/4", " "])


@st.composite
def resources(draw: st.DrawFn) -> tuple[str, str, int, list[Event]]:
    subject, updated = draw(patients), draw(st.integers(0, 3))
    source = f"Observation/{draw(st.integers(0, 5))}-{subject}"
    event = st.builds(
        Event,
        subject=st.just(subject),
        time=st.none() | instants,
        end=st.none() | instants,
        known_at=st.none() | instants,
        kind=st.sampled_from(get_args(Kind)),
        code=texts,
        value=st.none() | st.floats(),
        unit=st.none() | texts,
        text=st.none() | texts,
        encounter=st.none() | texts,
        source=st.just(source),
        updated=st.just(updated),
        utc_offset=st.none() | st.integers(-840, 840),
        dated_by=st.sampled_from(get_args(DatedBy)),
    )
    return subject, source, updated, draw(st.lists(event, max_size=4))


def exactly(event: Event) -> tuple[object, ...]:
    """Tell -0.0 from 0.0 and one NaN from another, which == does not."""
    bits = None if event.value is None else struct.pack("<d", event.value)
    return (*event._replace(value=None), bits)


def latest(added: list[tuple[str, str, int, list[Event]]]) -> dict[str, set[tuple[object, ...]]]:
    """Say what must be stored, the slow way."""
    versions: dict[str, tuple[int, str, list[Event]]] = {}
    for subject, source, updated, events in added:
        if source not in versions or versions[source][0] <= updated:
            versions[source] = (updated, subject, events)
    expected: dict[str, set[tuple[object, ...]]] = {}
    for _, subject, events in versions.values():
        if events:
            expected.setdefault(subject, set()).update(map(exactly, events))
    return expected


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(resources(), max_size=8), st.integers(1, 3), st.integers(0, 8))
def test_every_field_of_every_event_comes_back_exactly(added, shard_count, second_ingest_from):
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        ingest(store, *added[:second_ingest_from], shards=shard_count)
        ingest(store, *added[second_ingest_from:], shards=shard_count)
        found = {
            subject: [exactly(event) for event in events]
            for subject, events in stored(store).items()
        }
        assert {subject: set(events) for subject, events in found.items()} == latest(added)
        assert all(len(set(events)) == len(events) for events in found.values())
        with open_store(store) as opened:
            assert sorted(opened.subjects()) == sorted(found)
            assert opened.patients() == len(found)
            for subject, events in found.items():
                assert [exactly(event) for event in opened.read_subject(subject)] == events


def test_a_patients_events_come_in_order_of_time_with_undated_ones_first(tmp_path):
    undated = sodium(number=9)._replace(time=None, known_at=None)
    late, early = sodium(number=1, day=5), sodium(number=2, day=1)
    ingest(tmp_path / "store", version(late), version(undated), version(early))
    assert stored(tmp_path / "store") == {"ada": [undated, early, late]}


def test_the_same_result_said_twice_in_one_resource_counts_once(tmp_path):
    ingest(tmp_path / "store", version(sodium(), sodium()))
    assert stored(tmp_path / "store") == {"ada": [sodium()]}


def test_a_value_that_32_bits_cannot_hold_is_kept_exactly(tmp_path):
    ingest(tmp_path / "store", version(sodium(value=1.1)), version(sodium(number=2, value=1e300)))
    assert {event.value for event in stored(tmp_path / "store")["ada"]} == {1.1, 1e300}
    with open_store(tmp_path / "store") as store:
        tables = list(store.tables(["numeric_value"]))
    assert sorted(v for t in tables for v in t.column(0).to_pylist()) == [
        pytest.approx(1.1, rel=1e-6),
        math.inf,
    ]


def test_the_columns_read_are_the_fields_of_an_event():
    renamed = {"encounter_id": "encounter", "text_value": "text"}
    assert tuple(renamed.get(name, name) for name in EVENT_COLUMNS) == Event._fields


def test_a_patient_is_never_split_between_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "ROW_GROUP", 10)
    results = [sodium(f"patient-{n % 7}", n, day=n) for n in range(200)]
    ingest(tmp_path / "store", *map(version, results), shards=2)
    with open_store(tmp_path / "store") as store:
        tables = list(store.tables(["subject"]))
        assert len(tables) > 3
        names = [name for table in tables for name in pc.unique(table.column(0)).to_pylist()]
        assert sorted(names) == sorted(store.subjects())
        expected = sorted(r for r in results if r.subject == "patient-3")
        assert sorted(store.read_subject("patient-3")) == expected
    assert sum(map(len, stored(tmp_path / "store").values())) == 200


def test_more_events_than_the_buffer_holds_are_all_stored(tmp_path, monkeypatch):
    monkeypatch.setattr("fhir_mappings.store.writer._BUFFER", 7)
    monkeypatch.setattr("fhir_mappings.store.spool._BATCH", 20)
    results = [sodium(f"patient-{n % 5}", n, day=n) for n in range(100)]
    ingest(tmp_path / "store", *map(version, results))
    assert sorted(e for events in stored(tmp_path / "store").values() for e in events) == sorted(
        results
    )


def test_patients_are_spread_the_same_way_on_every_machine():
    assert schema.subject_id("ada") == 9148818030126345199


def test_two_patients_of_the_same_number_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "subject_id", lambda subject: 7)
    with pytest.raises(StoreError, match="collide") as refused:
        ingest(tmp_path / "store", version(sodium("ada")), version(sodium("ben")))
    assert "ada" not in str(refused.value)


def test_a_collision_with_a_patient_stored_earlier_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "subject_id", lambda subject: 7)
    ingest(tmp_path / "store", version(sodium("ada")))
    with pytest.raises(StoreError, match="collide"):
        ingest(tmp_path / "store", version(sodium("ben")))
    assert set(stored(tmp_path / "store")) == {"ada"}


def test_events_of_another_version_than_said_are_a_mistake_of_the_program(tmp_path):
    with StoreWriter(tmp_path / "store") as writer:
        for subject, source, updated in (
            ("ben", sodium().source, 1),
            ("ada", "Observation/other", 1),
            ("ada", sodium().source, 2),
        ):
            with pytest.raises(ValueError, match="this version"):
                writer.add(subject, source, updated, [sodium()])
        nobody = sodium("")
        with pytest.raises(ValueError, match="patient"):
            writer.add("", nobody.source, 1, [nobody])


def test_an_unknown_patient_has_no_events(tmp_path):
    ingest(tmp_path / "store", version(sodium()))
    with open_store(tmp_path / "store") as store:
        assert store.read_subject("nobody") == []


def test_the_store_of_an_empty_export_is_empty_and_readable(tmp_path):
    summary = ingest(tmp_path / "store")
    assert (summary.events, summary.patients) == (0, 0)
    assert stored(tmp_path / "store") == {}


def test_there_is_no_shard_beyond_the_last(tmp_path):
    ingest(tmp_path / "store", shards=4)
    with open_store(tmp_path / "store") as store:
        for shard in (-1, 4):
            with pytest.raises(IndexError):
                next(store.read_shard(shard))


def test_rows_are_sorted_by_patient_time_known_at_code_source_value(tmp_path):
    results = [
        sodium("ada", n % 3, day=n % 2)._replace(code=f"LOINC|{n % 4}", value=float(-n))
        for n in range(24)
    ]
    by_source = [[r for r in results if r.source == s] for s in {r.source for r in results}]
    ingest(tmp_path / "store", *(version(*group) for group in by_source))
    found = stored(tmp_path / "store")["ada"]
    assert len(found) == 24
    assert found == sorted(found, key=lambda e: (e.time, e.known_at, e.code, e.source, e.value))


def test_order_of_adding_never_matters(tmp_path):
    versions = [
        version(sodium(f"patient-{n % 5}", n % 20, value=float(n), updated=n)) for n in range(60)
    ]
    random.Random(1).shuffle(versions)
    ingest(tmp_path / "one", *versions)
    ingest(tmp_path / "other", *reversed(versions))
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "other")
    assert len(stored(tmp_path / "one")) == 5


def test_one_export_in_two_parts_is_as_good_as_in_one(tmp_path):
    versions = [
        version(sodium(f"patient-{n % 5}", n % 20, value=float(n), updated=n)) for n in range(60)
    ]
    ingest(tmp_path / "one", *versions)
    ingest(tmp_path / "other", *versions[30:])
    ingest(tmp_path / "other", *versions[:30])
    assert shard_bytes(tmp_path / "one") == shard_bytes(tmp_path / "other")


def test_shards_can_be_read_by_any_parquet_reader(tmp_path):
    ingest(tmp_path / "store", version(sodium()), shards=1)
    table = pq.read_table(tmp_path / "store" / "current" / "data" / "0000.parquet")
    assert table.column("code").to_pylist() == ["LOINC|2951-2"]
