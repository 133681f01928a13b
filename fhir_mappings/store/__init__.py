"""The event store: a hospital's events in Parquet, for batches.

A store is a MEDS dataset (https://medical-event-data-standard.github.io) with some columns more,
sharded by patient. An ingest adds to it as a whole or not at all; of every resource the latest
version counts, and what was entered in error stays out.

::

    with StoreWriter(Path("store")) as writer:
        writer.add(subject, source, updated, events)
        writer.finish(settle)
    with open_store(Path("store")) as store:
        for shard in range(store.shards):
            for subject, events in store.read_shard(shard): ...
"""

from fhir_mappings.store.merging import Settle
from fhir_mappings.store.metadata import Information
from fhir_mappings.store.reader import Store, open_state, open_store
from fhir_mappings.store.rows import Rows
from fhir_mappings.store.schema import DATA_SCHEMA, DICTIONARY_COLUMNS, ROW_SCHEMA
from fhir_mappings.store.writer import DEFAULT_SHARDS, StoreWriter, WriteSummary

__all__ = [
    "DATA_SCHEMA",
    "DEFAULT_SHARDS",
    "DICTIONARY_COLUMNS",
    "ROW_SCHEMA",
    "Information",
    "Rows",
    "Settle",
    "Store",
    "StoreWriter",
    "WriteSummary",
    "open_state",
    "open_store",
]
