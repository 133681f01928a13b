"""A chunk of patients: from their events to everything that is to be committed about them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from fhir_mappings.collector import without_collector
from fhir_mappings.concepts import ConceptTables
from fhir_mappings.events import DAY, Event
from fhir_mappings.store import Store
from service.audit.ledger import Entry
from service.batch_run.patient import (
    Asked,
    Looked,
    Passed,
    Refused,
    Terms,
    Unchanged,
    came_back,
    filled,
    inputs_of,
    look_at,
)
from service.batch_run.window import Chunk
from service.database import scores
from service.database.work_list import Aged, Known, Row
from service.kept_scores import Inputs, given, row_of
from service.protection.keys import Keys
from service.protection.sealing import index_of
from service.score import Score
from service.scoring import answer
from training.risk_model import RiskModel

OVER = "over"


class Bench(NamedTuple):
    """What a process needs to score patients."""

    terms: Terms
    keys: Keys
    model: RiskModel
    concepts: ConceptTables
    known: Mapping[str, Known]
    """The rows that there are, by their patients' indexes."""


class Made(NamedTuple):
    """What a chunk comes to; committed whole or not at all."""

    rows: list[Row]
    scores: list[scores.Row]
    entries: list[Entry]
    """For the audit: one a score."""
    aged: list[Aged]
    counts: Counter[str]
    """Patients by what became of them; and by ``left.…`` those who left the list."""


def patients_of(store: Store, chunk: Chunk) -> Iterable[tuple[str, list[Event]]]:
    """The patients of a chunk with their events."""
    for part in chunk:
        yield from store.read_group(part.shard, part.group, part.numbers)


def score_chunk(bench: Bench, patients: Iterable[tuple[str, list[Event]]]) -> Made:
    """Score patients; nothing is written.

    The model is asked about all of them at once, by the halves of ``service.scoring.score_stay``.
    """
    making = _Making(bench)
    with without_collector():
        for subject, events in patients:
            known = bench.known.get(index_of(bench.keys, "patient", subject))
            making.take(
                look_at(
                    bench.terms, bench.keys, bench.model, bench.concepts, subject, events, known
                )
            )
        return making.made()


class _Making:
    """A chunk under way."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.asked: list[Asked] = []
        self.unchanged: list[Unchanged] = []
        self.rows: list[Row] = []
        self.scores: list[scores.Row] = []
        self.entries: list[Entry] = []
        self.aged: list[Aged] = []
        self.counts: Counter[str] = Counter()

    def take(self, looked: Looked) -> None:
        if isinstance(looked, Asked):
            self.asked.append(looked)
        elif isinstance(looked, Unchanged):
            self.unchanged.append(looked)
        elif isinstance(looked, Passed):
            self.pass_by(looked)
        else:
            self.refuse(looked)

    def made(self) -> Made:
        self.answer_all()
        self.age_all()
        return Made(self.rows, self.scores, self.entries, self.aged, self.counts)

    def pass_by(self, passed: Passed) -> None:
        self.counts[f"not_scored.{passed.why}"] += 1
        if passed.aged is not None:
            self.aged.append(passed.aged)
            self.leave(passed.aged.patient_index, passed.aged.left)

    def refuse(self, refused: Refused) -> None:
        self.counts[f"not_scored.{refused.why}"] += 1
        row = refused.row
        if refused.score is not None:
            kept = self.keep(row, refused.score, refused.unit, None)
            row = msgspec.structs.replace(row, score_id=kept)
        self.rows.append(row)
        self.leave(row.patient_index, row.left)

    def answer_all(self) -> None:
        """Ask the model about every stay at once, and word what it says."""
        if not self.asked:
            return
        bench, terms = self.bench, self.bench.terms
        rows = np.array([each.prepared.row for each in self.asked], dtype=np.float32)
        predictions = bench.model.explain_many(rows)
        left = self.remaining(
            [prediction.probability for prediction in predictions],
            [each.row.discharged_at for each in self.asked],
        )
        for each, prediction, rest in zip(self.asked, predictions, left, strict=True):
            score = answer(bench.model, each.prepared, prediction, max_reasons=terms.max_reasons)
            inputs = inputs_of(bench.model, each.prepared.row)
            row = msgspec.structs.replace(
                filled(bench.keys, each, score),
                score_id=self.keep(each.row, score, each.row.unit, inputs),
                remaining=rest[0],
                remaining_low=rest[1],
                remaining_high=rest[2],
            )
            self.rows.append(row)
            self.counts["scored"] += 1
            if came_back(row, bench.known.get(row.patient_index)):
                self.counts["left.readmitted"] += 1

    def keep(self, row: Row, score: Score, unit: str | None, inputs: Inputs | None) -> str:
        """Keep a score and give its id: of one run and stay the same, however often it is made."""
        bench, terms = self.bench, self.bench.terms
        name = index_of(bench.keys, "batch-score", f"{terms.run}\0{row.stay_index}")[:32]
        kept = msgspec.structs.replace(score, score_id=name)
        self.scores.append(row_of(bench.keys, kept, unit, terms.made_at, inputs))
        self.entries.append(given(kept, unit, caller=None, route=None))
        return name

    def age_all(self) -> None:
        """What a day more does to those whose record did not change."""
        self.counts["unchanged"] += len(self.unchanged)
        known = [each.known for each in self.unchanged]
        left = self.remaining(
            [np.nan if row.probability is None else row.probability for row in known],
            [row.discharged_at for row in known],
        )
        for each, rest in zip(self.unchanged, left, strict=True):
            why = each.known.left
            if why is None and self.is_over(each.known.discharged_at):
                why = OVER
                self.leave(each.patient_index, why)
            if why is not None:
                rest = (None, None, None)
            self.aged.append(Aged(each.patient_index, *rest, why, each.known.fingerprint))

    def is_over(self, discharged_at: int | None) -> bool:
        terms = self.bench.terms
        return discharged_at is not None and terms.as_of - discharged_at > terms.days * DAY

    def leave(self, patient_index: str, why: str | None) -> None:
        known = self.bench.known.get(patient_index)
        if known is not None and known.left is None:
            self.counts[f"left.{why}"] += 1

    def remaining(
        self, probabilities: list[float], discharged: list[int | None]
    ) -> list[tuple[float | None, float | None, float | None]]:
        """What is left of each risk; the whole of it while a patient is in hospital.

        A model from before has no curve. The list is ranked all the same: by the whole risk, and
        without an interval, which says that it has not aged.
        """
        as_of = self.bench.terms.as_of
        days = [0.0 if end is None else max(0.0, (as_of - end) / DAY) for end in discharged]
        rest, low, high = self.bench.model.remaining_risks(probabilities, days)
        found = (np.where(np.isnan(rest), probabilities, rest), low, high)
        columns = [
            [float(value) if np.isfinite(value) else None for value in column] for column in found
        ]
        return list(zip(*columns, strict=True))
