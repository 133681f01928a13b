"""Drift that looks like another unit: 88 times as large is not illness, it is umol/L.

A laboratory that changes its unit, or an interface that keeps the old label on it, moves every
value by a known factor. Most such values are impossible in a living patient: they are refused as
they are read and arrive as missing (``fhir_mappings.concepts.units``). Both are looked at: the
values of a feature that lie outside all that training saw, and the values on record that were
refused. Nothing is converted on this evidence; it is named, for a person to ask the laboratory.
"""

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fhir_mappings.concepts.units import Units, load_units
from fhir_mappings.features.declaration import Feature
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.sources.reading import site_concepts
from training.risk_model import FeatureReference
from training.study_records import Records, StudyRecords, study_records

LEVELS = frozenset({"latest", "first", "minimum", "maximum", "mean"})
"""Measures whose value is in the unit of what is measured."""
FEWEST = 10
"""Values that must agree before a unit is named."""
SMALLEST_SHARE = 0.02
"""Of the values: fewer are single slips, not a change of unit."""
_NEAR = math.log(1.2)
"""How far the ratio may be from that of two units: the patients differ as well."""
_FAR = math.log(1.5)
"""A ratio nearer to 1 than this is no change of unit."""
_UNUSUAL = 0.05
"""How much better two units must fit that are both not the usual one."""


class UnitChange(msgspec.Struct, frozen=True):
    """Values that fit another unit than the one they are read in."""

    feature: str
    concept: str
    ratio: float
    """Their median over the median of the training stays."""
    expected: str
    """The unit that they are read in."""
    probable: str
    """The unit that they fit."""
    values: int
    refused: bool
    """Whether they were refused as impossible, and the feature is missing instead."""

    @property
    def sentence(self) -> str:
        """For people."""
        times = self.ratio if self.ratio >= 1 else 1 / self.ratio
        size = "large" if self.ratio >= 1 else "small"
        fate = "were refused as impossible; they are" if self.refused else "are"
        return (
            f"{self.values:,} values of {self.concept} {fate} about {times:.3g} times as {size} as "
            f"in training: {self.expected} -> {self.probable}?"
        )


def measured_concepts(features: Iterable[Feature], profile: SiteProfile) -> dict[str, str]:
    """The concept that each feature measures, where its units are known.

    A vocabulary feature names a code of the site, and its values are in the unit of the record:
    where the code belongs to a concept, the ratio of two units of that concept tells as much.
    """
    tables, units = site_concepts(profile), load_units()
    found = {}
    for feature in features:
        if feature.measure in LEVELS:
            code = feature.of.removeprefix("code:")
            concepts = (feature.of,) if code == feature.of else tables.of(code)
            known = [concept for concept in concepts if concept in units.canonical]
            if known:
                found[feature.name] = known[0]
    return found


def unit_change_in_values(
    feature: Feature,
    concept: str,
    reference: FeatureReference,
    values: npt.NDArray[np.float32],
) -> UnitChange | None:
    """Whether a feature's values fit another unit of its concept; None where they do not.

    All of them are looked at, and then those outside the range of the training stays: a change at
    one of several laboratories leaves the median where it was.

    Args:
        feature: the declaration.
        concept: what it measures.
        reference: how it was distributed in training.
        values: of the stays; NaN where missing.
    """
    if feature.measure not in LEVELS or not reference.quantiles:
        return None
    known = values[~np.isnan(values)].astype(np.float64)
    outside = known[(known < reference.quantiles[0]) | (known > reference.quantiles[-1])]
    return _named(feature, concept, reference, known, of=len(known), refused=False) or _named(
        feature, concept, reference, outside, of=len(known), refused=False
    )


def unit_change_in_refused(
    feature: Feature,
    concept: str,
    reference: FeatureReference,
    refused: npt.NDArray[np.float64],
    read: int,
) -> UnitChange | None:
    """Whether values that were refused fit another unit of the feature's concept.

    Args:
        feature: the declaration.
        concept: what it measures.
        reference: how it was distributed in training.
        refused: the values, read in the unit that they claim.
        read: how many values of the concept there are, refused or not.
    """
    if feature.measure not in LEVELS or not reference.quantiles:
        return None
    return _named(feature, concept, reference, refused, of=read, refused=True)


