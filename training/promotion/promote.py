"""Which model is in use: the first by training, every later one by a decision.

The signed record decides. A decision counts from the moment its entry is on disk; the registry's
alias and the service's note follow it, and where a process was killed before they did, the next
operation lets them follow (``recover``). Alias and note each name one version, so there are never
two champions, and neither names a version before it was registered whole.
"""

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fhir_mappings.errors import PromotionError, RiskModelError
from training import findings, tracking
from training.findings import Gated, GateResult
from training.promotion import record
from training.promotion.evidence import STUDY
from training.promotion.gates import InUse, Refit, allowed, judge
from training.promotion.history import standing
from training.promotion.record import Decided, Entry, in_use
from training.risk_model import fingerprint, load_risk_model, read_champion
from training.study import Study, parse_study

GATES = "gates.json"


@dataclass(frozen=True)
class Registered:
    """A run, the version that came of it, and what became of it."""

    run_id: str
    version: str
    alias: str
    """``champion`` when there was none yet, else ``challenger``."""
    folder: Path
    """The risk model's folder among the artifacts."""
    gates: tuple[GateResult, ...]
    provisional: bool
    """In use as the first model, although not every gate was passed or waived."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What was decided, and what is in use after it."""

    promoted: bool
    entry: Entry
    before: str | None
    """The version that was in use."""
    champion: str
    """The version that is in use now."""


def judge_run(mlruns: Path, artifacts: Path, study: Study | None = None) -> tuple[GateResult, ...]:
    """Put a run that is being recorded before the gates and write ``gates.json`` among its files.

    Args:
        mlruns: the folder of MLflow, for the model in use.
        artifacts: the run's files; ``study.json`` is read from there where ``study`` is None.
        study: its gates apply.
    """
    current = in_use(record.verify(mlruns).entries)
    results = judge(
        artifacts,
        study or _study_of(artifacts),
        champion=InUse(current.version, current.manifest_sha256) if current else None,
    )
    gated = Gated(results=results, champion=current.version if current else None)
    (artifacts / GATES).write_bytes(msgspec.json.encode(gated))
    return results


def register_run(
    mlruns: Path,
    artifacts: Path,
    *,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    trials: Sequence[findings.Trial] = (),
    by: str | None = None,
    key: Path | None = None,
) -> Registered:
    """Log a finished training run, judge it, register its model, and put the first one into use.

    Without a first model nothing could be scored. It is entered as ``first``, with what the gates
    said, and as provisional where they did not all pass. Every later model is the challenger until
    somebody promotes it.

    Args:
        mlruns: the folder of MLflow; created where absent.
        artifacts: a folder that is copied as it is; the risk model lies in ``model`` below it.
        parameters: of the run.
        metrics: of the run.
        tags: of the run and of the version.
        trials: of the search for settings.
        by: who trains; the operating system's user where None.
        key: private key that the decision is signed with, as in ``keys.signing_key``.

    Raises:
        RiskModelError: if the copied model is not what its manifest says.
        PromotionError: if the record of promotions does not verify.
    """
    with tracking.locked(mlruns):
        entries = _swept(mlruns)
        results = judge_run(mlruns, artifacts)
        recorded = tracking.record_run(
            mlruns, artifacts, parameters=parameters, metrics=metrics, tags=tags, trials=trials
        )
        if in_use(entries) is None:
            decided = _decided("first", mlruns, recorded.version, results, by, _study_of(artifacts))
            entries = (*entries, record.append(mlruns, decided, key=key))
        current = _follow(mlruns, entries)
        first = current is not None and current.version == recorded.version
        tracking.settle(mlruns, recorded.version, challenger=not first)
    return Registered(
        run_id=recorded.run_id,
        version=recorded.version,
        alias="champion" if first else "challenger",
        folder=recorded.folder,
        gates=results,
        provisional=first and not allowed(results),
    )


def promote(
    mlruns: Path,
    version: str,
    *,
    by: str | None = None,
    study: Study | None = None,
    refit: Refit | None = None,
    key: Path | None = None,
) -> Decision:
    """Put a registered version before the gates, enter the decision, and use it if they allow it.

    Args:
        mlruns: the folder of MLflow.
        version: of the registered model.
        by: who decides; the operating system's user where None.
        study: whose gates and waivers apply; the run's own where None.
        refit: fits the model anew, where the data are at hand.
        key: private key that the decision is signed with, as in ``keys.signing_key``.

    Raises:
        RiskModelError: if there is no such version.
        PromotionError: if the record of promotions does not verify.
    """
    tracking.version_of(mlruns, version)  # before anything takes long, or is written
    fitted = None if refit is None else refit()  # takes long: nobody waits for the lock meanwhile
    with tracking.locked(mlruns):
        entries = _swept(mlruns)
        artifacts = tracking.run_folder(mlruns, tracking.version_of(mlruns, version).version)
        current = in_use(entries)
        rival = current if current and current.version != version else None
        applied = study or _study_of(artifacts)
        results = judge(
            artifacts,
            applied,
            champion=InUse(rival.version, rival.manifest_sha256) if rival else None,
            refit=None if fitted is None else lambda: fitted,
        )
        action: record.Action = "promote" if allowed(results) else "refuse"
        decided = _decided(action, mlruns, version, results, by, applied)
        entry = record.append(mlruns, decided, key=key)
        now = _follow(mlruns, (*entries, entry))
        if action == "promote":
            tracking.settle(mlruns, version, challenger=False)
    return Decision(
        promoted=action == "promote",
        entry=entry,
        before=current.version if current else None,
        champion=now.version if now else "",
    )


