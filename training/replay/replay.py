"""Computing a past score again: from the row that was kept, and from the records as they are now.

The first must agree to the last bit: same model, by the hash of its manifest, and same row. The
second need not, and where it does not the reason is that the records of that time have changed
since: a correction, a withdrawal, a record that came late, or a reader that understands more.
"""

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from fhir_mappings.errors import ReadmitError, RiskModelError
from fhir_mappings.features.engine import View
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store
from fhir_mappings.timeline import Timeline
from training import tracking
from training.replay.ledger import KeptScore, row_bytes
from training.risk_model import RiskModel, load_risk_model

_SOURCES_SHOWN = 5


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An input that the records give another value today, as of the same moment."""

    feature: str
    then: float | None
    """None where it was missing."""
    now: float | None
    unit: str | None
    sentence: str
    """Why, as far as the records tell."""
    corrected: tuple[str, ...]
    """Resources behind today's value that were updated after the score was given."""


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A past score, computed again.

    Whose it is, the table of scores says: what a terminal shows is kept where records are not.
    """

    score_id: str
    as_of: str
    scored_at: str
    model: str
    version: str
    manifest_sha256: str
    probability: float
    """As it was given."""
    probability_again: float
    identical: bool
    """Whether probability, log-odds and every contribution agree to the last bit."""
    records: str
    """What the records say today of the inputs of that moment, in a sentence."""
    probability_today: float | None
    """Of the same stay and moment, from the records as they are now; None without records."""
    differences: tuple[Difference, ...]


def replay(
    kept: KeptScore,
    mlruns: Path,
    *,
    store: Store | None = None,
    profile: SiteProfile | None = None,
    model_folder: Path | None = None,
) -> Replayed:
    """Compute a score again.

    Args:
        kept: the score, from ``ledger.find_score``.
        mlruns: the folder of MLflow, where the model is looked for by its hash.
        store: where the patient's records are; None leaves today's records unasked.
        profile: the site profile that the store was written with.
        model_folder: of a model that was never registered.

    Raises:
        RiskModelError: if no model of that hash is there, or it is damaged.
    """
    model = _model(kept, mlruns, model_folder)
    again = model.explain(kept.row)
    identical = (
        again.probability == kept.probability
        and again.log_odds == kept.log_odds
        and again.contributions == kept.contributions
    )
    sentence, today, differences = (
        ("The records were not asked.", None, ())
        if store is None or profile is None
        else _against_records(kept, model, store, profile)
    )
    return Replayed(
        score_id=kept.score_id,
        as_of=_instant(kept.as_of),
        scored_at=_instant(kept.scored_at),
        model=kept.model,
        version=kept.version,
        manifest_sha256=kept.manifest_sha256,
        probability=kept.probability,
        probability_again=again.probability,
        identical=identical,
        records=sentence,
        probability_today=today,
        differences=differences,
    )


def _model(kept: KeptScore, mlruns: Path, folder: Path | None) -> RiskModel:
    if folder is None:
        same = [
            one for one in tracking.versions(mlruns) if one.manifest_sha256 == kept.manifest_sha256
        ]
        if not same:
            raise RiskModelError(
                f"no registered version has the manifest {kept.manifest_sha256}: name the folder "
                "of the model that gave this score"
            )
        exact = [one for one in same if one.version == kept.version]
        folder = (exact or same)[0].folder
    return load_risk_model(folder, version=kept.version, manifest_sha256=kept.manifest_sha256)


def _against_records(
    kept: KeptScore, model: RiskModel, store: Store, profile: SiteProfile
) -> tuple[str, float | None, tuple[Difference, ...]]:
    events = store.read_subject(kept.subject)
    if not events:
        return "The store no longer knows this patient.", None, ()
    timeline = Timeline(kept.subject, events, site_concepts(profile), profile)
    stay = next((stay for stay in timeline.stays if kept.encounter_id in stay.all_encounters), None)
    if stay is None:
        return "The records no longer hold this stay.", None, ()
    try:
        view = View(timeline, stay, kept.as_of)
        row = view.row(model.features)
        today = model.explain(row)
    except ReadmitError as error:
        return f"The records of that moment can no longer be scored: {error}.", None, ()
    updated = {event.source: event.updated for event in events}
    differences = tuple(_differences(kept, model, view, row, updated))
    told = (
        f"{len(differences)} of {len(row)} inputs are no longer what they were."
        if differences
        else "The records give the same inputs today, to the last bit."
    )
    return told, today.probability, differences


def _differences(
    kept: KeptScore,
    model: RiskModel,
    view: View,
    row: Sequence[float],
    updated: dict[str, int],
) -> list[Difference]:
    found = []
    now = np.frombuffer(row_bytes(row), dtype="<f4")
    for position, feature in enumerate(model.features):
        then_value, now_value = kept.row[position], now[position]
        if row_bytes([then_value]) == row_bytes([now_value]):
            continue
        sources = list(dict.fromkeys(one.source for one in view.evidence(feature)))
        corrected = [one for one in sources if updated.get(one, 0) > kept.scored_at]
        found.append(
            Difference(
                feature=feature.name,
                then=_value(then_value),
                now=_value(now_value),
                unit=feature.unit,
                sentence=_why(sources, corrected, lambda one: _instant(updated[one])),
                corrected=tuple(corrected[:_SOURCES_SHOWN]),
            )
        )
    return found


def _why(sources: list[str], corrected: list[str], when: Callable[[str], str]) -> str:
    if corrected:
        named = ", ".join(f"{one} ({when(one)})" for one in corrected[:_SOURCES_SHOWN])
        return f"updated after the score was given: {named}"
    if not sources:
        return "no record of that moment is behind it any more: withdrawn or moved since"
    named = ", ".join(sources[:_SOURCES_SHOWN])
    return f"rests on {named} today: added, withdrawn or read otherwise since"


def _value(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)


def _instant(microseconds: int) -> str:
    moment = datetime.datetime.fromtimestamp(microseconds / 1_000_000, datetime.UTC)
    return moment.isoformat(timespec="seconds")
