"""Compute every row of a store, keep none, and print the peak memory in megabytes."""

import sys
from pathlib import Path

from fhir_mappings.features.declaration import declared_features
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import load_profile
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import open_store
from fhir_mappings.timeline import Timeline

profile = load_profile("default")
concepts = site_concepts(profile)
features = declared_features()[:60]
with open_store(Path(sys.argv[1])) as store:
    for shard in range(store.shards):
        for subject, events in store.read_shard(shard):
            timeline = Timeline(subject, events, concepts, profile)
            for stay in timeline.stays:
                if stay.end is not None:
                    View(timeline, stay, stay.end).row(features)
# Not getrusage: its maximum is inherited from the process that started this one.
status = Path("/proc/self/status").read_text(encoding="ascii")
peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
sys.stdout.write(f"{int(peak.split()[1]) / 1024:.1f}\n")
