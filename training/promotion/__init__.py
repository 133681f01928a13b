"""Promotion: which model is in use, by whose decision, and why."""

from training.promotion.promote import Registered, promote, register_run

__all__ = ["Registered", "promote", "register_run"]
