"""The transparency report: what the public may read of a model in use, issue by issue.

Made from a kept report of monitoring alone: who is scored, how well, how many in each band. Only
aggregates are in it, and the counts keep the rule of ``disclosure`` beside each other and beside
every earlier issue in the same folder. Outcomes are not told by band: within each band they would
be bound to its count, and narrow it. Rates are not printed: a rate and its denominator give the
count that was hidden. Measures are given to two decimals, and only where at least the smallest
cell of stays was, and was not, readmitted. Of dates only the months are told: the first discharge
of a period is the date of one patient.
"""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from fhir_mappings.errors import StudyError
from training.monitoring.disclosure import Table, publishable, rounded
from training.monitoring.findings import MonitorReport
from training.risk_model import Interval
from training.words import ATTRIBUTES

SMALLEST_CELL = 11
"""As the Centers for Medicare & Medicaid Services ask for: no count from 1 to 10."""
_SCORED, _FOLLOWED = "scored", "followed"
_MEASURES = {
    "auroc": (
        "AUROC",
        "How often a stay that was followed by a readmission had a higher risk than one that was "
        "not: 0.5 is chance, 1 is always.",
    ),
    "observed_to_expected": (
        "Observed / expected",
        "Readmissions for each that the risks add up to: 1 is ideal, above it the risks are too "
        "low.",
    ),
    "calibration_slope": (
        "Calibration slope",
        "1 is ideal; below it high risks are too high and low ones too low.",
    ),
}
_TITLES = {**ATTRIBUTES, "band": "Risk band", "outcome": "What followed"}


class PublishedMeasure(msgspec.Struct, frozen=True):
    """A measure with its 95 % interval, to two decimals."""

    name: str
    value: float
    low: float
    high: float
    test: float | None
    """The same in the model's test before it was used."""


class Issue(msgspec.Struct, frozen=True, kw_only=True):
    """One issue of the transparency report."""

    made: str
    model: str
    version: str
    fingerprint: str
    card: str | None
    """Where the model card is."""
    simulated: bool
    horizon_days: int
    first_month: str | None
    last_month: str | None
    smallest: int
    tables: tuple[Table, ...]
    """Of the stays that were scored, and of those whose outcome is known."""
    measures: tuple[PublishedMeasure, ...]
    """Empty where too few outcomes are known."""
    flattered: bool = False
    """Whether stays from the time of training are among those that were measured."""
    remaining_risk: bool = False
    """Whether care teams also see what is left of a risk after days at home."""


def transparency(
    report: MonitorReport, folder: Path, *, card: str | None = None, smallest: int = SMALLEST_CELL
) -> Issue:
    """A new issue, checked against every earlier one in the folder.

    Args:
        report: of monitoring, kept or new.
        folder: of the issues.
        card: address of the model card.
        smallest: the smallest count that may be known.

    Raises:
        StudyError: if the report had too few stays, an earlier issue cannot be read or hides
            smaller counts, or nothing can be published beside the earlier issues.
    """
    if not report.enough:
        raise StudyError("too few stays for a transparency report")
    earlier = issues(folder)
    if any(issue.smallest != smallest for issue in earlier):
        raise StudyError("earlier issues were made with another smallest cell: use another folder")
    tables = publishable(_tables(report, smallest), [issue.tables for issue in earlier], smallest)
    if not any(table.cells for table in tables):
        raise StudyError("beside the earlier issues every count of this one would reveal a person")
    return Issue(
        made=report.made,
        model=report.model,
        version=report.version,
        fingerprint=report.fingerprint,
        card=card,
        simulated=report.simulated,
        horizon_days=report.horizon_days,
        first_month=_month(report.first_discharge),
        last_month=_month(report.last_discharge),
        smallest=smallest,
        tables=tables,
        measures=_measures(report, smallest),
        flattered=report.flattered,
        remaining_risk=report.remaining_risk,
    )


def publish(issue: Issue, folder: Path) -> tuple[Path, Path]:
    """Write an issue as HTML and as JSON into the folder of the issues; returns both paths.

    Raises:
        StudyError: if an issue of that moment is there already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    moment = "".join(letter for letter in issue.made if letter.isdigit())[:14]
    page, data = folder / f"transparency-{moment}.html", folder / f"transparency-{moment}.json"
    if data.exists():
        raise StudyError(f"{data.name} is there already; an issue is never overwritten")
    page.write_text(render(issue), encoding="utf-8")
    data.write_bytes(msgspec.json.format(msgspec.json.encode(issue), indent=2))
    return page, data


def issues(folder: Path) -> list[Issue]:
    """The issues in a folder, the oldest first.

    Raises:
        StudyError: if one cannot be read: what it has published is then unknown.
    """
    found = []
    for path in sorted(folder.glob("transparency-*.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=Issue))
        except msgspec.DecodeError as error:
            raise StudyError(
                f"{path.name} is no issue of the transparency report: {error}"
            ) from None
    return found


def render(issue: Issue) -> str:
    """The issue as one self-contained HTML page."""
    return (
        _environment()
        .get_template("transparency.html")
        .render(
            issue=issue,
            measures=_MEASURES,
            titles=_TITLES,
        )
    )


def _tables(report: MonitorReport, smallest: int) -> list[Table]:
    scored = [rounded(name, _SCORED, counts, smallest) for name, counts in report.groups.items()]
    # Where every outcome is known, and whoever knows the period knows that, the stays are the same.
    everybody = report.matured == report.stays
    population, within = (_SCORED, "") if everybody else (_FOLLOWED, _SCORED)
    return [*scored, rounded("outcome", population, report.outcomes, smallest, within)]


def _measures(report: MonitorReport, smallest: int) -> tuple[PublishedMeasure, ...]:
    if min(report.readmissions, report.matured - report.readmissions) < smallest:
        return ()
    found = []
    for name in _MEASURES:
        measure = report.performance.get(name)
        if measure and None not in (measure.value, measure.low, measure.high):
            found.append(_published(name, measure, report.test.get(name)))
    return tuple(found)


def _published(name: str, measure: Interval, test: Interval | None) -> PublishedMeasure:
    value, low, high = (
        round(number, 2)
        for number in (measure.value, measure.low, measure.high)
        if number is not None
    )
    then = None if test is None or test.value is None else round(test.value, 2)
    return PublishedMeasure(name, value, low, high, then)


def _month(moment: str | None) -> str | None:
    return None if moment is None else moment[:7]


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("training.monitoring"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {"range": _range, "total": _total}
    environment.filters.update(filters)
    return environment


def _range(at_least: int, smallest: int) -> str:
    """A published count for people."""
    if at_least == 0:
        return f"under {smallest}"
    return f"{at_least:,} to {at_least + smallest - 1:,}"


def _total(table: Table) -> str:
    return f"at least {table.at_least:,}"
