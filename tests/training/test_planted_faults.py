"""Faults that are planted in simulated studies are caught by a gate and named in the report."""

import html
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.findings import GateResult
from training.report import read_run
from training.study import EvaluationRules, SplitRules, Study
from training.study_data import StudyData
from training.train import train

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")

STUDY = Study(
    split=SplitRules(by="patient"),
    evaluation=EvaluationRules(resamples=200, stability_refits=0, learning_shares=()),
)
ONE_OF_FOUR = ("English", "Spanish", "French", "Chinese")


def with_languages(data: StudyData) -> StudyData:
    """Each patient speaks one language, told by the patient's number."""
    numbers = [int(subject.rpartition("-")[2]) for subject in data.subjects]
    languages = [ONE_OF_FOUR[number % 4] for number in numbers]
    return replace(data, stays=data.stays.assign(language=languages))


def judged(data: StudyData, mlruns: Path) -> tuple[dict[str, GateResult], str]:
    """What each gate said of a model of these stays, and the text of its report."""
    result = train(data, mlruns, STUDY)
    run = read_run(Path(result.folder).parent)
    assert run.gates is not None
    page = Path(result.report).read_text(encoding="utf-8")
    return {gate.gate: gate for gate in run.gates.results}, html.unescape(page)


@pytest.fixture(scope="module")
def sound(make_study, tmp_path_factory):
    data = with_languages(make_study(3_000, noise=1))
    return judged(data, tmp_path_factory.mktemp("sound"))


def test_a_sound_study_passes_the_gates_that_catch_the_faults(sound):
    gates, _ = sound
    assert gates["leakage"].passed
    assert gates["subgroup"].passed


def test_a_leaked_feature_is_named(make_study, tmp_path):
    data = with_languages(make_study(1_200, noise=1))
    leaked = data.values.copy()
    noise = np.random.default_rng(5).normal(0, 0.4, len(data))
    leaked[:, 4] = data.outcome + noise
    gates, page = judged(replace(data, values=leaked), tmp_path)
    assert not gates["leakage"].passed
    assert not gates["discrimination"].passed, "too good to be true is refused as well"
    assert any("f4" in failure for failure in gates["leakage"].failures)
    assert all(failure in page for failure in gates["leakage"].failures)


def test_a_group_whose_labels_were_shuffled_is_named(sound, make_study, tmp_path):
    data = with_languages(make_study(3_000, noise=1))
    group = np.flatnonzero(data.stays["language"] == "Spanish")
    shuffled = data.outcome.copy()
    shuffled[group] = shuffled[np.random.default_rng(5).permutation(group)]
    gates, page = judged(replace(data, outcome=shuffled), tmp_path)
    assert not gates["subgroup"].passed
    assert any("Spanish" in failure for failure in gates["subgroup"].failures)
    assert not any("French" in failure for failure in gates["subgroup"].failures)
    assert all(failure in page for failure in gates["subgroup"].failures)
