"""Stays by unit and week: what forecasts, and what came, are counted by."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.return_curve import FloatArray, ReturnCurve

WEEK = 7.0
"""Days."""
NOT_RECORDED = "not recorded"
"""The unit of stays whose record names none (``Stay.site``)."""
OTHER_UNITS = "other units"
"""Units with too few patients, together."""
SMALLEST = 11
"""Patients at home below which a unit is not shown alone, as in ``monitoring.transparency``."""


def units_of(stays: pd.DataFrame) -> npt.NDArray[Any]:
    """The unit that discharged each stay."""
    if "site" not in stays:
        return np.full(len(stays), NOT_RECORDED, dtype=object)
    units = stays["site"].astype(object)
    return units.where(units.notna(), NOT_RECORDED).to_numpy(dtype=object)


def pooled(units: npt.NDArray[Any], counted: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """The units, those with fewer than ``SMALLEST`` counted stays together as ``OTHER_UNITS``.

    Where even together they are too few, their stays have no unit (None) and are not shown.
    """
    names, place = np.unique(units.astype(str), return_inverse=True)
    small = (np.bincount(place[counted], minlength=len(names)) < SMALLEST)[place]
    enough = int((small & counted).sum()) >= SMALLEST
    found = units.copy()
    found[small] = OTHER_UNITS if enough else None
    return found


def weeks_of_stays(
    discharged: FloatArray, curve: ReturnCurve
) -> Iterator[tuple[npt.NDArray[np.int64], FloatArray]]:
    """Each week in which stays may come back, with the share of their readmissions that fall in it.

    Args:
        discharged: days since some midnight.
        curve: when readmissions happen.

    Yields:
        For each stay the number of the week, counted from the same midnight, and F at its end less
        F at its beginning: first for the week of the discharge, then for the following ones.
    """
    first = np.floor(discharged / WEEK).astype(np.int64)
    for later in range(int(np.ceil(curve.horizon_days / WEEK)) + 1):
        week = first + later
        begin = week * WEEK - discharged
        yield week, curve.returned_by(begin + WEEK) - curve.returned_by(begin)
