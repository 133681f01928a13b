"""Counting a month from the event store: who was discharged, who was called, who came back.

The store is asked and not the database's list: the list knows a patient's newest stay alone, says
*readmitted* of a planned return as well, and misses what happened in a night without a run. Here
the rules are the cohort's: an index stay, and as its outcome whether the first inpatient admission
within the horizon was unplanned. The risk is that of the model as of the discharge, computed by the
one engine; the calls are the database's.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from fhir_mappings.attributes import attributes
from fhir_mappings.collector import without_collector
from fhir_mappings.consent import OptOuts
from fhir_mappings.errors import RiskModelError, UnprocessableError
from fhir_mappings.events import DAY
from fhir_mappings.profiles import SiteProfile
from fhir_mappings.records.instants import as_datetime, from_datetime
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store
from fhir_mappings.timeline import Timeline
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.batch_run.chunk import patients_of
from service.batch_run.window import plan
from service.card_report.period import Period
from service.database import follow_ups, months
from service.keeping import Keeping
from service.month.at_risk import exposures
from service.month.days import MonthError, days_of
from service.month.figures import StayOfMonth, UnitMonth, Work, by_unit, together, work_of
from service.protection.keys import Keys
from service.scoring import Prepared, prepare
from service.work_list.rows import stay_index_of
from training.cohort.selection import CohortRules, IndexStay, select
from training.dataset import end_of_data
from training.return_curve import ReturnCurve
from training.risk_model import RiskModel
from training.study_records import StudyRecords

_MARGIN: Final = 2
"""Days around the month in which stays are looked for, so that no time zone cuts one off; which of
them are the month's is decided by the local day of the discharge."""

NOT_TOLD_APART: Final = "site"
"""The attribute that the units' own figures are told by already."""


_IN_ONE_STATEMENT: Final = 500
"""Names of stays: SQLite takes some thousands, and a chunk of patients rarely has more."""


