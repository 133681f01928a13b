"""Kept reports draw a trend, and the public reads aggregates of the last. Figures are made up."""

import json
import xml.etree.ElementTree as ET

import msgspec
import pytest

from fhir_mappings.errors import StudyError
from training.monitoring.disclosure import Cell
from training.monitoring.findings import Alert, FeatureDrift, MonitorReport, ScoreDrift
from training.monitoring.history import keep, kept, read_report, trend, trend_plot
from training.monitoring.transparency import issues, publish, render, transparency
from training.risk_model import Interval

REPORT = MonitorReport(
    made="2026-01-31T12:00:00+00:00",
    model="readmit",
    version="3",
    fingerprint="ab" * 32,
    profile="simulated",
    simulated=True,
    horizon_days=30,
    since=None,
    until=None,
    first_discharge="2025-07-03T08:00:00+00:00",
    last_discharge="2025-12-30T16:00:00+00:00",
    stays=400,
    patients=300,
    enough=True,
    matured=350,
    readmissions=52,
    inputs=60,
    groups={
        "band": {"low": 270, "moderate": 48, "high": 82},
        "sex": {"female": 203, "male": 191, "not recorded": 6},
    },
    outcomes={"readmitted": 52, "not readmitted": 298},
    drifted=(
        FeatureDrift(
            name="sodium_latest", psi=0.3, chance=0.0, missing_reference=0.0, missing=0.0,
            missing_chance=1.0, used=True, drifted=True, missing_changed=False,
        ),
    ),
    scores=ScoreDrift(0.02, 0.4, 0.15, 0.147, {"low": 0.675, "moderate": 0.12, "high": 0.205}),
    performance={
        "auroc": Interval(0.7123, 0.6511, 0.7777),
        "observed_to_expected": Interval(1.021, 0.8, 1.26),
        "calibration_slope": Interval(0.95, None, None),
    },
    test={"auroc": Interval(0.731, 0.7, 0.76)},
    estimate={"auroc": Interval(0.72, 0.7, 0.74)},
    alerts=(Alert("alert", "sodium_latest", "Sodium has drifted.", "Look."),),
)  # fmt: skip


def later(**changes):
    return msgspec.structs.replace(REPORT, made="2026-02-28T12:00:00+00:00", **changes)


def test_a_kept_report_comes_back_as_it_was_and_is_never_overwritten(tmp_path):
    path = keep(REPORT, tmp_path / "monitoring")
    assert path.name == "20260131120000-abababababab.json"
    assert read_report(path) == REPORT
    with pytest.raises(StudyError, match="never overwritten"):
        keep(REPORT, tmp_path / "monitoring")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_reports_are_read_the_oldest_first_and_a_damaged_one_is_named(tmp_path):
    for report in (later(), REPORT):
        keep(report, tmp_path)
    assert [report.made[:7] for report in kept(tmp_path)] == ["2026-01", "2026-02"]
    (tmp_path / "20260301.json").write_text("{}")
    with pytest.raises(StudyError, match=r"20260301\.json"):
        kept(tmp_path)
    with pytest.raises(StudyError, match="no such report"):
        read_report(tmp_path / "absent.json")


def test_the_trend_has_a_row_for_each_report_that_had_stays_enough(tmp_path):
    short = later(enough=False, scores=None, performance={}, estimate={}, drifted=(), alerts=())
    for report in (REPORT, short):
        keep(report, tmp_path)
    table = trend(tmp_path)
    assert len(table) == 1
    row = table.iloc[0]
    assert (row["auroc"], row["auroc_low"], row["auroc_high"]) == (0.7123, 0.6511, 0.7777)
    assert (row["estimated_auroc"], row["observed_to_expected"]) == (0.72, 1.021)
    assert (row["drifted"], row["alerts"], row["mean_risk"]) == (1, 1, 0.15)


def test_the_trend_is_drawn_the_same_each_time_and_says_that_it_is_simulated(tmp_path):
    for report in (REPORT, later(last_discharge=None, performance={})):
        keep(report, tmp_path)
    text = trend_plot(trend(tmp_path), "Simulated records")
    assert text == trend_plot(trend(tmp_path), "Simulated records")
    ET.fromstring(text)
    for word in ("Simulated records", "AUROC", "observed / expected", "mean risk", "2026-02-28"):
        assert word in text
    with pytest.raises(StudyError, match="no report"):
        trend_plot(trend(tmp_path / "empty"), "Simulated records")


