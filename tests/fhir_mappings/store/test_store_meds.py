"""The store is a MEDS dataset; the ``meds`` package, where it is installed, is the judge."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from store_ward import ingest, order, sodium, version

from fhir_mappings.store import open_store
from fhir_mappings.store.schema import subject_id

meds = pytest.importorskip("meds", reason="the MEDS schemas (dev dependency) are not installed")
meds_errors = pytest.importorskip("flexible_schema.exceptions")


@pytest.fixture
def dataset(tmp_path) -> Path:
    results = [sodium(f"patient-{n % 7}", n, value=n / 3, day=n % 4) for n in range(50)]
    birth = sodium("patient-1")._replace(
        code="MEDS_BIRTH", kind="patient", value=None, unit=None, source="Patient/patient-1"
    )
    static = birth._replace(code="readmit/sex|female", time=None, text="female")
    ingest(
        tmp_path / "store",
        *map(version, results),
        version(birth, static),
        version(order("Medication/1")),
        version(order("Medication/2", number=2)),
        medications=[("Medication/1", ["RXNORM|4603"], 1)],
    )
    ingest(tmp_path / "store", version(order("RXNORM|6809", "patient-5")))
    return tmp_path / "store" / "current"


def shards(dataset: Path) -> list[pa.Table]:
    return [pq.read_table(path) for path in sorted((dataset / "data").rglob("*.parquet"))]


def test_every_shard_has_the_columns_of_meds(dataset):
    for table in shards(dataset):
        meds.DataSchema.validate(table)  # raises on a column missing or of another type
        assert table.column("subject_id").null_count == table.column("code").null_count == 0


def test_the_judge_notices_a_shard_that_is_not_meds(dataset):
    for column in ("subject_id", "time", "code"):
        with pytest.raises(meds_errors.SchemaValidationError, match=column):
            meds.DataSchema.validate(shards(dataset)[0].drop_columns(column))


def test_a_patient_is_in_one_shard_contiguous_and_in_order_of_time(dataset):
    seen: set[int] = set()
    for table in shards(dataset):
        rows = table.select(["subject_id", "time"])
        rows = rows.set_column(1, "time", pc.fill_null(rows["time"].cast(pa.int64()), -(2**63)))
        pairs = list(zip(*rows.to_pydict().values(), strict=True))
        assert pairs == sorted(pairs)
        subjects = set(rows["subject_id"].to_pylist())
        assert not subjects & seen
        seen |= subjects
    assert len(seen) == 8


def test_the_dataset_describes_itself_and_every_column_beyond_meds(dataset):
    path = dataset / meds.dataset_metadata_filepath
    description = json.loads(path.read_text())
    meds.DatasetMetadataSchema.validate(description)
    declared = [
        name for key, names in description.items() if key.endswith("columns") for name in names
    ]
    of_meds = ["subject_id", "time", "code", "numeric_value", "text_value"]
    assert sorted(declared + of_meds) == sorted(shards(dataset)[0].column_names)


def test_every_code_of_the_data_is_in_the_list_of_codes(dataset):
    codes = pq.read_table(dataset / meds.code_metadata_filepath)
    meds.CodeMetadataSchema.validate(codes)
    used = {code for table in shards(dataset) for code in table.column("code").to_pylist()}
    assert codes.column("code").to_pylist() == sorted(used)
    assert {"MEDS_BIRTH", "RXNORM|4603", "RXNORM|6809", "Medication/2"} <= used
    assert "Medication/1" not in used


def test_numeric_value_repeats_the_value_in_32_bits(dataset):
    for table in shards(dataset):
        expected = pc.cast(table.column("value"), pa.float32(), safe=False)
        assert table.column("numeric_value").equals(expected)


def test_subject_numbers_lead_back_to_patient_ids(dataset):
    table = pq.read_table(dataset / "subjects.parquet")
    with open_store(dataset.parent) as store:
        assert table.column("subject").to_pylist() == store.subjects()
    for number, name in zip(*table.to_pydict().values(), strict=True):
        assert number == subject_id(name)
        assert 0 <= number < 2**63
