"""SVG inside of a page: ids apart, nothing that runs, nothing that loads."""

import pytest
from parsed_page import Page

from fhir_mappings.errors import RiskModelError
from training.findings import (
    CalibrationCurve,
    CalibrationGroup,
    Grouping,
    NetBenefit,
    SmoothPoint,
    Subgroup,
)
from training.report import plots
from training.report.pictures import inline_svg
from training.risk_model import Interval

HOSTILE = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
     viewBox="0 0 10 10" onload="alert(1)">
  <style>* {fill: red}</style>
  <metadata><rdf>http://example.org</rdf></metadata>
  <script>alert(1)</script>
  <foreignObject><iframe src="http://example.org"/></foreignObject>
  <defs><clipPath id="p1"><rect width="1" height="1"/></clipPath></defs>
  <g id="axes" clip-path="url(#p1)" style="fill: url(http://example.org/x)">
    <use xlink:href="#axes"/><use xlink:href="http://example.org/y.svg#z"/>
    <image xlink:href="data:image/png;base64,AAAA"/>
    <image xlink:href="javascript:alert(1)"/>
    <text onclick="alert(1)">a &lt;b&gt; <tspan>c</tspan> d</text>
  </g>
</svg>"""


def test_what_runs_or_loads_is_dropped_and_the_picture_stays():
    text = inline_svg(HOSTILE, "first", "A picture", "Of <nothing>")
    page = Page(text)
    assert page.faults == []
    names = {name for name, _ in page.elements}
    assert names == {
        *("svg", "title", "desc", "defs", "clippath", "rect", "g", "use", "image", "text", "tspan")
    }
    for gone in ("<script", "alert", "example.org", "onload", "onclick", "fill: red"):
        assert gone not in text
    assert "a &lt;b&gt; <tspan>c</tspan> d" in text
    assert "Of &lt;nothing&gt;" in text


def test_ids_and_what_points_to_them_are_named_apart():
    first, second = (inline_svg(HOSTILE, key, "A", "B") for key in ("first", "second"))
    assert 'id="first-p1"' in first
    assert 'clip-path="url(#first-p1)"' in first
    assert 'href="#first-axes"' in first
    assert not set(Page(first).values("id")) & set(Page(second).values("id"))
    assert Page(first).values("href") == ["#first-axes", "data:image/png;base64,AAAA"]


@pytest.mark.parametrize(
    "text",
    ["", "no svg", "<html></html>", '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>', "<svg>"],
)
def test_what_is_not_a_picture_is_refused(text):
    with pytest.raises(RiskModelError, match="plots: broken"):
        inline_svg(text, "broken", "A", "B")


NONE = Interval(None, None, None)


def test_plots_are_drawn_the_same_from_the_same_findings_and_from_few():
    curve = CalibrationCurve(
        (CalibrationGroup(20, 0.1, Interval(0.1, 0.0, 0.2)), CalibrationGroup(20, 0.4, NONE)),
        (SmoothPoint(0.1, 0.1, None, None), SmoothPoint(0.3, 0.2, 0.1, 0.4)),
    )
    points = (
        NetBenefit(0.1, 0.1, Interval(0.12, 0.1, 0.14), {"lace": NONE}),
        NetBenefit(0.2, -0.1, NONE, {}),
    )
    shown = Subgroup(
        name="female",
        stays=50,
        readmissions=20,
        suppressed=False,
        measures={"auroc": Interval(0.7, 0.6, 0.8)},
        gaps={},
    )
    hidden = Subgroup(
        name="unknown", stays=None, readmissions=None, suppressed=True, measures={}, gaps={}
    )
    grouping = Grouping(
        attribute="sex",
        label="Sex",
        recorded=60,
        groups=(shown, hidden),
        equal_opportunity_difference=None,
        demographic_parity_difference=None,
    )
    for draw in (
        lambda: plots.calibration_curve(curve, "simulated"),
        lambda: plots.calibration_curve(CalibrationCurve((), ()), "simulated"),
        lambda: plots.decision_curve(points, {"model": "This model"}, "simulated"),
        lambda: plots.subgroup_forest([grouping], "auroc", "AUROC", None, "simulated", "AUROC"),
    ):
        first = draw()
        assert first == draw()
        assert "simulated" in first
    forest = plots.subgroup_forest(
        [grouping], "auroc", "AUROC", 0.5, "simulated", "AUROC (0.5 is chance)"
    )
    assert "female" in forest
    assert "AUROC (0.5 is chance)" in forest
    assert "unknown" not in forest
