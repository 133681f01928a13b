"""The model card: all questions asked, the run's answers filled in, the rest listed as missing."""

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import pytest
from markdown_it import MarkdownIt
from parsed_page import Page, assert_reads_well
from simulated_run import Made

from fhir_mappings.errors import StudyError
from training.model_card import (
    ModelCardFacts,
    card_html,
    card_json,
    card_markdown,
    card_schema,
    load_facts,
    model_card,
)
from training.model_card.answers import RUN_ANSWERS
from training.model_card.card import FRAMEWORKS, attributes
from training.report import RunArtifacts, read_run
from training.report.artifacts import OPTIONAL

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "training" / "model_card" / "model-card.schema.json"
EXAMPLE = ROOT / "docs" / "model-card.example.toml"
NOBODY = ModelCardFacts()


def places() -> list[str]:
    """Every place in model-card.toml."""
    return [
        f"{part.name}.{each.name}"
        for part in msgspec.structs.fields(ModelCardFacts)
        for each in msgspec.structs.fields(part.type)
    ]


def told(place: str) -> str:
    return f"People said of {place}."


def everything_said() -> ModelCardFacts:
    content: dict[str, dict[str, str]] = {}
    for place in places():
        part, _, name = place.partition(".")
        content.setdefault(part, {})[name] = told(place)
    return msgspec.convert(content, ModelCardFacts)


@pytest.fixture(scope="module")
def run_artifacts(tmp_path_factory: pytest.TempPathFactory) -> RunArtifacts:
    return read_run(Made().write(tmp_path_factory.mktemp("run") / "artifacts", ["plots"]))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> RunArtifacts:
    folder = tmp_path_factory.mktemp("bare") / "artifacts"
    return read_run(Made().write(folder, [*OPTIONAL, "plots"]))


def test_the_regulations_31_attributes_stand_in_their_nine_groups():
    asked = attributes("hti1")
    assert [each.number for each in asked] == [str(number) for number in range(1, 32)]
    groups = list(dict.fromkeys(each.group for each in asked))
    counts = [sum(each.group == group for each in asked) for group in groups]
    assert counts == [4, 4, 2, 4, 2, 4, 5, 4, 2]


def test_all_27_items_of_tripod_ai_are_asked_and_say_where_they_are_answered():
    asked = attributes("tripod")
    numbers = list(dict.fromkeys(int(re.sub(r"\D", "", each.number)) for each in asked))
    assert numbers == list(range(1, 28))
    assert all(each.where for each in asked)
    assert {"23a", "23b"} < {each.number for each in asked}


def test_the_sections_of_the_chai_card_are_all_there():
    asked = attributes("chai")
    sections = list(dict.fromkeys(each.group.partition(":")[0] for each in asked))
    assert sections == [
        "BasicInfo",
        "ReleaseInfo",
        "ModelSummary",
        "UsesAndDirections",
        "Warnings",
        "TrustIngredients",
        "KeyMetrics",
        "Resources",
        "Bibliography",
    ]
    metrics = [each.number for each in asked if each.group.startswith("KeyMetrics")]
    assert len(metrics) == 18
    assert {each.partition(".")[0] for each in metrics} == {
        "UsefulnessUsabilityEfficacy",
        "FairnessEquity",
        "SafetyReliability",
    }


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_questions_are_numbered_once_and_have_somebody_to_answer_them(framework):
    asked = attributes(framework)
    assert len({each.number for each in asked}) == len(asked)
    for each in asked:
        assert each.run or each.people or each.also, each.name
        assert set(each.run) <= RUN_ANSWERS.keys()
        assert {*each.people, *each.also} <= set(places())


def test_every_answer_of_the_run_and_of_people_is_asked_for_somewhere():
    asked = [each for framework in FRAMEWORKS for each in attributes(framework)]
    assert {name for each in asked for name in each.run} == RUN_ANSWERS.keys()
    assert {place for each in asked for place in (*each.people, *each.also)} == set(places())


def test_without_people_what_only_they_know_is_missing_and_nothing_is_made_up(run_artifacts):
    card = model_card(run_artifacts, NOBODY)
    missing = {(each.framework, each.number) for each in card.missing}
    for number in (1, 2, 5, 7, 8, 14, 16, 17, 18, 19, 20, 23, 24, 25, 27, 28, 29, 30, 31):
        assert ("hti1", str(number)) in missing
        assert card.hti1[number - 1].answer == ()
        assert card.hti1[number - 1].status == "missing"
    for number in (3, 4, 6, 11, 12, 13, 15, 21, 22):
        assert ("hti1", str(number)) not in missing
        assert card.hti1[number - 1].answer
    halves = [each.number for each in card.hti1 if each.status == "partly"]
    assert halves == ["9", "10", "26"]


def test_no_question_is_blank_without_being_listed(run_artifacts, bare):
    for run in (run_artifacts, bare):
        card = model_card(run, NOBODY)
        for framework in FRAMEWORKS:
            listed = {each.number for each in card.missing if each.framework == framework}
            for each in getattr(card, framework):
                assert (each.status == "answered") == (each.number not in listed)
                assert bool(each.answer) == (each.status != "missing")
                assert bool(each.wanted) == (each.status != "answered")


