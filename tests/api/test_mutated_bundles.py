"""Ten million bytes of damaged Bundles: each one is read or refused; none crashes or hangs."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from mutation import mutated

from fhir_mappings.consent import OptOuts
from fhir_mappings.errors import NotFHIRError, UnprocessableError
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import read_bundle
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.timeline import Timeline
from service import examples
from service.score import encoded
from service.scoring import choose_stay, score_stay

ALL_BYTES = 10_000_000
SEEDS = range(8)
HANGING_SECONDS = 20
"""Far beyond what a Bundle of a few kilobytes takes on the slowest machine."""

DEFAULT = load_profile("default")
CONCEPTS = site_concepts(DEFAULT)


class HangsError(Exception):
    """One document took longer than any should."""


@contextmanager
def deadline() -> Iterator[None]:
    def late(_: int, __: FrameType | None) -> None:
        raise HangsError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(HANGING_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def scored(raw: bytes, model: object) -> str:
    """All that ``POST /v1/score`` does with a body; what became of it."""
    try:
        records = read_bundle(raw, DEFAULT)
        timeline = Timeline(records.subject, records.events, CONCEPTS, DEFAULT)
        stay = choose_stay(timeline, None, None)
        score = score_stay(
            model,  # type: ignore[arg-type]  # stands in for a risk model
            timeline,
            stay,
            stay.end or stay.start,
            opt_outs=OptOuts(),
        )
    except (NotFHIRError, UnprocessableError) as refusal:
        return type(refusal).__name__
    encoded(score)
    return score.status


@pytest.mark.parametrize("seed", SEEDS)
def test_no_damaged_bundle_crashes_or_hangs_the_reader(seed: int, model: object) -> None:
    dice = random.Random(seed)
    ends: dict[str, int] = {}
    read = 0
    while read < ALL_BYTES / len(SEEDS):
        raw = mutated(examples.BUNDLE, dice)
        with deadline():
            end = scored(raw, model)
        ends[end] = ends.get(end, 0) + 1
        read += len(raw)
    # If all were refused, or none, the mutations would try one half of the way alone.
    assert {"scored", "NotFHIRError", "UnprocessableError", "not_scored"} <= ends.keys(), ends
