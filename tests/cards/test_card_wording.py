"""What a clinician reads in passing, and what is behind it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from service import examples
from service.cards.wording import detail, percent, summary
from service.score import Comparison, Reason, Scored

SCORED = examples.ANSWERS["scored"]
assert isinstance(SCORED, Scored)


def reason(phrase: str, direction: str = "raises", changeable: bool = False) -> Reason:
    return replace(SCORED.reasons[0], phrase=phrase, direction=direction, changeable=changeable)


def compared(ratio: float | None) -> Scored:
    comparison = Comparison(reference_risk=0.12, ratio=ratio, phrase="so and so")
    return replace(SCORED, probability=0.31, comparison=comparison, reasons=())


def test_a_summary_says_risk_comparison_and_the_main_reasons() -> None:
    score = replace(
        compared(2.04),
        reasons=(
            reason("heart failure, last recorded 2026-03-03"),
            reason("3 hospital stays in the six months before"),
            reason("home with home care", direction="lowers"),
            reason("sodium 129 mmol/L on 2026-03-09", changeable=True),
        ),
    )
    assert summary(score, "the ward average") == (
        "Readmission risk 31 %, twice the ward average: heart failure, "
        "3 hospital stays in the six months before, sodium 129 mmol/L"
    )


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.0, ", about the average"),
        (0.89, ", below the average"),
        (1.5, ", 1.5 times the average"),
        (1.95, ", twice the average"),
        (3.0, ", three times the average"),
        (7.0, ", 7 times the average"),
        (None, ""),
    ],
)
def test_a_risk_is_compared_in_words(ratio: float | None, words: str) -> None:
    assert summary(compared(ratio)) == f"Readmission risk 31 %{words}"


@given(st.lists(st.text(min_size=1, max_size=90), max_size=12), st.floats(0, 1), st.floats(0, 50))
def test_a_summary_is_always_below_140_characters_and_one_line(
    phrases: list[str], probability: float, ratio: float
) -> None:
    reasons = tuple(reason(" ".join(words.split()) or "-") for words in phrases)
    score = replace(compared(ratio), probability=probability, reasons=reasons)
    line = summary(score, "the average of the long-stay ward for older people")
    assert len(line) < 140
    assert "\n" not in line


def test_a_reason_that_does_not_fit_is_left_out_whole() -> None:
    score = replace(compared(1.0), reasons=(reason("a" * 60), reason("b" * 60), reason("c")))
    assert summary(score).endswith("a" * 60)


@pytest.mark.parametrize(
    ("probability", "words"),
    [(0.0, "under 1 %"), (0.004, "under 1 %"), (0.31, "31 %"), (0.996, "over 99 %")],
)
def test_no_risk_is_said_to_be_none_or_certain(probability: float, words: str) -> None:
    assert percent(probability) == words


def test_the_detail_parts_what_can_be_changed_from_what_cannot() -> None:
    page = detail(SCORED)
    change, reckon = (
        page.index("What a care team can change"),
        page.index("What it has to reckon with"),
    )
    assert change < page.index("sodium 131") < reckon < page.index("1 hospital stay")
    assert "Observation/example-sodium" in page
    for said in ("**LACE 10 (high)**", "**HOSPITAL 5", "albumin not measured", "474 days old"):
        assert said in page


@given(st.text(max_size=80))
def test_nothing_in_a_record_becomes_markup(text: str) -> None:
    page = detail(replace(SCORED, reasons=(reason(f"<b>[{text}](http://evil.example)"),)))
    assert "<b>" not in page
    assert not re.search(r"(?<!\\)\]\(", page)


def test_a_hostile_phrase_cannot_begin_a_line_of_its_own() -> None:
    page = detail(replace(SCORED, reasons=(reason("x\n\n# Risk 1 %\r\n- fine"),)))
    assert "\n# Risk" not in page
    assert "x \\# Risk 1 % - fine" in page
