"""A risk model is loaded only after a process of its own has tried it (``training.model_trial``).

A damaged or hostile ``model.ubj`` can crash or hang the interpreter inside XGBoost, where no
exception can be caught. There it takes a child along, and the service says so and goes on.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fhir_mappings.errors import RiskModelError
from service.settings import Settings

if TYPE_CHECKING:
    from training.risk_model import RiskModel

TRIAL: Final = ("-P", "-m", "training.model_trial")
"""``-P``: a folder that the service is started in cannot slip a module under it."""


class Tried(msgspec.Struct, frozen=True):
    """What the child says: the model to load just so, or why not."""

    folder: str
    version: str
    run_id: str | None
    manifest_sha256: str
    refusal: str


def load_tried(settings: Settings) -> "RiskModel":
    """Load the risk model that the settings name, after its trial, and only with the same bytes.

    Raises:
        RiskModelError: if the trial refused it, crashed or did not end in time, or the model was
            changed since.
    """
    # Here and not above: importing the service must not pull in what only a model needs.
    from training.risk_model import load_risk_model

    tried = trial(_arguments(settings), settings.model_trial_seconds)
    return load_risk_model(
        Path(tried.folder),
        version=tried.version,
        run_id=tried.run_id,
        manifest_sha256=tried.manifest_sha256,
    )


def trial(arguments: Sequence[str], seconds: float) -> Tried:
    """Have a child try a model.

    It is given none of the service's settings: keys and passwords are no business of a model's.

    Raises:
        RiskModelError: as ``load_tried``.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("READMIT_")}
    try:
        done = subprocess.run(
            [sys.executable, *TRIAL, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RiskModelError(
            f"the risk model's trial did not end within {seconds} s; it is not loaded"
        ) from None
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise RiskModelError(f"the risk model's trial was ended by {name}; it is not loaded")
    try:
        tried = msgspec.json.decode(done.stdout, type=Tried)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise RiskModelError(
            f"the risk model's trial failed with the exit code {done.returncode}; it is not loaded"
        ) from None
    if tried.refusal:
        raise RiskModelError(tried.refusal)
    return tried


def _arguments(settings: Settings) -> list[str]:
    if settings.risk_model is not None:
        return ["--folder", str(settings.risk_model)]
    arguments = ["--champion", str(settings.mlruns)]
    if settings.promotion_key is not None:
        arguments += ["--public-key", str(settings.promotion_key)]
    return arguments
