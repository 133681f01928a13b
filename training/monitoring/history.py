"""The reports that were kept, and the trend that they draw."""

import os
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from fhir_mappings.errors import StudyError
from training.drawing import panels, svg
from training.monitoring.findings import MonitorReport

FOLDER = "monitoring"
"""Where reports are kept, in the folder of MLflow."""
_COLOUR, _FAINT = "#0b5394", "#b45f06"


def keep(report: MonitorReport, folder: Path) -> Path:
    """Write a report to a file of its own, which is never overwritten.

    Args:
        report: to keep.
        folder: is created where absent.

    Raises:
        StudyError: if a report of that moment on that model is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moment = "".join(letter for letter in report.made if letter.isdigit())[:14]
    path = folder / f"{moment}-{report.fingerprint[:12]}.json"
    unfinished = folder / f".{path.name}.{os.getpid()}"
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    try:
        # A link fails where the name is taken; a rename would silently replace it.
        path.hardlink_to(unfinished)
    except FileExistsError:
        raise StudyError(f"{path.name} is there already; a report is never overwritten") from None
    finally:
        unfinished.unlink()
    return path


def kept(folder: Path) -> list[MonitorReport]:
    """Every report in a folder, the oldest first.

    Raises:
        StudyError: if one cannot be read.
    """
    reports = [read_report(path) for path in folder.glob("*.json")]
    return sorted(reports, key=lambda report: (report.made, report.fingerprint))


def read_report(path: Path) -> MonitorReport:
    """One kept report.

    Raises:
        StudyError: if it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=MonitorReport)
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such report") from None
    except msgspec.DecodeError as error:
        raise StudyError(f"{path.name} is not a report of monitoring: {error}") from None


def trend(folder: Path) -> pd.DataFrame:
    """One row a report that had enough stays, the oldest first.

    Columns: ``made``, ``since``, ``until``, ``last_discharge``, ``model``, ``version``,
    ``fingerprint``, ``simulated``, ``stays``, ``matured``, ``mean_risk``, ``score_psi``,
    ``drifted`` (how many inputs), ``alerts``, and for each of ``auroc``,
    ``observed_to_expected``, ``calibration_slope`` and
    ``estimated_auroc`` the value, its ``_low`` and its ``_high``; NaN where it is not known.

    Raises:
        StudyError: if a report cannot be read.
    """
    rows = []
    for report in kept(folder):
        if report.scores is None:
            continue
        row: dict[str, object] = {
            "made": pd.Timestamp(report.made),
            **{name: getattr(report, name) for name in _COPIED},
            "mean_risk": report.scores.mean,
            "score_psi": report.scores.psi,
            "drifted": len(report.drifted),
            "alerts": sum(alert.level == "alert" for alert in report.alerts),
        }
        for name in ("auroc", "observed_to_expected", "calibration_slope"):
            row.update(_interval(name, report, estimate=False))
        row.update(_interval("auroc", report, estimate=True))
        rows.append(row)
    return pd.DataFrame(rows, columns=_COLUMNS)


def trend_plot(table: pd.DataFrame, source: str) -> str:
    """AUROC, observed to expected, mean risk and drifted inputs over the reports, as SVG.

    Args:
        table: as ``trend`` returns it.
        source: what the records are, shown under the title.

    Raises:
        StudyError: if there is no report to draw.
    """
    if table.empty:
        raise StudyError("no report is kept that had stays enough to draw")
    figure, plots = panels("A model in use, report by report", source, rows=4, height=8.4)
    places = np.arange(len(table))
    _with_interval(plots[0], places + 0.06, table, "estimated_auroc", _FAINT, "estimated")
    _with_interval(plots[0], places - 0.06, table, "auroc", _COLOUR, "measured")
    plots[0].set_ylabel("AUROC")
    plots[0].legend(loc="best", frameon=False, fontsize=8)
    _with_interval(plots[1], places, table, "observed_to_expected", _COLOUR, "")
    plots[1].axhline(1, color="grey", linestyle=":", linewidth=1)
    plots[1].set_ylabel("observed / expected")
    plots[2].plot(places, table["mean_risk"], "o-", color=_COLOUR, markersize=4)
    plots[2].set_ylabel("mean risk")
    # From 0: a tenth of a percent must not look like a fall.
    plots[2].set_ylim(0, float(table["mean_risk"].max()) * 1.25)
    plots[3].bar(places, table["drifted"], color=_COLOUR, width=0.5)
    plots[3].set_ylabel("drifted inputs")
    plots[3].yaxis.set_major_locator(MaxNLocator(integer=True))
    # A count: with none drifted the axis would show fractions of an input, and fewer than none.
    plots[3].set_ylim(0, max(1, int(table["drifted"].max())) * 1.1)
    labels = [
        f"{made:%Y-%m-%d}"
        + (f"\nto {last[:10]}" if isinstance(last, str) else "")
        + f"\nversion {version}"
        for made, last, version in zip(
            table["made"], table["last_discharge"], table["version"], strict=True
        )
    ]
    plots[3].set_xticks(places, labels, fontsize=8)
    plots[3].set_xlim(-0.6, len(table) - 0.4)
    return svg(figure)


_COPIED = (
    "since",
    "until",
    "last_discharge",
    "model",
    "version",
    "fingerprint",
    "simulated",
    "stays",
    "matured",
)
_COLUMNS = [
    "made",
    *_COPIED,
    "mean_risk",
    "score_psi",
    "drifted",
    "alerts",
    *(
        f"{name}{end}"
        for name in ("auroc", "observed_to_expected", "calibration_slope", "estimated_auroc")
        for end in ("", "_low", "_high")
    ),
]


def _interval(name: str, report: MonitorReport, *, estimate: bool) -> dict[str, float]:
    measure = (report.estimate if estimate else report.performance).get(name)
    ends = (None, None, None) if measure is None else (measure.value, measure.low, measure.high)
    label = f"estimated_{name}" if estimate else name
    return {
        f"{label}{end}": float("nan") if value is None else value
        for end, value in zip(("", "_low", "_high"), ends, strict=True)
    }


def _with_interval(
    axes: Axes, places: np.ndarray, table: pd.DataFrame, name: str, colour: str, label: str
) -> None:
    axes.vlines(places, table[f"{name}_low"], table[f"{name}_high"], color=colour, linewidth=1)
    axes.plot(places, table[name], "o-", color=colour, markersize=4, linewidth=1, label=label)