def refused_values(
    store: Records,
    profile: SiteProfile,
    concepts: Collection[str],
    *,
    since: int | None = None,
    until: int | None = None,
) -> dict[str, tuple[npt.NDArray[np.float64], int]]:
    """The values of each concept that no living patient can have, and how many there are in all.

    The refused ones are converted from the unit that they claim to the concept's own. Values in a
    unit that no table knows are not among them: ``readmit coverage`` lists those.

    Args:
        store: the events.
        profile: how the site codes.
        concepts: whose values.
        since: microseconds UTC from which values count.
        until: microseconds UTC before which they do.
    """
    units, tables = load_units(), site_concepts(profile)
    found: dict[str, list[npt.NDArray[np.float64]]] = {concept: [] for concept in concepts}
    read = dict.fromkeys(concepts, 0)
    for code, unit, values in _measured(study_records(store, profile), since, until):
        for concept in found.keys() & set(tables.of(code)):
            conversion = units.conversion(concept, unit)
            if conversion is None:
                continue
            converted = values * conversion.factor + conversion.offset
            read[concept] += len(converted)
            limits = units.limits.get(concept)
            if limits is not None:
                possible = (converted >= limits.low) & (converted <= limits.high)
                found[concept].append(converted[~possible])
    return {
        concept: (np.concatenate(parts) if parts else np.array([]), read[concept])
        for concept, parts in found.items()
    }


def _measured(
    store: StudyRecords, since: int | None, until: int | None
) -> Iterator[tuple[str, str | None, npt.NDArray[np.float64]]]:
    """Values on record by code and unit, shard by shard."""
    for table in store.tables(["time", "code", "value", "unit"]):
        wanted = pc.is_valid(table.column("value"))
        time = table.column("time").cast(pa.int64())
        for bound, compare in ((since, pc.greater_equal), (until, pc.less)):
            if bound is not None:
                wanted = pc.and_kleene(wanted, compare(time, pa.scalar(bound)))
        some = table.filter(wanted)
        plain = pa.table(
            {
                "code": some.column("code").cast(pa.string()),
                "unit": some.column("unit").cast(pa.string()),
                "value": some.column("value"),
            }
        )
        grouped: Any = plain.group_by(["code", "unit"]).aggregate([("value", "list")])
        for row in grouped.to_pylist():
            values = np.asarray(row["value_list"], dtype=np.float64)
            yield row["code"], row["unit"], values[np.isfinite(values)]


def _enough(of: int) -> float:
    return max(FEWEST, SMALLEST_SHARE * of)


def _named(
    feature: Feature,
    concept: str,
    reference: FeatureReference,
    suspect: npt.NDArray[np.float64],
    *,
    of: int,
    refused: bool,
) -> UnitChange | None:
    usual = reference.quantiles[len(reference.quantiles) // 2]
    if len(suspect) < _enough(of) or usual <= 0:
        return None
    found = float(np.median(suspect))
    if found <= 0 or abs(math.log(found / usual)) < _FAR:
        return None
    best = min(_misread(load_units(), concept, usual, found), default=None)
    if best is None or best[0] > _NEAR:
        return None
    _, _, expected, probable = best
    return UnitChange(
        feature=feature.name,
        concept=concept,
        ratio=found / usual,
        expected=expected,
        probable=probable,
        values=len(suspect),
        refused=refused,
    )


def _misread(
    units: Units, concept: str, usual: float, found: float
) -> Iterator[tuple[float, int, str, str]]:
    """How far off each pair of units is: a value in one that is read as if it were in the other.

    Pairs that do not begin with the canonical unit must fit better to be believed.
    """
    known = {unit: each for (name, unit), each in units.conversions.items() if name == concept}
    for order, (expected, reading) in enumerate(known.items()):
        for probable, actual in known.items():
            number = (usual - actual.offset) / actual.factor
            misread = number * reading.factor + reading.offset
            if misread > 0 and abs(math.log(misread / usual)) >= _FAR:
                distance = abs(math.log(found / misread)) + (_UNUSUAL if order else 0.0)
                yield distance, order, expected, probable
