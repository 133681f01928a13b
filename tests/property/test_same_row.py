"""One patient, one row: whatever the order of the records and whichever way they came in."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import made_up
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from records import bundle, bundle_timeline, moment, ndjson, store_timeline, written
from samples import SAMPLES, sample_timeline

from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile


def through_the_store(files, subject="ada", profile="default", shards=2):
    """A patient after an ingest of files with these contents."""
    with TemporaryDirectory() as folder:
        sources = [
            written(Path(folder) / "export" / f"{number}.ndjson", content)
            for number, content in enumerate(files)
        ]
        store = Path(folder) / "store"
        summary = ingest(sources, store, load_profile(profile), shards=shards)
        assert summary.rejected == 0
        return store_timeline(store, subject, profile)


@settings(max_examples=150, deadline=None)
@given(made_up.records(), st.integers(0, 2**32))
def test_order_of_the_entries_of_a_bundle_does_not_matter(resources, seed):
    again = made_up.shuffled(resources, seed)
    assert made_up.row_of(again) == made_up.row_of(resources)


@settings(max_examples=100, deadline=None)
@given(made_up.records(), st.integers(0, 2**32))
def test_exact_duplicates_do_not_matter(resources, seed):
    twice = made_up.shuffled(resources + resources, seed)
    assert made_up.row_of(twice) == made_up.row_of(resources)


@settings(max_examples=25, deadline=None)
@given(made_up.records(), st.integers(0, 2**32))
def test_lines_bundle_and_store_give_the_same_events_and_the_same_row(resources, seed):
    wanted = bundle_timeline(bundle(*resources))
    half = len(resources) // 2
    again = made_up.shuffled(resources, seed)
    ways = {
        "lines": [ndjson(*resources)],
        "lines of two files in another order": [ndjson(*again[:half]), ndjson(*again[half:])],
        "bundle": [bundle(*resources)],
        "pretty bundle": [json.dumps(json.loads(bundle(*again)), indent=1).encode()],
    }
    for way, files in ways.items():
        found = through_the_store(files)
        assert found.events == wanted.events, way
        assert made_up.row(found, moment(4)) == made_up.row(wanted, moment(4)), way


@settings(max_examples=15, deadline=None)
@given(made_up.records(), st.integers(1, 14))
def test_export_in_two_parts_gives_the_row_of_the_whole(resources, cut):
    with TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        for number, part in enumerate((resources[cut:], resources[:cut])):
            source = written(Path(folder) / f"{number}.ndjson", ndjson(*part))
            ingest([source], store, load_profile("default"), shards=2)
        found = store_timeline(store, "ada")
    assert found.events == bundle_timeline(bundle(*resources)).events


@pytest.mark.records
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_records_beside_the_project_give_one_row_by_every_way(sample):
    rows = 0
    for subject in sample.patients():
        wanted = sample_timeline(sample, subject)
        lines = b"".join(line + b"\n" for line in sample.lines(subject))
        for way in ([lines], [sample.bundle(subject)]):
            found = through_the_store(way, subject, sample.profile)
            assert found.events == wanted.events
            for stay in wanted.stays:
                as_of = stay.end if stay.end is not None else stay.start
                assert made_up.row(found, as_of, stay) == made_up.row(wanted, as_of, stay)
                rows += 1
    assert rows > 4