class Records(NamedTuple):
    """What tells who was discharged and what followed."""

    store: Store
    profile: SiteProfile
    opt_outs: OptOuts
    model: RiskModel


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted, for whoever had it counted."""

    month: str
    followed_until: str
    """ISO 8601, UTC: how far the records go."""
    complete: bool
    """Whether every discharge of the month has been followed for the whole horizon."""
    stays: int
    units: int


class _Index(NamedTuple):
    """An index stay of the month, and what the model is to be asked about it."""

    stay: IndexStay
    prepared: Prepared
    names: tuple[str, ...]
    """Its keyed names: of the first of its encounters, whichever that was when it was listed."""


def count_month(
    keeping: Keeping,
    records: Records,
    month: str,
    progress: Callable[[int, int], None],
) -> Counted:
    """Count a month and keep it in the place of what was counted of it before.

    Args:
        keeping: the database, the keys and the audit.
        records: the hospital's.
        month: ``2026-03``, on the hospital's clock.
        progress: told chunks of patients done, and in all.

    Raises:
        MonthError: if the records end before the month begins.
        RiskModelError: if the model does not say when readmissions happen.
        UnprocessableError: if the records' dates are shifted.
        DatabaseError: if it cannot be read or written, or entered in the audit.
        StoreError: if the records cannot be read.
    """
    if not records.profile.calendar:
        raise UnprocessableError("the dates of these records are shifted: they have no months")
    curve = records.model.reference.returns
    if curve is None:
        raise RiskModelError("the model does not say when readmissions happen")
    until = end_of_data(StudyRecords(records.store, records.profile, records.opt_outs))
    period = Period(*days_of(month), ZoneInfo(records.profile.timezone))
    if until is None or until < period.since:
        raise MonthError(f"the records end before {month} begins")
    stays: list[StayOfMonth] = []
    end, begin = period.until + _MARGIN * DAY, period.since - _MARGIN * DAY
    chunks = plan(records.store, end, (end - begin) // DAY)
    concepts = site_concepts(records.profile)
    for done, chunk in enumerate(chunks, 1):
        found: list[_Index] = []
        with without_collector():
            for subject, events in patients_of(records.store, chunk):
                timeline = Timeline(subject, events, concepts, records.profile)
                found += _index_stays(keeping.keys, records, timeline, period)
        stays += _counted(keeping, records.model, curve, found, until)
        progress(done, len(chunks))
    units = by_unit(stays)
    _keep(keeping, records.model, month, until, units)
    return Counted(
        month=month,
        followed_until=as_datetime(until).isoformat(timespec="seconds"),
        complete=until >= period.until_after(records.model.horizon_days),
        stays=together(units).stays,
        units=len(units),
    )


def _index_stays(keys: Keys, records: Records, timeline: Timeline, period: Period) -> list[_Index]:
    """The stays of one patient that count; none of whoever said no to being scored or counted."""
    rules = CohortRules(
        horizon_days=records.model.horizon_days,
        follow_up=False,
        discharged_from=period.first,
        discharged_before=period.last + timedelta(days=1),
    )
    found = []
    for index in select(timeline, rules, None, opt_outs=records.opt_outs).index_stays:
        end = index.stay.end
        assert end is not None  # noqa: S101  an index stay has ended
        try:
            prepared = prepare(records.model, timeline, index.stay, end, opt_outs=records.opt_outs)
        except UnprocessableError:
            # The batch run did not list it either.
            continue
        if isinstance(prepared, Prepared):
            names = tuple(
                stay_index_of(keys, timeline.subject, one) for one in index.stay.encounters
            )
            found.append(_Index(index, prepared, names))
    return found


def _counted(
    keeping: Keeping,
    model: RiskModel,
    curve: ReturnCurve,
    found: Sequence[_Index],
    until: int,
) -> list[StayOfMonth]:
    """What is counted of some stays: the model is asked about all of them at once."""
    if not found:
        return []
    risks = model.predict(np.array([one.prepared.row for one in found], dtype=np.float32))
    work = _work(keeping, found)
    ended, readmitted = np.array([_end(one.stay, curve, until) for one in found]).T
    called = np.array(
        [
            np.inf if done.called_at is None else (done.called_at - (one.stay.stay.end or 0)) / DAY
            for one, done in zip(found, work, strict=True)
        ]
    )
    return [
        StayOfMonth(
            unit=one.stay.stay.site,
            became=done.became,
            called=exposed[0],
            not_called=exposed[1],
            probability=float(risk),
            groups={
                attribute: group
                for attribute, group in attributes(one.prepared.view).items()
                if attribute != NOT_TOLD_APART
            },
        )
        for one, done, risk, exposed in zip(
            found,
            work,
            risks,
            exposures(risks, called, ended, readmitted, curve),
            strict=True,
        )
    ]


def _work(keeping: Keeping, found: Sequence[_Index]) -> list[Work]:
    names = [name for one in found for name in one.names]
    with keeping.database.reading() as connection:
        steps: dict[str, list[follow_ups.Step]] = {}
        for start in range(0, len(names), _IN_ONE_STATEMENT):
            steps |= follow_ups.steps_of(connection, names[start : start + _IN_ONE_STATEMENT])
    return [work_of([step for name in one.names for step in steps.get(name, ())]) for one in found]


def _end(index: IndexStay, curve: ReturnCurve, until: int) -> tuple[float, float]:
    """Days from the discharge to the end of the time at risk, and whether a readmission ended it.

    What lies behind the end of what is on record is not known, whatever single entries say.
    """
    followed = max(0.0, (until - (index.stay.end or 0)) / DAY)
    back, left = index.days_to_readmission, index.days_to_leaving
    if back is not None and back <= followed:
        return back, 1.0
    return min(curve.horizon_days, followed, np.inf if left is None else left), 0.0


def _keep(
    keeping: Keeping, model: RiskModel, month: str, until: int, units: tuple[UnitMonth, ...]
) -> None:
    row = months.Row(
        month=month,
        made_at=from_datetime(datetime.now(UTC)),
        followed_until=until,
        model=model.name,
        version=model.version,
        units=msgspec.json.encode(units).decode(),
    )
    with keeping.audit.recorded() as work:
        months.put(work.connection, row)
        work.record(
            Entry(
                event=Event.MONTH_COUNTED,
                caller=None,
                details={"month": month, "stays": together(units).stays},
            )
        )
