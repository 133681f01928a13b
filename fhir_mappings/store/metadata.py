"""What a generation of the store says about itself, to us (``store.json``) and to MEDS."""

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from fhir_mappings.errors import StoreError
from fhir_mappings.store.schema import DATA_SCHEMA

FILE_NAME = "store.json"
"""Our own metadata, in the generation's folder."""

_MEDS_VERSION = "0.4.1"
_RAW_IDENTIFIERS = ("subject", "source", "encounter_id", "reference")
_CODE_MODIFIERS = ("kind", "unit")
_MEDS_COLUMNS = ("subject_id", "time", "code", "numeric_value", "text_value")

_SUBJECTS = pa.schema([("subject_id", pa.int64()), ("subject", pa.string())])
_CODES = pa.schema(
    [
        ("code", pa.string()),
        ("description", pa.string()),
        ("parent_codes", pa.list_(pa.string())),
    ]
)


class Information(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a store is: how it is laid out, what it holds, and what its writer noted.

    ``details`` is the writer's own (profile, counts by type); ``rules`` names the version of the
    rules that settled its events. ``events``, ``patients`` and ``tombstones`` are per shard.
    """

    format: Literal["readmit event store"] = "readmit event store"
    format_version: Literal[1] = 1
    shards: int
    ingests: int
    written_at: str
    rules: str
    events: tuple[int, ...]
    patients: tuple[int, ...]
    tombstones: tuple[int, ...]
    details: dict[str, Any]


def read_information(generation: Path) -> Information:
    """Read a generation's ``store.json``.

    Raises:
        StoreError: It is not one of ours, or of another format version.
        FileNotFoundError: The generation is gone.

    """
    try:
        return msgspec.json.decode((generation / FILE_NAME).read_bytes(), type=Information)
    except msgspec.DecodeError as error:
        message = f"{FILE_NAME} is not that of an event store of format version 1"
        raise StoreError(message) from error


def write_information(generation: Path, information: Information) -> None:
    """Write ``store.json``, and ``metadata/dataset.json`` as MEDS asks for it."""
    content = msgspec.json.format(msgspec.json.encode(information, order="sorted"))
    (generation / FILE_NAME).write_bytes(content)
    named = {*_MEDS_COLUMNS, *_RAW_IDENTIFIERS, *_CODE_MODIFIERS}
    dataset = {
        "dataset_name": "readmit event store",
        "dataset_version": str(information.ingests),
        "etl_name": "readmit",
        "etl_version": str(information.format_version),
        "meds_version": _MEDS_VERSION,
        "created_at": information.written_at,
        "raw_source_id_columns": list(_RAW_IDENTIFIERS),
        "code_modifier_columns": list(_CODE_MODIFIERS),
        "other_extension_columns": [name for name in DATA_SCHEMA.names if name not in named],
    }
    (generation / "metadata" / "dataset.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(dataset))
    )


def now() -> str:
    """Return the present instant in ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def write_codes(generation: Path, codes: Iterable[str], descriptions: Mapping[str, str]) -> None:
    """Write ``metadata/codes.parquet``: every code of the dataset, once, as the records name it."""
    names = sorted(codes)
    described = [descriptions.get(name) for name in names]
    table = pa.table([names, described, [None] * len(names)], schema=_CODES)
    pq.write_table(table, generation / "metadata" / "codes.parquet", compression="zstd")


def read_descriptions(generation: Path) -> dict[str, str]:
    """Read what the records of a generation name their codes; codes without a name are left out."""
    table = pq.read_table(generation / "metadata" / "codes.parquet", partitioning=None)
    pairs = zip(
        table.column("code").to_pylist(), table.column("description").to_pylist(), strict=True
    )
    return {code: description for code, description in pairs if description is not None}


class SubjectsWriter:
    """Writes ``subjects.parquet``, the way back from MEDS numbers to Patient ids.

    A row group a shard, in the order of the shards, so that a shard's patients can be read alone.
    """

    def __init__(self, generation: Path) -> None:
        self._writer = pq.ParquetWriter(
            generation / "subjects.parquet", _SUBJECTS, compression="zstd"
        )

    def write(self, subjects: pa.Table) -> None:
        """Add the patients of the next shard."""
        rows = subjects.select(_SUBJECTS.names).cast(_SUBJECTS)
        self._writer.write_table(rows, row_group_size=max(1, rows.num_rows))

    def close(self) -> None:
        """Complete the file."""
        self._writer.close()


def read_subjects(generation: Path, shard: int | None = None) -> pa.Table:
    """Read the patients (``subject_id``, ``subject``) of one shard, or of all."""
    with pq.ParquetFile(generation / "subjects.parquet") as file:
        return file.read() if shard is None else file.read_row_group(shard)


_MEDICATIONS = pa.schema(
    [("source", pa.string()), ("codes", pa.list_(pa.string())), ("updated", pa.int64())]
)

Formulary = dict[str, tuple[tuple[str, ...], int]]
"""By ``Medication/id``: its codes, and ``updated`` of the version that gave them."""


def write_medications(
    generation: Path, formulary: Mapping[str, tuple[tuple[str, ...], int]]
) -> None:
    """Write ``medications.parquet``, by which later ingests resolve references to drugs."""
    sources = sorted(formulary)
    codes = [list(formulary[source][0]) for source in sources]
    updated = [formulary[source][1] for source in sources]
    table = pa.table([sources, codes, updated], schema=_MEDICATIONS)
    pq.write_table(table, generation / "medications.parquet", compression="zstd")


def read_medications(generation: Path) -> Formulary:
    """Read ``medications.parquet``."""
    table = pq.read_table(generation / "medications.parquet", partitioning=None)
    columns = (table.column(name).to_pylist() for name in _MEDICATIONS.names)
    return {
        source: (tuple(codes), updated) for source, codes, updated in zip(*columns, strict=True)
    }
