"""A run as it lies among its artifacts: everything that report and model card are made from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fhir_mappings.errors import RiskModelError
from fhir_mappings.features.declaration import Feature
from training.cohort.selection import FlowStep
from training.findings import (
    FILES,
    ChampionChanges,
    Evaluation,
    Explanation,
    Fairness,
    Gated,
    LeakageAudit,
    Learning,
    RunFacts,
    Search,
)
from training.risk_model import Calibration, Reference, load_risk_model
from training.study import Study, parse_study

MODEL_FOLDER = "model"
OPTIONAL = {
    "fairness.json": "for whom it works",
    "leakage.json": "the leakage audit",
    "explanation.json": "what moves the model",
    "learning.json": "the learning curve",
    "search.json": "the search for settings",
    "changes.json": "what changed against the model in use",
    "gates.json": "the gates",
    "strongest.json": "the strongest features",
}
"""Files that a run may lack, and what a report cannot say without them."""


@dataclass(frozen=True, kw_only=True)
class RunArtifacts:
    """A finished run, read and checked; what it does not have is None, and named in ``absent``."""

    facts: RunFacts
    study: Study
    flow: tuple[FlowStep, ...]
    evaluation: Evaluation
    reference: Reference
    features: tuple[Feature, ...]
    """The declarations of the model's columns, in their order."""
    calibration: Calibration
    model_sha256: str
    """Of the model's manifest, and so of all that the model is."""
    fairness: Fairness | None
    leakage: LeakageAudit | None
    explanation: Explanation | None
    learning: Learning | None
    search: Search | None
    changes: ChampionChanges | None
    gates: Gated | None
    strongest: tuple[tuple[str, float], ...]
    plots: dict[str, str]
    """SVG text by file name without its ending."""
    absent: tuple[str, ...]

    @property
    def simulated(self) -> bool:
        """Whether every figure must say that the records are simulated."""
        return self.facts.simulated


def read_run(folder: Path) -> RunArtifacts:
    """Read a run's artifacts, after its model was checked against its manifest.

    Args:
        folder: the run's artifacts, with ``run.json`` and ``model/`` in it.

    Raises:
        RiskModelError: if a file that every run has is missing, a file is malformed, or the model
            is not what its manifest says.
        StudyError: if the study is malformed.

    """
    model = load_risk_model(folder / MODEL_FOLDER)
    return RunArtifacts(
        facts=_required(folder, "run.json", RunFacts),
        study=parse_study(_content(folder, "study.json")),
        flow=_required(folder, "flow.json", tuple[FlowStep, ...]),
        evaluation=_required(folder, "evaluation.json", Evaluation),
        reference=model.reference,
        features=model.features,
        calibration=model.calibration,
        model_sha256=model.fingerprint,
        fairness=_optional(folder, "fairness.json", FILES["fairness.json"]),
        leakage=_optional(folder, "leakage.json", FILES["leakage.json"]),
        explanation=_optional(folder, "explanation.json", FILES["explanation.json"]),
        learning=_optional(folder, "learning.json", FILES["learning.json"]),
        search=_optional(folder, "search.json", FILES["search.json"]),
        changes=_optional(folder, "changes.json", FILES["changes.json"]),
        gates=_optional(folder, "gates.json", FILES["gates.json"]),
        strongest=_optional(folder, "strongest.json", tuple[tuple[str, float], ...]) or (),
        plots=_plots(folder / "plots"),
        absent=tuple(name for name in OPTIONAL if not (folder / name).is_file()),
    )


def _content(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        raise RiskModelError(f"{name} is missing from the run") from None


def _required(folder: Path, name: str, kind: Any) -> Any:
    try:
        return msgspec.json.decode(_content(folder, name), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RiskModelError(f"{name}: {error}") from None


def _optional(folder: Path, name: str, kind: Any) -> Any:
    return _required(folder, name, kind) if (folder / name).is_file() else None


def _plots(folder: Path) -> dict[str, str]:
    paths = sorted(folder.glob("*.svg")) if folder.is_dir() else []
    return {path.stem: path.read_text(encoding="utf-8") for path in paths}
