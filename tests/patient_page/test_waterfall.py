"""The waterfall: what it draws adds up to the risk that is shown, whatever the reasons."""

from math import fsum, isclose

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import examples
from service.patient_page.waterfall import WIDTH, probability, waterfall
from service.score import Scored

LOG_ODDS = st.floats(-8, 8).map(lambda value: round(value, 6))
PARTS = st.lists(LOG_ODDS.filter(bool), max_size=12)


def scored(baseline: float, parts: list[float], rest: float) -> Scored:
    """A risk with so many reasons, whose parts add up as a model's do."""
    reason = examples.SCORED.reasons[0]
    log_odds = fsum([baseline, *parts, rest])
    return msgspec.structs.replace(
        examples.SCORED,
        baseline_log_odds=baseline,
        log_odds=log_odds,
        probability=probability(log_odds),
        reasons=tuple(
            msgspec.structs.replace(
                reason, contribution=part, direction="raises" if part > 0 else "lowers"
            )
            for part in parts
        ),
        other_contributions=rest,
    )


@given(LOG_ODDS, PARTS, LOG_ODDS)
def test_the_steps_lead_from_the_baseline_to_the_risk_without_a_gap(baseline, parts, rest):
    score = scored(baseline, parts, rest)
    first, *steps, last = waterfall(score)
    assert (first.kind, last.kind) == ("baseline", "risk")
    assert first.end == baseline
    at = first
    for step in steps:
        assert step.begin == at.end
        assert step.begin_x == at.end_x
        at = step
    assert last.end == score.log_odds
    assert isclose(at.end, last.end, abs_tol=1e-9)
    assert isclose(baseline + fsum(one.contribution for one in steps), last.end, abs_tol=1e-9)
    assert isclose(last.end_probability, score.probability, abs_tol=1e-12)


@given(LOG_ODDS, PARTS, LOG_ODDS)
def test_what_raises_goes_right_what_lowers_goes_left_and_all_stays_in_the_drawing(
    baseline, parts, rest
):
    for step in waterfall(scored(baseline, parts, rest)):
        assert 0 <= step.x <= step.x + step.width <= WIDTH
        if step.kind == "raises":
            assert step.contribution > 0
            assert step.end_x >= step.begin_x == step.x
        if step.kind == "lowers":
            assert step.contribution < 0
            assert step.end_x <= step.begin_x
            assert step.end_x == step.x


def test_bars_are_as_long_as_their_contributions():
    _, first, second, *_ = waterfall(scored(-2.0, [0.5, -0.25], 0.0))
    assert first.width == pytest.approx(2 * second.width)


def test_each_reason_leads_to_its_entry_and_the_rest_to_theirs():
    steps = waterfall(examples.SCORED)
    targets = [step.target for step in steps if step.target]
    assert targets == ["reason-1", "reason-2", "reason-3", "others"]
    assert [step.words for step in steps[1:4]] == [one.phrase for one in examples.SCORED.reasons]


def test_a_score_without_any_reason_is_its_baseline():
    first, last = waterfall(scored(-2.0, [], 0.0))
    assert first.end_probability == last.end_probability
