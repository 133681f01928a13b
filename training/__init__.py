"""What the model learns: cohort, label, split, fit, calibration, evaluation, and the risk model.

For notebooks: ``from training import Study, matrix, fit_study, run_study, ...`` gives what a data
scientist works with, as plain functions and structs. A name is loaded when it is asked for, since
the service imports this package for the risk model alone and must not wait for the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.evaluation.evaluate import evaluate
    from training.evaluation.measures import Risk
    from training.evaluation.subgroups import fairness
    from training.experiment import matrix, run_study
    from training.fitted import Fitted, fit_study
    from training.monitoring.history import trend
    from training.monitoring.monitor import monitor
    from training.promotion.promote import promote, rollback
    from training.report import read_run, render_report
    from training.risk_model import RiskModel, champion, load_risk_model
    from training.study import Study, load_study
    from training.study_data import StudyData
    from training.tables import (
        differences_table,
        groups_table,
        measures_table,
        net_benefit_table,
    )

_HOMES = {
    "Fitted": "training.fitted",
    "Risk": "training.evaluation.measures",
    "RiskModel": "training.risk_model",
    "Study": "training.study",
    "StudyData": "training.study_data",
    "champion": "training.risk_model",
    "differences_table": "training.tables",
    "evaluate": "training.evaluation.evaluate",
    "fairness": "training.evaluation.subgroups",
    "fit_study": "training.fitted",
    "groups_table": "training.tables",
    "load_risk_model": "training.risk_model",
    "load_study": "training.study",
    "matrix": "training.experiment",
    "measures_table": "training.tables",
    "monitor": "training.monitoring.monitor",
    "net_benefit_table": "training.tables",
    "promote": "training.promotion.promote",
    "read_run": "training.report",
    "render_report": "training.report",
    "rollback": "training.promotion.promote",
    "run_study": "training.experiment",
    "trend": "training.monitoring.history",
}

__all__ = [
    "Fitted",
    "Risk",
    "RiskModel",
    "Study",
    "StudyData",
    "champion",
    "differences_table",
    "evaluate",
    "fairness",
    "fit_study",
    "groups_table",
    "load_risk_model",
    "load_study",
    "matrix",
    "measures_table",
    "monitor",
    "net_benefit_table",
    "promote",
    "read_run",
    "render_report",
    "rollback",
    "run_study",
    "trend",
]


def __getattr__(name: str) -> Any:
    """Load a name of the notebook's when it is asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'training' has no attribute '{name}'")
    return getattr(import_module(home), name)
