"""The page of a run: whole in itself, true to its artifacts, and readable by everybody."""

import json
import re

import msgspec
import pytest
from parsed_page import Page, assert_reads_well
from simulated_run import Made

from fhir_mappings.errors import RiskModelError, StudyError
from training.findings import Explanation
from training.report import read_run, render_report, write_report
from training.report.artifacts import OPTIONAL

WITHOUT = [*OPTIONAL, "plots"]
SECTIONS = [
    "Summary",
    "Whose stays count",
    "How well it tells stays apart",
    "Calibration",
    "When readmissions happen",
    "Decision curve",
    "What a ward gets from it",
    "For whom it works",
    "What moves the model",
    "Leakage audit",
    "Learning curve",
    "Search for settings",
    "Against the model in use",
    "Choices of the study",
    "Making it again",
]


def test_the_page_is_valid_whole_in_itself_and_open_to_a_screen_reader(page):
    assert_reads_well(Page(page))


def test_nothing_is_fetched_from_anywhere(page):
    unread = re.sub(r'<a href="https://doi\.org/10\.[^"]+">doi:[^<]+</a>', "", page)
    addresses = re.findall(r"https?://[^\s\"'<]+", unread)
    assert addresses == []
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []


def test_sections_come_in_the_order_that_a_reader_needs_them(page):
    found = re.findall(r"<h2 id=\"[a-z]+\">([^<]+)</h2>", page)
    assert found[1 : len(SECTIONS) + 1] == SECTIONS


def test_every_picture_has_a_name_and_a_description_and_ids_of_its_own(page):
    parsed = Page(page)
    pictures = [each for each in parsed.named("svg") if each.get("role") == "img"]
    assert len(pictures) == len(parsed.named("figure")) >= 11
    assert all(each["aria-labelledby"].count(" ") == 1 for each in pictures)


def test_plots_of_training_stand_where_a_reader_looks_for_them(page):
    keys = re.findall(r'<figure id="plot-([a-z-]+)">', page)
    assert keys == [
        "roc",
        "precision-recall",
        "calibration",
        "returns",
        "decision",
        "forest-auroc",
        "forest-calibration-intercept",
        "shap-beeswarm",
        "shap-bar",
        "shap-dependence-age",
        "shap-dependence-female",
        "learning-curve",
    ]


def test_the_curve_of_returns_is_drawn_with_its_band_and_told_in_words(page):
    assert 'id="plot-returns"' in page
    assert "655 readmissions of training stays" in page
    # F(7) of the curve that was made up, with its interval.
    assert "50.4 % (46.5 % to 54.2 %) within a week" in re.sub(r"[\u202f\xa0]", " ", page)
    assert "1.20 times as much as by chance alone" in page


def test_a_model_that_does_not_know_when_readmissions_happen_says_so(tmp_path):
    made = Made(returns=None)
    text = render_report(read_run(made.write(tmp_path / "run")))
    assert 'id="plot-returns"' not in text
    assert "Its risks do not age" in text


def test_the_same_artifacts_give_the_same_page(run_artifacts, page):
    assert render_report(run_artifacts) == page


def test_simulated_records_are_called_so_in_every_caption(page):
    parsed = Page(page)
    captions = re.findall(r"<(?:figcaption|caption)>(.*?)</(?:figcaption|caption)>", page, re.S)
    about_choices = {"Every choice, by its place in the study file", "Facts of the run"}
    assert len(captions) > 20
    assert all("imulated records" in each for each in captions if each not in about_choices)
    assert "Simulated records." in parsed.words


def test_records_of_a_hospital_are_not_called_simulated(tmp_path):
    text = render_report(read_run(Made(simulated=False).write(tmp_path / "run", ["plots"])))
    assert "imulated" not in Page(text).words


def test_a_run_that_lacks_what_it_may_lack_says_so(tmp_path):
    text = render_report(read_run(Made().write(tmp_path / "run", WITHOUT)))
    parsed = Page(text)
    assert_reads_well(parsed)
    for name, what in OPTIONAL.items():
        if name not in ("search.json", "changes.json"):
            assert f"{what} ({name} is not among its artifacts)" in parsed.words
    assert "no search was made" in parsed.words
    assert "This run did not ask" in parsed.words
    assert "This run was not audited" in parsed.words


