"""A result filed under the wrong patient and corrected: only the right patient keeps it."""

import itertools

import pytest
from store_ward import ingest, shard_bytes, sodium, stored, version, withdrawn

from fhir_mappings.store.schema import subject_id

SHARDS = 4
ADA, BOB = "ada", "bob"
ELSEWHERE = next(
    name
    for name in (f"carol-{n}" for n in itertools.count())
    if subject_id(name) % SHARDS not in {subject_id(ADA) % SHARDS, subject_id(BOB) % SHARDS}
)


def filed(patient, updated=1, value=140.0):
    """One and the same result, filed under a patient."""
    return sodium(patient, value=value, updated=updated)._replace(source="Observation/a")


def test_the_two_patients_lie_in_different_shards():
    assert subject_id(ADA) % SHARDS != subject_id(BOB) % SHARDS


@pytest.fixture(params=["few resources", "many resources"], autouse=True)
def resources(request, monkeypatch):
    """Few resources are looked for by name, many by hash; the answer must be the same."""
    if request.param == "many resources":
        monkeypatch.setattr("fhir_mappings.store.reassignment._FEW", 0)


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("late", [True, False])
def test_a_result_corrected_to_another_patient_leaves_the_first(tmp_path, together, late):
    wrong, right = version(filed(ADA, 1)), version(filed(BOB, 2))
    both = [right, wrong] if late else [wrong, right]
    exports = [both] if together else [[one] for one in both]
    summaries = [ingest(tmp_path / "store", *export, shards=SHARDS) for export in exports]
    assert stored(tmp_path / "store") == {BOB: [filed(BOB, 2)]}
    assert (summaries[-1].events, summaries[-1].patients) == (1, 1)
    assert summaries[-1].resources_replaced == 1


@pytest.mark.parametrize("together", [True, False])
def test_without_last_updated_the_patient_named_last_keeps_the_result(tmp_path, together):
    wrong, right = version(filed(ADA, 0)), version(filed(BOB, 0))
    for export in [[wrong, right]] if together else [[wrong], [right]]:
        ingest(tmp_path / "store", *export, shards=SHARDS)
    assert stored(tmp_path / "store") == {BOB: [filed(BOB, 0)]}


def test_the_wrong_patient_does_not_get_it_back_when_the_old_export_is_read_again(tmp_path):
    ingest(tmp_path / "store", version(filed(ADA, 1)), version(filed(BOB, 2)), shards=SHARDS)
    before = shard_bytes(tmp_path / "store")
    assert stored(tmp_path / "store") == {BOB: [filed(BOB, 2)]}
    for _ in range(2):
        ingest(tmp_path / "store", version(filed(ADA, 1)), shards=SHARDS)
        assert shard_bytes(tmp_path / "store") == before


def test_the_other_results_of_both_patients_stay(tmp_path):
    others = [sodium(ADA, 7), sodium(BOB, 8), sodium(ELSEWHERE, 9)]
    ingest(tmp_path / "store", version(filed(ADA, 1)), *map(version, others), shards=SHARDS)
    ingest(tmp_path / "store", version(filed(BOB, 2)), shards=SHARDS)
    assert stored(tmp_path / "store") == {
        ADA: [others[0]],
        BOB: sorted([filed(BOB, 2), others[1]], key=lambda event: event.source),
        ELSEWHERE: [others[2]],
    }


def test_a_correction_taken_back_returns_the_result_to_the_first_patient(tmp_path):
    for one in (filed(ADA, 1), filed(BOB, 2), filed(ADA, 3)):
        ingest(tmp_path / "store", version(one), shards=SHARDS)
    assert stored(tmp_path / "store") == {ADA: [filed(ADA, 3)]}


@pytest.mark.parametrize("named", [ADA, BOB, ""])
def test_a_corrected_result_entered_in_error_stays_away_from_both(tmp_path, named):
    versions = [version(filed(ADA, 1)), version(filed(BOB, 2))]
    ingest(tmp_path / "store", *versions, shards=SHARDS)
    ingest(tmp_path / "store", withdrawn(filed(BOB), 3, subject=named), shards=SHARDS)
    assert stored(tmp_path / "store") == {}
    ingest(tmp_path / "store", *versions, shards=SHARDS)
    assert stored(tmp_path / "store") == {}


def test_a_result_whose_settling_drops_it_is_still_taken_from_the_wrong_patient(tmp_path):
    def nothing(table):
        return table.slice(0, 0)

    ingest(tmp_path / "store", version(filed(ADA, 1)), settle=nothing, rules="1", shards=SHARDS)
    ingest(tmp_path / "store", version(filed(BOB, 2)), settle=nothing, rules="1", shards=SHARDS)
    ingest(tmp_path / "store", rules="2", shards=SHARDS)
    assert stored(tmp_path / "store") == {BOB: [filed(BOB, 2)]}


def test_versions_of_three_patients_in_any_order_and_any_exports_end_alike(tmp_path):
    versions = [
        version(filed(ADA, 1)),
        version(filed(BOB, 2, value=1.0)),
        version(filed(ELSEWHERE, 3)),
        version(filed(BOB, 4)),
    ]
    ends = set()
    for number, order in enumerate(itertools.permutations(versions)):
        for cut in range(4):
            store = tmp_path / f"{number}-{cut}"
            ingest(store, *order[:cut], shards=SHARDS)
            ingest(store, *order[cut:], shards=SHARDS)
            assert stored(store) == {BOB: [filed(BOB, 4)]}
            ends.add(tuple(shard_bytes(store)))
    assert len(ends) == 1


def test_resources_whose_hashes_collide_are_told_apart_by_their_names(tmp_path, monkeypatch):
    monkeypatch.setattr("fhir_mappings.store.spool.hash", lambda name: 1, raising=False)
    everyone = [sodium(f"patient-{n}", n) for n in range(12)]
    ingest(tmp_path / "store", *map(version, everyone[:8]), shards=SHARDS)
    ingest(tmp_path / "store", *map(version, everyone[8:]), version(filed(ADA)), shards=SHARDS)
    ingest(tmp_path / "store", version(filed(BOB, 2)), shards=SHARDS)
    assert {*stored(tmp_path / "store")} == {BOB, *(event.subject for event in everyone)}


def test_a_correction_is_found_however_the_spool_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr("fhir_mappings.store.spool._BATCH", 3)
    monkeypatch.setattr("fhir_mappings.store.writer._BUFFER", 2)
    chloride = filed(ADA)._replace(code="LOINC|2075-0")
    others = [version(sodium(f"patient-{n}", n)) for n in range(9)]
    ingest(
        tmp_path / "store",
        *others[:5],
        version(filed(ADA), chloride),
        *others[5:],
        version(filed(BOB, 2)),
        shards=SHARDS,
    )
    found = stored(tmp_path / "store")
    assert ADA not in found
    assert found[BOB] == [filed(BOB, 2)]
    assert len(found) == 10
