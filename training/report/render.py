"""One page for one run: self-contained, printable, and made from the run's artifacts alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from training.report import figures, group_tables, model_tables, performance_tables, run_tables
from training.report.artifacts import OPTIONAL, RunArtifacts, read_run
from training.report.changes import changes_since
from training.report.flow import flow_diagram
from training.report.page import page
from training.report.summary import small_count, summary

REPORT = "report.html"
_NO_GAP = ("search.json", "changes.json")
"""Absent where no search was made and no model was in use; their sections say so."""


@dataclass(frozen=True)
class Champion:
    """The run of the model in use, to say what changed."""

    folder: Path
    """Its artifacts."""
    version: str


def render_report(run: RunArtifacts) -> str:
    """The report of a run as one HTML page, without a script and without anything to load.

    The same artifacts give the same bytes.

    Raises:
        RiskModelError: if a plot among the artifacts is not SVG.

    """
    return page("report.html", run=run, simulated=run.simulated, **_sections(run))


def write_report(folder: Path, champion: Champion | None = None) -> Path:
    """Add ``changes.json`` and ``report.html`` to a run's artifacts; returns the report.

    Args:
        folder: the artifacts of a run that is otherwise complete.
        champion: the run of the model in use, where there is one.

    Raises:
        RiskModelError: if a file that every run has is missing or malformed.
        StudyError: if the study is malformed.

    """
    run = read_run(folder)
    if champion is not None:
        changes = changes_since(read_run(champion.folder), champion.version, run)
        (folder / "changes.json").write_bytes(msgspec.json.encode(changes))
        run = read_run(folder)
    report = folder / REPORT
    report.write_text(render_report(run), encoding="utf-8")
    return report


def _sections(run: RunArtifacts) -> dict[str, Any]:
    evaluation = run.evaluation
    groupings = run.fairness.groupings if run.fairness else ()
    smallest = run.fairness.smallest_cell if run.fairness else run.study.evaluation.smallest_cell
    champion = {
        name: measures for name, measures in evaluation.differences.items() if name == "champion"
    }
    return {
        "points": summary(run),
        "absent": [(name, OPTIONAL[name]) for name in run.absent if name not in _NO_GAP],
        "deaths": small_count(evaluation.deaths, smallest),
        "flow": flow_diagram(run.flow, smallest),
        "gates": run_tables.gate_table(run.gates) if run.gates else None,
        "discrimination": figures.discrimination_figures(run),
        "performance": performance_tables.performance_table(evaluation, run.reference.high_from),
        "differences": performance_tables.difference_table(
            evaluation.differences, "Differences to what it is compared with"
        ),
        "calibration": figures.calibration_figure(run),
        "calibration_table": performance_tables.calibration_table(evaluation),
        "returns": figures.returns_figure(run),
        "decision": figures.decision_figure(run),
        "decision_table": performance_tables.decision_table(evaluation.net_benefit),
        "capacities": performance_tables.capacity_table(evaluation.capacities),
        "capacity_peers": performance_tables.capacity_peers_table(evaluation.capacities),
        "forests": figures.subgroup_figures(run, run.fairness) if run.fairness else [],
        "groups": [
            (
                each.label,
                group_tables.group_table(each, smallest),
                group_tables.hidden_groups(each, smallest),
            )
            for each in groupings
        ],
        "group_appendix": [
            each
            for grouping in groupings
            for each in group_tables.group_appendix(grouping, smallest)
        ],
        "strongest": model_tables.strongest_table(run),
        "explanation": figures.explanation_figures(run),
        "dependence": figures.dependence_figures(run),
        "families": model_tables.family_table(run.explanation) if run.explanation else None,
        "stability": model_tables.stability_table(run, run.explanation)
        if run.explanation
        else None,
        "leaks": model_tables.leak_tables(run, run.leakage) if run.leakage else [],
        "learning": performance_tables.learning_table(run.learning) if run.learning else None,
        "learning_figure": figures.learning_figure(run),
        "search": run_tables.search_table(run.search) if run.search else None,
        "champion": performance_tables.difference_table(
            champion, "This model minus the model in use"
        )
        if champion
        else None,
        "changes": run_tables.change_tables(run.changes) if run.changes else [],
        "choices": run_tables.choice_table(run),
        "facts": run_tables.fact_table(run),
    }
