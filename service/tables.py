"""Results as tables for a terminal: counts, coverage, flow and evaluation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from fhir_mappings.coverage import CoverageReport
    from fhir_mappings.deidentification.tally import Summary
    from fhir_mappings.ingest import IngestSummary

_SHOWN = 8


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose numbers are aligned to the right; the first column is a name."""
    grid = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for position, column in enumerate(columns):
        grid.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        grid.add_row(*(_cell(value) for value in row))
    return grid


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    return escape(str(value))


def _short(code: str) -> str:
    """A code with the end of its system's address; the whole is in the JSON."""
    system, _, bare = code.rpartition("|")
    return code if "://" not in system else f"{system.rstrip('/').rpartition('/')[2]}|{bare}"


def share(part: int, whole: int) -> str:
    """A share as a percentage, and a dash where there is nothing to share."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def ingest_tables(summary: "IngestSummary") -> RenderableType:
    """What an ingest read, by type, and what it left behind."""
    rows = [
        (name, each.resources, each.mapped, each.without_events, each.passed_over)
        for name, each in summary.by_type.items()
    ]
    parts: list[RenderableType] = [
        table(
            "Resources read",
            ("type", "read", "became events", "left none", "passed over"),
            rows,
        ),
        f"{summary.resources:,} resources of {summary.files:,} files in {summary.seconds:.1f} s; "
        f"the store holds {summary.events:,} events of {summary.patients:,} patients.",
    ]
    if summary.rejected:
        parts.append(f"{summary.rejected:,} rejected: see {escape(str(summary.rejects_file))}")
    if summary.questionable:
        rows_questionable = list(summary.questionable.items())[:_SHOWN]
        parts.append(table("Read but not used", ("element and reason", "times"), rows_questionable))
    return Group(*parts)


def export_tables(summary: "Summary", out: "Path") -> RenderableType:
    """What an export kept and left out, by element."""
    changed = [
        (element, outcome, count)
        for element, outcomes in summary.elements.items()
        for outcome, count in outcomes.items()
    ]
    left_out = [
        (name, reason, count)
        for name, reasons in summary.left_out.items()
        for reason, count in reasons.items()
    ]
    parts: list[RenderableType] = [
        table("Elements", ("element", "what became of it", "times"), changed),
        table("Resources left out", ("type", "why", "resources"), left_out),
    ]
    if summary.rejected:
        parts.append(table("Could not be read", ("why", "times"), summary.rejected.items()))
    parts.append(
        f"{summary.resources:,} resources of {summary.patients:,} patients in {escape(str(out))}: "
        f"[bold]{summary.method}[/]"
    )
    return Group(*parts)


def coverage_tables(report: "CoverageReport", most: int = _SHOWN) -> RenderableType:
    """What of a store is understood, the largest gaps first."""
    parts: list[RenderableType] = [
        f"[bold]{report.patients:,} patients, {report.events:,} events[/], "
        f"site profile [bold]{escape(report.profile)}[/], {report.rejected:,} lines rejected",
        table(
            "Resources of the last ingest",
            ("type", "read", "became events", "passed over"),
            [
                (t.resource_type, t.resources, share(t.mapped, t.resources), t.passed_over)
                for t in report.types
            ],
        ),
        table(
            "Encounters as the profile tells them", ("kind", "number"), report.encounters.items()
        ),
        table(
            "Codes that a concept knows",
            ("kind of record", "events", "of these known", "codes", "known"),
            [
                (k.kind, k.events, share(k.known, k.events), k.codes, k.known_codes)
                for k in report.kinds
            ],
        ),
        table(
            "Most frequent codes that no concept knows",
            ("code", "name", "kind of record", "events", "patients"),
            [
                (_short(c.code), c.display, c.kind, c.events, c.patients)
                for c in sorted(report.unknown_codes, key=lambda c: -c.events)[: 2 * most]
            ],
        ),
    ]
    if report.refused_units:
        parts.append(
            table(
                "Units refused: these values are taken as missing",
                ("concept", "code", "unit", "values"),
                [
                    (r.concept, _short(r.code), r.unit or "(none)", r.events)
                    for r in report.refused_units[:most]
                ],
            )
        )
    if report.unknown_facets:
        parts.append(
            table(
                "Encounter codes that no table knows",
                ("facet", "code", "encounters"),
                [(f.facet, f.code, f.events) for f in report.unknown_facets[:most]],
            )
        )
    if report.questionable:
        parts.append(
            table("Read but not used", ("element and reason", "times"), report.questionable.items())
        )
    if report.empty_features:
        names = ", ".join(report.empty_features)
        parts.append(f"[bold]{len(report.empty_features)} features will be empty[/]: {names}")
    return Group(*parts)


def flow_tables(answer: Mapping[str, Any]) -> RenderableType:
    """A cohort's counts and its flow table."""
    apart = answer["without_observation"]
    counts = [
        (name.replace("_", " "), answer[name], apart[name])
        for name in ("encounters", "stays", "returns_30d", "deaths_in_hospital")
    ]
    return Group(
        f"[bold]{answer['patients']:,} patients[/]",
        table("Hospital stays", ("", "all", "without observation"), counts),
        table(
            "From stays to index stays",
            ("step", "excluded", "left"),
            [(s["step"], s["excluded"], s["left"]) for s in answer["flow"]],
        ),
        f"[bold]{answer['readmissions']:,} of {answer['index_stays']:,} index stays[/] were "
        "followed by an unplanned readmission "
        f"({share(answer['readmissions'], answer['index_stays'])}); "
        f"{answer['died_within_horizon']:,} patients died within the horizon without one.",
    )


def metric(value: Mapping[str, Any] | None) -> str:
    """A metric with its interval."""
    if value is None or value.get("value") is None:
        return ""
    if value.get("low") is None:
        return f"{value['value']:.3f}"
    return f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})"


def evaluation_tables(answer: Mapping[str, Any]) -> RenderableType:
    """A training run's test measures beside its peers', what the gates say, and where to read on.

    The model's measures stand with their intervals. Those of the peers are in the report: six
    columns of intervals cannot be read on a terminal.
    """
    test, peers = answer["test"], answer["baselines"]
    measures = [name for name, value in test.items() if isinstance(value, Mapping)]
    rows = [
        (
            name.replace("_", " "),
            metric(test[name]),
            *(_point(peer.get(name)) for peer in peers.values()),
        )
        for name in measures
    ]
    parts: list[RenderableType] = [
        table(
            f"Test: {test['stays']:,} stays, {test['readmissions']:,} readmissions "
            "(95 % intervals, bootstrapped by patient)",
            ("", "model", *peers),
            rows,
        ),
        table(
            "Gates",
            ("gate", ""),
            [
                (name, "passed" if passed else "NOT passed")
                for name, passed in answer["gates"].items()
            ],
        ),
    ]
    alias = answer["alias"] + (" (provisional)" if answer["provisional"] else "")
    parts += [
        f"model {answer['model']} version {answer['version']}, {alias}, "
        f"{answer['features']} features, run {answer['run_id']}",
        f"report {answer['report']}",
    ]
    return Group(*parts)


def _point(value: Mapping[str, Any] | None) -> str:
    """A measure without its interval."""
    return "" if value is None or value.get("value") is None else f"{value['value']:.3f}"


def show(console: Console, *parts: RenderableType) -> None:
    """Print, with names and codes kept as they are."""
    for part in parts:
        # A sentence or a command is left whole: a line that was broken cannot be copied.
        console.print(part, soft_wrap=isinstance(part, str))
