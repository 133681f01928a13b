"""The door of a study: a store without those who said no, and pseudonyms for all who go in.

Everything of ``training`` that reads a store reads it here. Whoever refuses to be learned from is
met in one place only, the flow table's count of stays; no row, frequency, unit, end of the data or
outcome rests on them. Timelines have the store's own ids while a row is computed, since ties
between records are broken by them and a row must be the one that the service computes; whatever is
kept of a stay afterwards has its pseudonym.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.consent import CONSENT_CODES, OptOuts, refuses, used_now
from fhir_mappings.events import Event
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.pseudonyms import Pseudonyms, store_pseudonyms
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store
from fhir_mappings.store.schema import subject_id
from fhir_mappings.timeline import Timeline


class StudyRecords:
    """A store as a study may read it.

    Args:
        store: the events.
        profile: how the site codes.
        opt_outs: the site's list and the moment of use; without it nobody is listed, and the
            Consents in the store count all the same.

    Raises:
        PseudonymError: if the store's key cannot be read or made.
    """

    def __init__(self, store: Store, profile: SiteProfile, opt_outs: OptOuts | None = None) -> None:
        self.store = store
        self.profile = profile
        self.opt_outs = used_now(profile) if opt_outs is None else opt_outs
        self.pseudonyms: Pseudonyms = store_pseudonyms(store.home)
        self._refusing = frozenset(self._find_refusing())
        self._numbers = pa.array(sorted(map(subject_id, self._refusing)), pa.int64())

    @property
    def shards(self) -> int:
        """The number of shards."""
        return self.store.shards

    def patients(self) -> int:
        """How many patients may be learned from."""
        return self.store.patients() - len(self._refusing)

    def description(self, code: str) -> str:
        """What the records name a code."""
        return self.store.description(code)

    def timelines(self, shard: int) -> Iterator[Timeline]:
        """The patients of one shard who may be learned from."""
        return (one for one in self._everybody(shard) if one.subject not in self._refusing)

    def refusing(self) -> Iterator[Timeline]:
        """The others, whose stays the flow table counts."""
        concepts = site_concepts(self.profile)
        for subject in sorted(self._refusing):
            events = self.store.read_subject(subject)
            yield Timeline(subject, events, concepts, self.profile)

    def tables(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """``Store.tables`` without the rows of those who refuse."""
        if not self._refusing:
            yield from self.store.tables(columns)
            return
        asked = list(dict.fromkeys(("subject_id", *columns)))
        for table in self.store.tables(asked):
            theirs = pc.is_in(table.column("subject_id"), value_set=self._numbers)
            yield table.filter(pc.invert(theirs)).select(list(columns))

    def _everybody(self, shard: int) -> Iterator[Timeline]:
        concepts = site_concepts(self.profile)
        for subject, events in self.store.read_shard(shard):
            yield Timeline(subject, events, concepts, self.profile)

    def _find_refusing(self) -> Iterator[str]:
        """Who is in the store, and refuses; nothing but Consents is read for it."""
        consents: dict[str, list[Event]] = {}
        if self.opt_outs.listed:
            listed = self.opt_outs.listed.intersection(self.store.subjects())
            consents = {subject: [] for subject in listed}
        for event in _consents(self.store):
            consents.setdefault(event.subject, []).append(event)
        for subject, events in consents.items():
            if refuses(subject, events, "training", self.opt_outs):
                yield subject


def _consents(store: Store) -> Iterator[Event]:
    """What Consents say, of every patient: as many columns as it takes to tell who refuses."""
    answers = pa.array(sorted(CONSENT_CODES))
    columns = ("subject", "time", "end", "known_at", "code", "text_value")
    for table in store.tables(columns):
        codes = pc.cast(table.column("code"), pa.string())
        found = table.filter(pc.is_in(codes, value_set=answers))
        for name in ("time", "end", "known_at"):
            place = columns.index(name)
            found = found.set_column(place, name, found.column(name).cast(pa.int64()))
        for row in found.to_pylist():
            yield Event(
                subject=row["subject"],
                time=row["time"],
                end=row["end"],
                known_at=row["known_at"],
                kind="patient",
                code=row["code"],
                value=None,
                unit=None,
                text=row["text_value"],
                encounter=None,
                source="",
                updated=0,
                utc_offset=None,
                dated_by="record",
            )


def number_of(subject: str) -> str:
    """The store's own number of a patient (MEDS ``subject_id``), in digits that sort alike.

    Stays are grouped, ordered and dealt to parts and samples by it, and not by the pseudonym: the
    same records must give the same study in every store, whatever its key. It is an unkeyed hash,
    no pseudonym, and is never written to what a run leaves.
    """
    return f"{subject_id(subject):019d}"


Records = Store | StudyRecords
"""What a study is made from; a store itself is read with nobody on the site's list."""


def study_records(records: Records, profile: SiteProfile) -> StudyRecords:
    """The door to these records, where they have not come through it yet."""
    return records if isinstance(records, StudyRecords) else StudyRecords(records, profile)
