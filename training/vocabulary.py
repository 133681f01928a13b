"""Vocabulary features: what is frequent at this hospital, found in its data.

The declared features are what clinicians know; a hospital's own frequent diagnosis groups, drugs,
tests and procedures say more. They are declarations like any other, so the model carries them, the
one engine computes them, and a clinician reads them. Only how many patients have a code is looked
at, never an outcome.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.concepts import ConceptTables
from fhir_mappings.events import Kind
from fhir_mappings.features.declaration import Feature, Phrases
from training.study_records import Records

_DIAGNOSES: tuple[Kind, ...] = ("diagnosis", "problem")
_DRUGS: tuple[Kind, ...] = ("medication-order", "discharge-prescription")
_GIVEN: tuple[Kind, ...] = ("medication-administration",)
_SHOUTED = re.compile(r"(?=.{5})[A-Z]+([-_][A-Z]+)*")
"""A code in capitals that is a word or several; below five letters it is an abbreviation."""


class VocabularyRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How frequent is frequent, and how many features at most of each sort."""

    least_share: float = 0.03
    """Of patients that have the code."""
    diagnoses: int = 40
    medications: int = 30
    measurements: int = 20
    procedures: int = 15


def discover(
    store: Records,
    concepts: ConceptTables,
    declared: Iterable[Feature],
    rules: VocabularyRules,
) -> tuple[Feature, ...]:
    """Declare features for what is frequent in a store and not declared already.

    Args:
        store: the events; a store itself is read with nobody on the site's list.
        concepts: the site's concept tables; codes that a declared feature already covers are left.
        declared: the clinical features.
        rules: how frequent, and how many.

    """
    patients = store.patients()
    least = max(5, round(rules.least_share * patients))
    covered = _covered(declared)
    frequent = _patients_with(store)
    groups = _by_group(frequent["diagnosis"], concepts)
    chosen: list[Feature] = []
    for group in _most(groups, least, rules.diagnoses):
        if group not in covered:
            chosen.append(
                _diagnosis(group, _example(group, frequent["diagnosis"], concepts, store))
            )
    for kind, limit in (
        ("medication", rules.medications),
        ("measurement", rules.measurements),
        ("procedure", rules.procedures),
    ):
        counts = {
            code: n
            for code, n in frequent[kind].items()
            if not covered.intersection(concepts.of(code)) and not code.startswith("Medication/")
        }
        chosen += [_BY_KIND[kind](code, store) for code in _most(counts, least, limit)]
    return _named_apart(chosen)


def _named_apart(features: Iterable[Feature]) -> tuple[Feature, ...]:
    """The features under names that differ: ``na+`` and ``na-`` leave the same letters."""
    times: dict[str, int] = defaultdict(int)
    apart: list[Feature] = []
    for feature in features:
        times[feature.name] += 1
        number = times[feature.name]
        name = feature.name if number == 1 else f"{feature.name}__{number}"
        apart.append(msgspec.structs.replace(feature, name=name))
    return tuple(apart)


def _covered(declared: Iterable[Feature]) -> set[str]:
    covered: set[str] = set()
    for feature in declared:
        covered.update(feature.of.split(" + "))
        covered.update(feature.weights)
    return covered


def _patients_with(store: Records) -> dict[str, dict[str, int]]:
    """How many patients have each code, by the sort of record it stands in."""
    sort_of = {
        **dict.fromkeys(_DIAGNOSES, "diagnosis"),
        **dict.fromkeys((*_DRUGS, *_GIVEN), "medication"),
        "observation": "measurement",
        "procedure": "procedure",
    }
    counts: dict[str, dict[str, int]] = {sort: defaultdict(int) for sort in sort_of.values()}
    for table in store.tables(["subject_id", "kind", "code"]):
        plain = pa.table(
            {
                "subject_id": table.column("subject_id"),
                "kind": pc.cast(table.column("kind"), pa.string()),
                "code": pc.cast(table.column("code"), pa.string()),
            }
        )
        seen = plain.group_by(["kind", "code"]).aggregate([("subject_id", "count_distinct")])
        for row in seen.to_pylist():
            if (sort := sort_of.get(row["kind"])) is not None:
                counts[sort][row["code"]] += row["subject_id_count_distinct"]
    return counts


