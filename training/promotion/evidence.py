"""What a run left for the gates to judge: its findings, its study and its model."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from fhir_mappings.errors import RiskModelError, StudyError
from training import findings
from training.risk_model import RiskModel, load_risk_model
from training.study import Study, parse_study

MODEL_FOLDER = "model"
STUDY = "study.json"


@dataclass(frozen=True)
class Evidence:
    """What lies in a run's folder; None for what is absent or cannot be read, and why."""

    facts: findings.RunFacts | None
    evaluation: findings.Evaluation | None
    fairness: findings.Fairness | None
    leakage: findings.LeakageAudit | None
    study: Study | None
    model: RiskModel | None
    trees: bytes | None
    """``model.ubj`` as it lies there, once the folder was checked."""
    problems: dict[str, str]
    """By file: why it could not be read."""


def read_evidence(folder: Path) -> Evidence:
    """Read what a run left in ``folder``, the run's artifacts."""
    problems: dict[str, str] = {}

    def finding(name: str, kind: type[msgspec.Struct]) -> msgspec.Struct | None:
        try:
            return msgspec.json.decode((folder / name).read_bytes(), type=kind)
        except FileNotFoundError:
            problems[name] = f"{name} is absent"
        except (msgspec.DecodeError, UnicodeDecodeError):
            problems[name] = f"{name} is not of the present form"
        return None

    read = {name: finding(name, findings.FILES[name]) for name in _NEEDED}
    model, trees = _model(folder / MODEL_FOLDER, problems)
    facts, evaluation, fairness, leakage = (read[name] for name in _NEEDED)
    return Evidence(
        facts=facts if isinstance(facts, findings.RunFacts) else None,
        evaluation=evaluation if isinstance(evaluation, findings.Evaluation) else None,
        fairness=fairness if isinstance(fairness, findings.Fairness) else None,
        leakage=leakage if isinstance(leakage, findings.LeakageAudit) else None,
        study=_study(folder / STUDY, problems),
        model=model,
        trees=trees,
        problems=problems,
    )


_NEEDED = ("run.json", "evaluation.json", "fairness.json", "leakage.json")


def _study(path: Path, problems: dict[str, str]) -> Study | None:
    try:
        return parse_study(path.read_bytes(), path.name)
    except FileNotFoundError:
        problems[STUDY] = f"{STUDY} is absent"
    except StudyError as error:
        problems[STUDY] = str(error)
    return None


def _model(folder: Path, problems: dict[str, str]) -> tuple[RiskModel | None, bytes | None]:
    try:
        return load_risk_model(folder), (folder / "model.ubj").read_bytes()
    except RiskModelError as error:
        problems[MODEL_FOLDER] = str(error)
        return None, None
