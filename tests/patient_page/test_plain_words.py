"""What a patient could read: short words, people in place of per cent, and no promise."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.patient_page.plain_words import how_many, plain_sentences

HIGHEST_GRADE = 6.0
"""School years; the American Medical Association and the NIH ask for sixth grade at most."""


def syllables(word: str) -> int:
    """Groups of vowels; a silent e at the end is none."""
    groups = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith(("le", "ee"))
    return max(1, groups - silent)


def grade(sentences: tuple[str, ...]) -> float:
    """The Flesch-Kincaid grade (Kincaid 1975): school years that a reader needs."""
    words = re.findall(r"[a-z]+|\d+", " ".join(sentences).lower())
    per_sentence = len(words) / len(sentences)
    return 0.39 * per_sentence + 11.8 * sum(map(syllables, words)) / len(words) - 15.59


def test_the_grade_tells_hard_words_from_easy_ones():
    assert grade(("The cat sat on the mat.",)) < 2
    assert grade(("Calibrated probabilities quantify readmission likelihood individually.",)) > 12


@given(st.floats(0, 1))
def test_a_sixth_grader_can_read_it_whatever_the_risk(risk):
    said = plain_sentences(risk, 30)
    assert grade(said) <= HIGHEST_GRADE
    assert not re.search(r"%|per cent|percent|risk|probab|readmi|model|score", " ".join(said))


@given(st.floats(0, 1))
def test_the_number_of_people_is_the_risk_rounded(risk):
    back, of, _ = how_many(risk)
    found = re.search(r"\d+", back)
    if found and back.startswith("about"):
        assert abs(int(found[0]) / int(of) - risk) <= 0.5 / int(of) + 1e-9


@pytest.mark.parametrize(
    ("risk", "said"),
    [
        (0.31, ("about 3", "10", "about 7")),
        (0.25, ("about 3", "10", "about 7")),
        (0.07, ("about 7", "100", "about 93")),
        (0.001, ("fewer than 1", "100", "nearly all")),
        (0.99, ("nearly all", "10", "fewer than 1")),
    ],
)
def test_people_in_place_of_per_cent(risk, said):
    assert how_many(risk) == said


def test_nothing_is_promised_and_the_days_are_the_models():
    said = " ".join(plain_sentences(0.3, 30))
    assert "In the 30 days after they go home, about 3 of them" in said
    assert "guess" in said
    assert "No one can tell" in said