def _by_group(codes: Mapping[str, int], concepts: ConceptTables) -> dict[str, int]:
    """Diagnosis groups (CCSR, CCS) with the patients of their codes.

    A patient with two codes of a group is counted twice; as a measure of what is frequent that is
    good enough, and it spares a join.
    """
    groups: dict[str, int] = defaultdict(int)
    for code, patients in codes.items():
        for concept in concepts.of(code):
            if concept.startswith(("ccsr.", "ccs.")):
                groups[concept] += patients
    return groups


def _example(group: str, codes: Mapping[str, int], concepts: ConceptTables, store: Records) -> str:
    """What the records name the most frequent code of a group.

    CCSR's own names are in no package that we use, and ``CIR019`` tells a clinician nothing.
    """
    members = {code: n for code, n in codes.items() if group in concepts.of(code)}
    return store.description(_most(members, 0, 1)[0])


def _most(counts: Mapping[str, int], least: int, limit: int) -> list[str]:
    """The most frequent, ties in the order of their names."""
    frequent = sorted((-n, code) for code, n in counts.items() if n >= least)
    return [code for _, code in frequent[:limit]]


def _slug(code: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in code.lower()).strip("_")


def _literally(name: str) -> str:
    """A name within a phrase, where braces would be taken for a field of ours.

    A local code without display is all that a record calls a test by: ``UREA-NITROGEN`` is read as
    a word, ``TSH`` as the abbreviation that it is.
    """
    if _SHOUTED.fullmatch(name):
        name = name.replace("-", " ").replace("_", " ").lower()
    return name.replace("{", "(").replace("}", ")")


def _diagnosis(group: str, example: str) -> Feature:
    said = _literally(example)
    # `Heart failure` loses its capital within a sentence; `HIV` and `I509` keep theirs.
    within = said[:1].lower() + said[1:] if said[1:2].islower() else said
    name = f"a diagnosis such as {within}"
    return Feature(
        name=f"vocabulary_{_slug(group)}",
        family="vocabulary",
        description=f"Diagnosis group {group} (here most often: {example}) on record in the past "
        "year or this stay.",
        measure="present",
        of=group,
        window="year_and_stay",
        records=_DIAGNOSES,
        rationale="Frequent at this site; AHRQ Clinical Classifications group diagnoses that "
        "share cause and treatment.",
        reference="AHRQ HCUP CCSR for ICD-10-CM; CCS for ICD-9-CM",
        phrases=Phrases(many=name, one=name, zero=f"no diagnosis such as {within}"),
    )


def _medication(code: str, store: Records) -> Feature:
    name = store.description(code)
    said = _literally(name)
    return Feature(
        name=f"vocabulary_{_slug(code)}",
        family="vocabulary",
        description=f"{name} ordered, prescribed or given in this stay.",
        measure="present",
        of=f"code:{code}",
        window="stay",
        records=(*_DRUGS, *_GIVEN),
        rationale="Frequent at this site; what is prescribed tells what is treated.",
        reference="site vocabulary",
        phrases=Phrases(many=said, one=said, zero=f"no {said}"),
    )


def _measurement(code: str, store: Records) -> Feature:
    name = store.description(code)
    said = _literally(name)
    if name == code.partition("|")[2]:
        # The same test may be on record under a standard code: to say of a patient whose sodium is
        # shown that it is not recorded would be taken for a fault.
        said = f"{said} (local code)"
    return Feature(
        name=f"vocabulary_{_slug(code)}_latest",
        family="vocabulary",
        description=f"Last value of {name} in this stay, in the unit of the record.",
        measure="latest",
        of=f"code:{code}",
        window="stay",
        records=("observation",),
        rationale="Frequent at this site; a measurement that no concept covers.",
        reference="site vocabulary",
        phrases=Phrases(
            many=f"{said} {{value}} on {{date}}", missing=f"{said} not recorded in this stay"
        ),
    )


def _procedure(code: str, store: Records) -> Feature:
    name = store.description(code)
    said = _literally(name)
    return Feature(
        name=f"vocabulary_{_slug(code)}",
        family="vocabulary",
        description=f"{name} in the past year or this stay.",
        measure="count",
        of=f"code:{code}",
        window="year_and_stay",
        records=("procedure",),
        rationale="Frequent at this site; a procedure that no concept covers.",
        reference="site vocabulary",
        phrases=Phrases(many=f"{said} ({{value}} times)", one=said, zero=f"no {said}"),
    )


_BY_KIND = {"medication": _medication, "measurement": _measurement, "procedure": _procedure}
