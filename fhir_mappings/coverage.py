"""The coverage report: what of an export is understood, for a hospital's first hour with it.

It is computed from the store: the share of each resource type and each sort of code that a concept
knows, the most frequent codes that none knows, units that were refused, facets of encounters that
stayed unknown, and the features that will be empty for everybody.

Everybody's records are counted, theirs too who opted out: it tells whether an export is understood,
shows no patient, and is for those who have the export anyway.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.concepts import ConceptTables
from fhir_mappings.features.declaration import Feature
from fhir_mappings.store import Store

_OURS = ("readmit/", "MEDS_")
_STAY_MEASURES = ("age", "sex", "stay")


class TypeCoverage(msgspec.Struct, frozen=True):
    """One resource type as the last ingest read it."""

    resource_type: str
    resources: int
    mapped: int
    without_events: int
    passed_over: int


class KindCoverage(msgspec.Struct, frozen=True):
    """One kind of record: how many of its events carry a code that some concept knows."""

    kind: str
    events: int
    known: int
    codes: int
    known_codes: int


class CodeCount(msgspec.Struct, frozen=True):
    """A code with how often it occurs and how many patients have it."""

    kind: str
    code: str
    display: str
    events: int
    patients: int


class ConceptCoverage(msgspec.Struct, frozen=True):
    """One concept that occurs in the store."""

    concept: str
    events: int
    patients: int
    refused: int
    """Values that had a unit which is not known for the concept, or none."""


class RefusedUnit(msgspec.Struct, frozen=True):
    """A unit that a concept does not accept; its values are taken as missing."""

    concept: str
    code: str
    unit: str
    """Empty where the record gives none."""
    events: int


class UnknownFacet(msgspec.Struct, frozen=True):
    """What an encounter says of urgency, source or disposition that no table knows."""

    facet: str
    code: str
    events: int


class _Count(NamedTuple):
    """Events of one kind, code and unit."""

    kind: str
    code: str
    unit: str
    events: int
    patients: int
    valued: int


class CoverageReport(msgspec.Struct, frozen=True, kw_only=True):
    """What of a store is understood."""

    profile: str
    patients: int
    events: int
    rejected: int
    types: list[TypeCoverage]
    kinds: list[KindCoverage]
    encounters: dict[str, int]
    """Encounters of each kind that the site profile told."""
    concepts: list[ConceptCoverage]
    unknown_codes: list[CodeCount]
    refused_units: list[RefusedUnit]
    unknown_facets: list[UnknownFacet]
    empty_features: list[str]
    questionable: dict[str, int]


def coverage(
    store: Store, concepts: ConceptTables, features: Iterable[Feature], most: int = 25
) -> CoverageReport:
    """Measure what of a store is understood.

    Args:
        store: the events.
        concepts: the site's concept tables.
        features: the features that are to be computed.
        most: how many unknown codes to list of each kind of record.

    """
    counts = _counts(store)
    details = store.information.details
    by_concept, refused = _concepts(counts, concepts)
    return CoverageReport(
        profile=str(details.get("profile", "")),
        patients=store.patients(),
        events=sum(store.information.events),
        rejected=int(details.get("rejected", 0)),
        types=[
            TypeCoverage(name, **each) for name, each in sorted(details.get("by_type", {}).items())
        ],
        kinds=_kinds(counts, concepts),
        encounters={
            row.code.partition("|")[2]: row.events
            for row in counts
            if row.code.startswith("readmit/encounter|")
        },
        concepts=by_concept,
        unknown_codes=_unknown(counts, concepts, store, most),
        refused_units=refused,
        unknown_facets=_unknown_facets(store),
        empty_features=_empty(features, counts, concepts),
        questionable=dict(details.get("questionable", {})),
    )


def _counts(store: Store) -> list[_Count]:
    """Events and patients by kind, code and unit; a patient's rows are whole within a table."""
    totals: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for table in store.tables(["subject_id", "kind", "code", "unit", "value"]):
        plain = pa.table(
            {
                "subject_id": table.column("subject_id"),
                "kind": pc.cast(table.column("kind"), pa.string()),
                "code": pc.cast(table.column("code"), pa.string()),
                "unit": pc.fill_null(pc.cast(table.column("unit"), pa.string()), ""),
                "valued": pc.cast(pc.is_valid(table.column("value")), pa.int64()),
            }
        )
        grouped = plain.group_by(["kind", "code", "unit"]).aggregate(
            [("subject_id", "count"), ("subject_id", "count_distinct"), ("valued", "sum")]
        )
        for row in grouped.to_pylist():
            total = totals[row["kind"], row["code"], row["unit"]]
            total[0] += row["subject_id_count"]
            total[1] += row["subject_id_count_distinct"]
            total[2] += row["valued_sum"]
    return [
        _Count(kind, code, unit, *total) for (kind, code, unit), total in sorted(totals.items())
    ]


