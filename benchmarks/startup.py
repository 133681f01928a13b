"""How long until the service can be imported, and until it can be asked.

Peers: importing FastAPI and XGBoost, without which no such service exists; and ``mlflow models
serve`` until it answers its ping.
"""

import subprocess
import sys
from pathlib import Path

from benchmarks.measuring import Result, figure, in_turns
from benchmarks.serving import ours, theirs, trained

RUNS = 5


def run(folder: Path) -> list[Result]:
    """Measure imports in fresh interpreters, then both servers from start to ready."""
    seconds = in_turns(
        RUNS,
        ours=lambda: _fresh("import service.app"),
        peers=lambda: _fresh("import fastapi, xgboost"),
        nothing=lambda: _fresh("pass"),
    )
    mlruns = trained(folder)
    ready: dict[str, list[float]] = {"ours": [], "theirs": []}
    for _ in range(3):
        with ours(mlruns) as (_, took):
            ready["ours"].append(took)
        with theirs(folder, mlruns) as (_, took):
            ready["theirs"].append(took)
    our_ready, their_ready = (sorted(ready[name])[1] for name in ("ours", "theirs"))
    return [
        figure("import service.app", seconds["ours"] * 1000, "ms", "interpreter start included"),
        figure("the same / importing fastapi and xgboost", seconds["ours"] / seconds["peers"], "x"),
        figure("bare interpreter", seconds["nothing"] * 1000, "ms"),
        figure("readmit serve, start to ready", our_ready, "s"),
        figure("the same / mlflow models serve", our_ready / their_ready, "x"),
    ]


def _fresh(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)