def rollback(
    mlruns: Path,
    *,
    by: str | None = None,
    reason: str,
    to: str | None = None,
    key: Path | None = None,
) -> Decision:
    """Go back to the model that was in use before, or to a version that once was.

    No gate is asked: it was in use, and whoever goes back has a reason not to wait. Its folder must
    be what it was when it was decided on.

    Args:
        mlruns: the folder of MLflow.
        by: who decides; the operating system's user where None.
        reason: in words, for the record.
        to: a version; None for the one that was in use before the present one.
        key: private key that the decision is signed with, as in ``keys.signing_key``.

    Raises:
        PromotionError: if there is no model to go back to, the reason is empty, or the record of
            promotions does not verify.
        RiskModelError: if the model's folder is damaged.
    """
    if not reason.strip():
        raise PromotionError("a rollback needs a reason, in words")
    with tracking.locked(mlruns):
        entries = _swept(mlruns)
        current = in_use(entries)
        target = _to_go_back_to(entries, to)
        folder = tracking.version_of(mlruns, target.version).folder
        load_risk_model(folder, manifest_sha256=target.manifest_sha256)
        decided = Decided(
            action="rollback",
            version=target.version,
            run_id=target.run_id,
            manifest_sha256=target.manifest_sha256,
            study_sha256=None,
            data_fingerprint=target.data_fingerprint,
            gates=(),
            provisional=target.provisional,
            reasons=(reason.strip(),),
            by=by or getpass.getuser(),
        )
        entry = record.append(mlruns, decided, key=key)
        _follow(mlruns, (*entries, entry))
    return Decision(
        promoted=False,
        entry=entry,
        before=current.version if current else None,
        champion=target.version,
    )


def recover(mlruns: Path) -> tuple[Entry, ...]:
    """Put right what killed processes left, and return the record as it then stands.

    Raises:
        PromotionError: if the record does not verify, or a model is in use that it does not know.
    """
    with tracking.locked(mlruns):
        entries = _swept(mlruns)
        _follow(mlruns, entries)
    return entries


def _swept(mlruns: Path) -> tuple[Entry, ...]:
    entries = record.verify(mlruns).entries
    if in_use(entries) is None and (note := read_champion(mlruns)):
        raise PromotionError(
            f"version {note.version} is in use and the record of promotions is absent: put back "
            f"{record.RECORD}, {record.HEAD} and the public key, or train into another folder"
        )
    tracking.sweep(mlruns, kept={entry.version for entry in entries})
    return entries


def _follow(mlruns: Path, entries: tuple[Entry, ...]) -> Entry | None:
    """Let alias and note name what the record says is in use."""
    current = in_use(entries)
    if current is not None:
        tracking.make_champion(mlruns, current.version, current.manifest_sha256)
    return current


def _to_go_back_to(entries: tuple[Entry, ...], to: str | None) -> Entry:
    if to is None:
        stack = standing(entries)
        if len(stack) < 2:
            raise PromotionError("no other model was in use before this one")
        return stack[-2]
    current = in_use(entries)
    if current is not None and current.version == to:
        raise PromotionError(f"version {to} is in use already")
    for entry in reversed(entries):
        if entry.version == to and entry.action != "refuse":
            return entry
    raise PromotionError(f"version {to} was never in use: promote it instead")


def _decided(
    action: record.Action,
    mlruns: Path,
    version: str,
    results: tuple[GateResult, ...],
    by: str | None,
    study: Study,
) -> Decided:
    one = tracking.version_of(mlruns, version)
    try:
        manifest, data = fingerprint(one.folder), _data_of(one.folder)
    except RiskModelError:
        # A damaged model is refused, and the refusal names it as it was registered.
        manifest, data = one.manifest_sha256 or "", None
    passed = allowed(results)
    return Decided(
        action=action,
        version=version,
        run_id=one.run_id,
        manifest_sha256=manifest,
        study_sha256=study.digest(),
        data_fingerprint=data,
        gates=results,
        provisional=action == "first" and not passed,
        reasons=_reasons(action, results),
        by=by or getpass.getuser(),
    )


def _reasons(action: record.Action, results: tuple[GateResult, ...]) -> tuple[str, ...]:
    reasons = ["the first model: without it nothing could be scored"] if action == "first" else []
    for result in results:
        if result.waived:
            reasons += [
                f"{result.gate}: waived by {waiver.by}: {waiver.reason}"
                for waiver in result.waivers
            ]
        else:
            reasons += [f"{result.gate}: {sentence}" for sentence in result.failures]
    return tuple(reasons) or ("every gate was passed",)


def _data_of(folder: Path) -> str:
    return load_risk_model(folder).reference.data_fingerprint


def _study_of(artifacts: Path) -> Study:
    """The study that a run was made by; every default where the run kept none."""
    path = artifacts / STUDY
    return parse_study(path.read_bytes(), path.name) if path.exists() else Study()