def test_with_everything_said_nothing_is_missing_and_every_word_is_shown(run_artifacts):
    card = model_card(run_artifacts, everything_said())
    assert card.missing == ()
    for text in (card_html(card), card_json(card), card_markdown(card).replace("\\", "")):
        assert all(told(place) in text for place in places())
    assert "Nothing: every question has an answer." in card_html(card)
    assert "Nothing: every question has an answer." in card_markdown(card)


def test_what_the_run_did_not_measure_is_missing_even_if_people_said_all(bare):
    card = model_card(bare, everything_said())
    assert {"13", "15", "22"} == {e.number for e in card.missing if e.framework == "hti1"}
    assert ("the run: test fairness",) in {each.wanted for each in card.missing}


def test_blank_space_is_no_answer(run_artifacts):
    facts = msgspec.convert({"use": {"intended_use": "  \n "}}, ModelCardFacts)
    card = model_card(run_artifacts, facts)
    assert card.hti1[4].status == "missing"


def test_figures_are_those_of_the_run(run_artifacts):
    card = model_card(run_artifacts, NOBODY)
    validity = " ".join(card.hti1[20].answer)
    auroc = run_artifacts.evaluation.model["auroc"]
    assert f"AUROC {auroc.value:.3f} ({auroc.low:.3f} to {auroc.high:.3f})" in validity
    assert "4,120 stays" in " ".join(paragraph for each in card.chai for paragraph in each.answer)
    assert "sex: female" in " ".join(card.hti1[11].answer)
    assert "race" in " ".join(card.hti1[11].answer).partition("Not used")[2]


def test_small_groups_and_few_exclusions_are_not_counted_out(run_artifacts):
    card = model_card(run_artifacts, NOBODY)
    assert (
        "not shown (fewer than 11 stays or outcomes, or to hide such a group): Other Race"
        in " ".join(card.hti1[12].answer)
    )
    assert "Left against medical advice or Discharged to hospice (13)" in " ".join(
        card.hti1[10].answer
    )


def test_a_small_test_is_named_a_limitation(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots", "fairness.json", "leakage.json"])
    content = json.loads((folder / "evaluation.json").read_bytes())
    content["readmissions"] = 7
    (folder / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    limits = " ".join(model_card(read_run(folder), NOBODY).hti1[9].answer)
    assert "The test has fewer than 11 readmissions; an interval needs 50." in limits
    assert "No leakage audit was made." in limits
    assert "groups were not measured" in limits


def test_the_same_run_and_facts_give_the_same_card(run_artifacts):
    first, second = (card_json(model_card(run_artifacts, NOBODY)) for _ in range(2))
    assert first == second


def test_the_json_is_what_the_schema_in_the_repository_says(run_artifacts, bare):
    assert SCHEMA.read_text(encoding="utf-8") == card_schema()
    schema = json.loads(SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for run in (run_artifacts, bare):
        validator.validate(json.loads(card_json(model_card(run, NOBODY))))
    broken = json.loads(card_json(model_card(bare, NOBODY)))
    del broken["missing"]
    assert not validator.is_valid(broken)


def test_the_page_reads_well_and_lists_the_missing_first(run_artifacts):
    text = card_html(model_card(run_artifacts, NOBODY))
    parsed = Page(text)
    assert_reads_well(parsed)
    assert text.index("What is missing</h2>") < text.index('<h2 id="hti1"')
    assert "Simulated records." in parsed.words
    assert "mandatory" not in parsed.words
    assert "://" not in text.replace("https://doi.org/10.", "")


def test_hostile_answers_are_text_on_the_page_and_in_markdown(run_artifacts):
    hostile = "<script>alert(1)</script> [x](javascript:y) **bold** `code` | a_b_c # & &lt;"
    facts = msgspec.convert({"use": {"intended_use": hostile}}, ModelCardFacts)
    card = model_card(run_artifacts, facts)
    page = Page(card_html(card))
    assert_reads_well(page)
    assert hostile in page.words
    rendered = Page(MarkdownIt("commonmark").render(card_markdown(card)))
    assert hostile in rendered.words
    assert not rendered.named("script", "a")


def test_the_example_asks_everything_and_says_nothing(run_artifacts):
    assert load_facts(EXAMPLE) == NOBODY
    text = EXAMPLE.read_text(encoding="utf-8")
    named = []
    part = ""
    for line in text.splitlines():
        if found := re.match(r"\[(\w+)\]", line):
            part = found[1]
        elif found := re.match(r"(\w+) = \"\"", line):
            named.append(f"{part}.{found[1]}")
    assert named == places()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[use]\nintended_uses = 'x'", "intended_uses"),
        ("[usage]\nx = 'y'", "usage"),
        ("[use]\nintended_use = 3", "str"),
        ("[use", "model-card.toml"),
    ],
)
def test_facts_that_are_not_asked_for_are_refused(tmp_path, content, said):
    path = tmp_path / "model-card.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(StudyError, match=said):
        load_facts(path)


def test_facts_that_are_absent_are_refused_with_their_name(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere\.toml"):
        load_facts(tmp_path / "nowhere.toml")


def test_a_test_with_few_readmissions_does_not_have_them_counted_on_the_card(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    content = json.loads((folder / "evaluation.json").read_bytes())
    content["readmissions"] = 7
    (folder / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    card = card_markdown(model_card(read_run(folder), ModelCardFacts()))
    assert "fewer than 11 followed by a readmission" in card
    assert not re.search(r"\b7 (?:followed|readmissions)", card)