@pytest.mark.parametrize("name", ["run.json", "flow.json", "evaluation.json", "study.json"])
def test_a_run_that_lacks_what_every_run_has_is_refused(tmp_path, name):
    with pytest.raises(RiskModelError, match=name):
        read_run(Made().write(tmp_path / "run", [name, "plots"]))


def test_a_malformed_finding_is_refused_with_its_name(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    (folder / "fairness.json").write_text('{"smallest_cell": "eleven"}', encoding="utf-8")
    with pytest.raises(RiskModelError, match=r"fairness\.json"):
        read_run(folder)
    (folder / "study.json").write_text('{"gate": {}}', encoding="utf-8")
    with pytest.raises(StudyError, match="gate"):
        read_run(folder)


def test_a_damaged_model_gets_no_report(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    reference = folder / "model" / "reference.json"
    reference.write_text(reference.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(RiskModelError, match=r"reference\.json"):
        read_run(folder)


CHANGED = [
    ("evaluation.json", ("model", "auroc", "value"), 0.6123, "0.612"),
    ("evaluation.json", ("model", "auroc", "low"), 0.5876, "0.588 to"),
    ("evaluation.json", ("baselines", "logistic", "brier", "high"), 0.7654, "0.765"),
    ("evaluation.json", ("differences", "champion", "auroc", "low"), -0.0987, "\u22120.099"),
    ("evaluation.json", ("stays",), 97_531, "97,531"),
    ("evaluation.json", ("calibration", "groups", 3, "predicted"), 0.9379, "93.8\u202f%"),
    ("evaluation.json", ("net_benefit", 4, "model", "value"), 0.0813, "81.3"),
    ("evaluation.json", ("capacities", 1, "ppv", "value"), 0.9867, "98.7\u202f%"),
    ("evaluation.json", ("capacities", 2, "alerts_per_week"), 77.7, "77.7"),
    ("fairness.json", ("groupings", 0, "groups", 1, "measures", "ppv", "high"), 0.9191, "91.9"),
    (
        "fairness.json",
        ("groupings", 1, "groups", 0, "gaps", "brier", "low"),
        -0.8769,
        "\u22120.877",
    ),
    ("fairness.json", ("groupings", 2, "equal_opportunity_difference"), 0.9242, "92.4\u00a0points"),
    ("flow.json", (3, "excluded"), 54_321, "54,321"),
    ("leakage.json", ("strongest_alone", 2, 1), 0.9543, "0.954"),
    ("leakage.json", ("cautions", 0, "sentence"), "Marmalade.", "Marmalade."),
    ("explanation.json", ("families", 1, "share"), 0.8787, "87.9\u202f%"),
    ("explanation.json", ("stability", "mean_overlap"), 0.4711, "47\u202f%"),
    ("learning.json", ("points", 2, "auroc", "value"), 0.6321, "0.632"),
    ("search.json", ("trials", 0, "loss"), 0.35791, "0.3579"),
    ("changes.json", ("settings", 0, "after"), "forty-two", "forty-two"),
    ("gates.json", ("results", 1, "failures", 0), "Not so.", "Not so."),
    ("run.json", ("trees",), 98_765, "98,765"),
    ("run.json", ("packages", "numpy"), "9.8.7", "9.8.7"),
    ("study.json", ("gates", "auroc_low"), 0.6789, "0.6789"),
]


@pytest.fixture(scope="module")
def changed_words(tmp_path_factory):
    """What the page says once every one of these values is another."""
    folder = Made().write(tmp_path_factory.mktemp("changed") / "run", ["plots"])
    for name, place, value, _ in CHANGED:
        content = json.loads((folder / name).read_bytes())
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = value
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return Page(render_report(read_run(folder))).words


@pytest.mark.parametrize(("name", "place", "value", "shown"), CHANGED)
def test_what_is_shown_comes_from_the_artifacts(changed_words, page, name, place, value, shown):
    assert shown not in Page(page).words
    assert shown in changed_words


def test_a_feature_with_a_hostile_name_is_text_and_does_not_run(tmp_path):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    made = Made()
    first, *rest = made.features
    made.features = (
        msgspec.structs.replace(first, name=hostile, description=f"</table>{hostile}"),
        *rest,
    )
    text = render_report(read_run(made.write(tmp_path / "run")))
    parsed = Page(text)
    assert_reads_well(parsed)
    assert hostile in parsed.words
    assert "<script" not in text


def test_suppressed_groups_show_no_number(run_artifacts, page):
    (row,) = re.findall(r"<tr><th scope=\"row\">Other Race</th>(.*?)</tr>", page, re.S)[:1]
    assert "fewer than 11" in row
    assert re.findall(r"\d+", re.sub(r"colspan=\"\d+\"|fewer than 11", "", row)) == []


def test_few_deaths_are_not_counted_out(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    content = json.loads((folder / "evaluation.json").read_bytes())
    (folder / "evaluation.json").write_text(json.dumps({**content, "deaths": 3}), encoding="utf-8")
    assert "fewer than 11 deaths" in Page(render_report(read_run(folder))).words


def test_a_group_for_which_the_model_is_clearly_worse_is_in_the_summary(page):
    words = Page(page).words
    summary = words[words.index("For whom it is less certain") :][:400]
    assert "Clearly worse for race Asian: " in summary
    assert "Not on record, so nobody knows: ethnicity, language, payer and site" in summary


def test_an_attribute_of_which_every_group_is_too_small_is_told_without_a_table(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    content = json.loads((folder / "fairness.json").read_bytes())
    for group in content["groupings"][0]["groups"]:
        hidden = {"stays": None, "readmissions": None, "suppressed": True}
        group |= {**hidden, "measures": {}, "gaps": {}}
    (folder / "fairness.json").write_text(json.dumps(content), encoding="utf-8")
    parsed = Page(render_report(read_run(folder)))
    assert "Groups: female and male. Not shown: fewer than 11" in parsed.words
    assert "Test stays by sex" not in parsed.words
    assert "sex (female, male); race (Other Race)" in parsed.words


def test_gates_that_refuse_and_gates_that_were_waived_are_named(page):
    words = Page(page).words
    assert "No: 1 of 3 gates refuse it." in words
    assert "Waived by A. Example, chief data scientist" in words


def test_measures_that_cannot_be_estimated_are_said_to_be_so(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    content = json.loads((folder / "evaluation.json").read_bytes())
    nothing = {"value": None, "low": None, "high": None}
    content["model"] = dict.fromkeys(content["model"], nothing)
    for group in content["calibration"]["groups"]:
        group["observed"] = nothing
    content["calibration"]["smooth"] = content["net_benefit"] = content["capacities"] = []
    content["differences"] = content["baselines"] = {}
    (folder / "evaluation.json").write_text(json.dumps(content), encoding="utf-8")
    parsed = Page(render_report(read_run(folder)))
    assert_reads_well(parsed)
    assert "It cannot be said on these test stays." in parsed.words
    assert "cannot be estimated" in parsed.words
    assert "Net benefit was not measured" in parsed.words


def test_the_report_is_written_beside_what_it_is_made_from(tmp_path):
    from training.report import Champion

    before = Made()
    before.features = before.features[1:]
    champion = before.write(tmp_path / "champion", ["changes.json", "plots"])
    folder = Made().write(tmp_path / "run", ["changes.json", "plots"])
    report = write_report(folder, Champion(champion, "7"))
    words = Page(report.read_text(encoding="utf-8")).words
    assert "What changed against version 7" in words
    assert f"Features added: {Made().features[0].name}." in words
    assert "Features removed: none." in words
    assert report.read_text(encoding="utf-8") == render_report(read_run(folder))
    alone = Made().write(tmp_path / "alone", ["changes.json", "plots"])
    assert "What changed against" not in write_report(alone).read_text(encoding="utf-8")


def test_explanations_of_a_feature_that_the_model_does_not_declare_are_still_shown(tmp_path):
    folder = Made().write(tmp_path / "run", ["plots"])
    found = msgspec.json.decode((folder / "explanation.json").read_bytes(), type=Explanation)
    odd = msgspec.structs.replace(found, strongest=(("unheard_of", 0.5),))
    (folder / "explanation.json").write_bytes(msgspec.json.encode(odd))
    assert "not declared in the model" in Page(render_report(read_run(folder))).words
