"""Promotion: which model is in use, by whose decision, and why."""

from pathlib import Path

from training.promotion.gates import allowed, judge
from training.promotion.history import Reign, reigns
from training.promotion.promote import (
    Decision,
    Registered,
    judge_run,
    promote,
    recover,
    register_run,
    rollback,
)
from training.promotion.record import Entry, Verified, verify

__all__ = [
    "Decision",
    "Entry",
    "Registered",
    "Reign",
    "Verified",
    "allowed",
    "history",
    "judge",
    "judge_run",
    "promote",
    "recover",
    "register_run",
    "reigns",
    "rollback",
    "verify",
]


def history(mlruns: Path, public_key: Path | None = None) -> tuple[Reign, ...]:
    """Which version was in use from when to when, by whom and why, from the checked record.

    Raises:
        PromotionError: if the record does not verify.
    """
    return reigns(verify(mlruns, public_key).entries)
