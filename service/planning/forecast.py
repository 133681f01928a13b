"""The coming weeks of the caller's units, from the list and the model's curve of returns.

The mathematics is that of ``readmit forecast`` (``training.forecast``), the stays are those of the
list. Two things follow from that. The forecast is as old as the list. And whoever came back is on
the list with the new stay alone, so that their earlier discharge is not counted where discharges to
come are taken to be as many as the last ones were: that part is low by about the share of
discharges that were followed by a return. ``readmit forecast`` reads the records and has them all.
"""

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np
from msgspec import Meta

from fhir_mappings.errors import RiskModelError
from fhir_mappings.events import DAY
from fhir_mappings.records.instants import as_datetime
from service.database import work_list_search
from service.database.work_list_search import Discharged
from service.identity.caller import Caller
from service.keeping import Keeping
from service.work_list.read import reaching

if TYPE_CHECKING:
    from training.risk_model import RiskModel

MOST_WEEKS: Final = 12

NO_UNIT: Final = "not recorded"
"""Stays whose unit no record names; for those who see every unit."""


class ForecastWeek(msgspec.Struct, frozen=True, kw_only=True):
    """What one unit must expect in one week."""

    week: Annotated[int, Meta(description="1 is the seven days from `as_of` on.")]
    at_home: Annotated[float, Meta(description="Expected of patients who are at home already.")]
    to_come: Annotated[float, Meta(description="Expected of discharges that are still to come.")]
    expected: Annotated[float, Meta(description="Readmissions: the sum of both.")]
    low: Annotated[int, Meta(description="Lower end of the interval of 95 % of such weeks.")]
    high: int


class UnitForecast(msgspec.Struct, frozen=True, kw_only=True):
    """The coming weeks of one unit. A patient counts for the unit that discharged them."""

    unit: Annotated[
        str, Meta(description="`other units`: those with fewer than eleven patients at home.")
    ]
    weeks: tuple[ForecastWeek, ...]


class Planning(msgspec.Struct, frozen=True, kw_only=True):
    """The readmissions to expect in the coming weeks, by unit."""

    as_of: Annotated[
        str | None,
        Meta(description="UTC: the last batch run, where week 1 begins; null before the first."),
    ]
    model: str
    version: str
    horizon_days: int
    overdispersion: Annotated[
        float, Meta(description="Factor on the variance: by how much weeks differ beyond chance.")
    ]
    units: tuple[UnitForecast, ...]
    hidden: Annotated[
        bool,
        Meta(
            description="Whether units are left out that together have fewer than eleven patients "
            "at home."
        ),
    ]


def read_planning(keeping: Keeping, caller: Caller, model: "RiskModel", weeks: int) -> Planning:
    """Forecast the coming weeks. Nobody is named by it, and no unit with fewer than eleven.

    Args:
        keeping: the database, the keys and the audit.
        caller: who asks; their role or scope for reading the list is checked already.
        model: the one in use; the list's risks are its own.
        weeks: how many.

    Raises:
        ForbiddenError: if the caller's access is for one patient alone.
        RiskModelError: if the model does not say when readmissions happen.
        DatabaseError: if the list cannot be read.
    """
    curve, overdispersion = model.reference.returns, model.reference.overdispersion
    if curve is None or overdispersion is None:
        raise RiskModelError("The model in use does not say when readmissions happen.")
    filters = reaching(caller, work_list_search.Filters())
    with keeping.database.reading() as connection:
        as_of = work_list_search.listed_as_of(connection)
        since = None if as_of is None else as_of - curve.horizon_days * DAY
        stays = (
            [] if since is None else work_list_search.discharged_since(connection, filters, since)
        )
    units, hidden = _forecast(stays, as_of or 0, model, weeks)
    return Planning(
        as_of=None if as_of is None else as_datetime(as_of).isoformat(timespec="seconds"),
        model=model.name,
        version=model.version,
        horizon_days=curve.horizon_days,
        overdispersion=overdispersion,
        units=units,
        hidden=hidden,
    )


def _forecast(
    stays: list[Discharged], as_of: int, model: "RiskModel", weeks: int
) -> tuple[tuple[UnitForecast, ...], bool]:
    # It imports pandas and scipy: not before somebody asks.
    from training.forecast.forecast import forecast
    from training.forecast.units import pooled

    curve, overdispersion = model.reference.returns, model.reference.overdispersion
    assert curve is not None  # noqa: S101  checked by the caller
    assert overdispersion is not None  # noqa: S101  likewise
    units = np.array([stay.unit or NO_UNIT for stay in stays], dtype=object)
    at_home = np.array([stay.at_home for stay in stays], dtype=bool)
    if not len(stays):
        return (), False
    rows = forecast(
        np.array([stay.probability for stay in stays]),
        np.array([max(0.0, (as_of - stay.discharged_at) / DAY) for stay in stays]),
        units,
        at_home,
        curve=curve,
        overdispersion=overdispersion,
        weeks=weeks,
    )
    names = list(dict.fromkeys(row.unit for row in rows))
    found = tuple(
        UnitForecast(
            unit=name,
            weeks=tuple(
                ForecastWeek(
                    week=row.week,
                    at_home=round(row.at_home, 1),
                    to_come=round(row.to_come, 1),
                    expected=round(row.expected, 1),
                    low=row.low,
                    high=row.high,
                )
                for row in rows
                if row.unit == name
            ),
        )
        for name in names
    )
    return found, any(unit is None for unit in pooled(units, at_home))