def _kinds(counts: list[_Count], concepts: ConceptTables) -> list[KindCoverage]:
    events: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    codes: dict[str, set[str]] = defaultdict(set)
    known_codes: dict[str, set[str]] = defaultdict(set)
    for row in counts:
        if row.code.startswith(_OURS):
            continue
        codes[row.kind].add(row.code)
        events[row.kind][0] += row.events
        if concepts.of(row.code):
            events[row.kind][1] += row.events
            known_codes[row.kind].add(row.code)
    return [
        KindCoverage(kind, total, known, len(codes[kind]), len(known_codes[kind]))
        for kind, (total, known) in sorted(events.items())
    ]


def _concepts(
    counts: list[_Count], concepts: ConceptTables
) -> tuple[list[ConceptCoverage], list[RefusedUnit]]:
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    refused: list[RefusedUnit] = []
    for row in counts:
        for concept in concepts.of(row.code):
            total = totals[concept]
            total[0] += row.events
            total[1] += row.patients
            wants_unit = concepts.canonical_unit(concept) is not None
            if wants_unit and row.valued and not concepts.accepts(concept, row.unit or None):
                total[2] += row.valued
                refused.append(RefusedUnit(concept, row.code, row.unit, row.valued))
    listed = [ConceptCoverage(name, *total) for name, total in sorted(totals.items())]
    return listed, sorted(refused, key=lambda each: -each.events)


def _unknown(
    counts: list[_Count], concepts: ConceptTables, store: Store, most: int
) -> list[CodeCount]:
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in counts:
        if not row.code.startswith(_OURS) and not concepts.of(row.code):
            total = totals[row.kind, row.code]
            total[0] += row.events
            total[1] += row.patients
    listed: list[CodeCount] = []
    by_kind: dict[str, int] = defaultdict(int)
    for (kind, code), (events, patients) in sorted(totals.items(), key=lambda i: -i[1][0]):
        if by_kind[kind] < most:
            by_kind[kind] += 1
            listed.append(CodeCount(kind, code, store.description(code), events, patients))
    return listed


def _unknown_facets(store: Store) -> list[UnknownFacet]:
    totals: dict[tuple[str, str], int] = defaultdict(int)
    for table in store.tables(["code", "text_value"]):
        code = pc.cast(table.column("code"), pa.string())
        for facet in ("urgency", "admission-source", "disposition"):
            rows = table.filter(pc.equal(code, f"readmit/{facet}|unknown"))
            for text in rows.column("text_value").to_pylist():
                totals[facet, text or ""] += 1
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    return [UnknownFacet(facet, code, n) for (facet, code), n in ordered]


def _empty(features: Iterable[Feature], counts: list[_Count], concepts: ConceptTables) -> list[str]:
    """Features whose concept does not occur at all, or never in an accepted unit."""
    codes = {row.code for row in counts}
    kinds = {row.kind for row in counts}
    present = {concept for code in codes for concept in concepts.of(code)}
    present |= {"stays." + c.partition("|")[2] for c in codes if c.startswith("readmit/encounter|")}
    present |= {f"kind:{kind}" for kind in kinds} | {f"code:{code}" for code in codes}

    def occurs(part: str) -> bool:
        if part.endswith(".*"):
            return any(name.startswith(part[:-1]) for name in present)
        return part in present

    empty = []
    for feature in features:
        if feature.measure in _STAY_MEASURES:
            continue
        parts = feature.weights or feature.of.split(" + ")
        wanted = not feature.records or bool(kinds.intersection(feature.records))
        if not wanted or not any(occurs(part) for part in parts):
            empty.append(feature.name)
    return empty