def test_an_issue_has_ranges_months_and_rounded_measures_and_nothing_finer(tmp_path):
    issue = transparency(REPORT, tmp_path, card="https://hospital.example/card")
    by_name = {table.name: table for table in issue.tables}
    assert by_name["sex"].cells == (
        Cell("female", 198), Cell("male", 187), Cell("not recorded", 0),
    )  # fmt: skip
    assert (issue.first_month, issue.last_month) == ("2025-07", "2025-12")
    (auroc, ratio) = issue.measures
    assert (auroc.value, auroc.low, auroc.high, auroc.test) == (0.71, 0.65, 0.78, 0.73)
    assert (ratio.name, ratio.test) == ("observed_to_expected", None)
    published = json.loads(msgspec.json.encode(issue))
    assert not {"stays", "patients", "readmissions", "groups"} & published.keys()


def test_the_page_carries_everything_itself_and_escapes_what_it_is_told(tmp_path):
    groups = {**REPORT.groups, "payer": {"<b>Public</b>": 200, "Private": 200}}
    issue = transparency(later(groups=groups), tmp_path, card="javascript:alert(1)")
    page = render(issue)
    assert "&lt;b&gt;Public&lt;/b&gt;" in page
    assert "<b>Public" not in page
    assert "href" not in page
    assert "src=" not in page
    assert "Simulated records." in page
    assert "under 11" in page
    assert "198 to 208" in page
    assert "203" not in page.replace("#", "")


def test_a_model_card_at_an_address_is_linked(tmp_path):
    page = render(transparency(REPORT, tmp_path, card="https://hospital.example/card"))
    assert '<a href="https://hospital.example/card">' in page


def test_measures_are_held_back_where_few_were_readmitted(tmp_path):
    assert transparency(later(readmissions=10), tmp_path).measures == ()
    assert "Too few outcomes are known" in render(transparency(later(readmissions=10), tmp_path))


def test_issues_are_kept_and_read_by_the_next_one(tmp_path):
    page, data = publish(transparency(REPORT, tmp_path), tmp_path)
    assert page.suffix == ".html"
    assert issues(tmp_path) == [
        msgspec.json.decode(data.read_bytes(), type=type(issues(tmp_path)[0]))
    ]
    with pytest.raises(StudyError, match="never overwritten"):
        publish(transparency(REPORT, tmp_path), tmp_path)
    publish(transparency(later(), tmp_path), tmp_path)
    assert [issue.made[:7] for issue in issues(tmp_path)] == ["2026-01", "2026-02"]


def test_an_issue_that_cannot_be_checked_is_not_made(tmp_path):
    publish(transparency(REPORT, tmp_path), tmp_path)
    with pytest.raises(StudyError, match="another smallest cell"):
        transparency(later(), tmp_path, smallest=5)
    (tmp_path / "transparency-1.json").write_text("[]")
    with pytest.raises(StudyError, match=r"transparency-1\.json"):
        transparency(later(), tmp_path)


def test_where_nothing_may_be_published_the_issue_is_refused(tmp_path):
    with pytest.raises(StudyError, match="too few stays"):
        transparency(later(enough=False), tmp_path)
    betrayed = later(
        groups={"band": {"high": 12}, "sex": {"female": 12}},
        outcomes={},
    )
    publish(transparency(REPORT, tmp_path), tmp_path)
    assert transparency(betrayed, tmp_path).tables[0].cells == (Cell("high", 11),)
    with pytest.raises(StudyError, match="reveal a person"):
        transparency(later(groups={}, outcomes={}), tmp_path)


@pytest.mark.parametrize(("first", "warned"), [("2024-02-29", True), ("2024-03-01", False)])
def test_a_period_that_training_knew_is_said_to_flatter_the_model(tmp_path, first, warned):
    begun = f"{first}T10:00:00Z"
    told = msgspec.structs.replace(REPORT, trained_until="2024-02-29", first_discharge=begun)
    page = render(transparency(told, tmp_path))
    assert ("reaches back into the time that the model learned from" in page) == warned
