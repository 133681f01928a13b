"""A report of monitoring as tables for a terminal."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markup import escape

from service.commands.options import plain
from service.tables import metric, table

if TYPE_CHECKING:
    from training.monitoring.findings import MonitorReport
    from training.monitoring.transparency import Issue

_SHOWN = 15


def monitor_tables(report: "MonitorReport", path: Path) -> Iterator[RenderableType]:
    """Who was looked at, performance, drift and alerts, the alerts last: there the eye rests."""
    simulated = "[bold]Simulated records.[/] " if report.simulated else ""
    period = f"{_day(report.first_discharge)} to {_day(report.last_discharge)}"
    yield (
        f"{simulated}Model {escape(report.model)} version {escape(report.version)}: "
        f"{report.stays:,} stays of {report.patients:,} patients, discharged {period}; the outcome "
        f"of {report.matured:,} is known, {report.readmissions:,} readmitted."
    )
    if not report.enough:
        yield "Too few stays to say anything."
        return
    if report.flattered:
        yield (
            "Some of these stays are from the time that the model was made from: measures on them "
            "flatter it."
        )
    yield _performance(report)
    if report.scores is not None:
        bands = ", ".join(f"{band} {part:.1%}" for band, part in report.scores.bands.items())
        yield (
            f"Scores: PSI {report.scores.psi:.3f}, mean risk {report.scores.mean:.3f} (in training "
            f"{report.scores.prevalence:.3f} were readmitted); bands: {bands}."
        )
    if report.months:
        yield table(
            "Readmissions by month of discharge",
            ("month", "stays", "observed", "expected", "95 % from", "to"),
            [
                (
                    m.month,
                    m.stays,
                    m.observed,
                    round(m.expected, 1),
                    round(m.low, 1),
                    round(m.high, 1),
                )
                for m in report.months[-_SHOWN:]
            ],
        )
    if report.forecasts is not None:
        check = report.forecasts
        yield (
            f"Past forecasts: {check.inside:,} of {check.unit_weeks:,} weeks of units within their "
            f"95 % intervals; {check.expected:,.0f} readmissions expected, {check.observed:,} came."
        )
    if report.drifted:
        yield table(
            f"Inputs that drifted: {len(report.drifted)} of {report.inputs}",
            ("input", "PSI", "missing in training", "missing now", "used"),
            [
                (d.name, d.psi, f"{d.missing_reference:.1%}", f"{d.missing:.1%}", d.used)
                for d in report.drifted[:_SHOWN]
            ],
        )
    yield from _alerts(report)
    yield f"Kept as {escape(str(path))}"


def issue_tables(issue: "Issue") -> Iterator[RenderableType]:
    """The published counts of a transparency report."""
    for each in issue.tables:
        title = f"Stays {each.population}, by {each.name.replace('_', ' ')}"
        if each.cells:
            yield table(
                title, ("", "at least"), [(cell.name, cell.at_least) for cell in each.cells]
            )
        else:
            yield f"{escape(title)}: held back"


def _performance(report: "MonitorReport") -> RenderableType:
    measured, test, estimate = (
        plain(each) for each in (report.performance, report.test, report.estimate)
    )
    names = list(dict.fromkeys([*measured, *estimate]))
    return table(
        "Performance (95 % intervals, bootstrapped by patient); the estimate assumes calibration",
        ("", "measured", "in the test", "estimated for all stays"),
        [
            (
                name.replace("_", " "),
                *(metric(each.get(name)) for each in (measured, test, estimate)),
            )
            for name in names
        ],
    )


def _alerts(report: "MonitorReport") -> Iterator[RenderableType]:
    if not report.alerts:
        yield "No alert."
    # What to look at is said once below the alerts that share it.
    for look_at, alerts in groupby(report.alerts, key=lambda alert: alert.look_at):
        for alert in alerts:
            colour = "red" if alert.level == "alert" else "yellow"
            yield f"[{colour} bold]{alert.level}[/] {escape(alert.sentence)}"
        yield f"    {escape(look_at)}"


def _day(moment: str | None) -> str:
    return "(unknown)" if moment is None else moment[:10]
