"""Commands about models: which is in use and why, promotion, rollback, and replay of a score."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.options import (
    DEFAULT_MLRUNS,
    DEFAULT_STORE,
    JsonOption,
    MlrunsOption,
    OptOutOption,
    ProfileOption,
    StoreOption,
    opt_outs_of,
    plain,
    print_json,
    profile_for,
)

if TYPE_CHECKING:
    from training.promotion import Decision

ByOption = Annotated[
    str | None, typer.Option("--by", help="Who decides; the user of this machine by default.")
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key",
        envvar="READMIT_SIGNING_KEY",
        help="Private key (Ed25519, PKCS #8 PEM) that decisions are signed with. Where none is "
        "named, one is made below MLflow's home: a convenience for one machine.",
    ),
]


def models(
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    public_key: Annotated[
        Path | None,
        typer.Option(help="Public key that the record must be signed with, kept elsewhere."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show which model was in use from when to when, by whose decision, from the signed record."""
    from training import tracking
    from training.promotion import recover, reigns, verify

    if (mlruns / "mlflow.db").exists():
        recover(mlruns)
    verified = verify(mlruns, public_key)
    answer = {
        "versions": [
            {
                "version": one.version,
                "run_id": one.run_id,
                "registered_at": one.registered_at.isoformat(timespec="seconds"),
                "aliases": one.aliases,
                "manifest_sha256": one.manifest_sha256,
            }
            for one in tracking.versions(mlruns)
        ],
        "history": plain(reigns(verified.entries)),
        "refused": [plain(entry) for entry in verified.entries if entry.action == "refuse"],
        "entries": len(verified.entries),
        "head_sha256": verified.head,
    }
    if as_json:
        print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    show(
        results,
        table(
            "Registered versions",
            ("version", "registered (UTC)", "alias", "run"),
            [
                (v["version"], v["registered_at"][:19], ", ".join(v["aliases"]), v["run_id"])
                for v in answer["versions"]
            ],
        ),
        table(
            "In use",
            ("version", "since (UTC)", "until (UTC)", "by", "how"),
            [
                (
                    reign["version"],
                    reign["since"][:19],
                    (reign["until"] or "")[:19],
                    reign["by"],
                    reign["action"] + (" (provisional)" if reign["provisional"] else ""),
                )
                for reign in answer["history"]
            ],
        ),
        f"{answer['entries']} decisions on record, {len(answer['refused'])} of them refusals; "
        f"every signature holds. Head: {answer['head_sha256']}",
    )


def promote(
    version: Annotated[str, typer.Argument(help="Of the registered model.")],
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    by: ByOption = None,
    study: Annotated[
        Path | None,
        typer.Option(help="Study file whose gates and waivers apply; else those of the run."),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            help="The store that it was made from: the model is fitted anew and compared."
        ),
    ] = None,
    profile: ProfileOption = None,
    opt_out: OptOutOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a model before the gates, enter the decision, and use it if they allow it.

    Exits with 7 where the gates refuse.
    """
    from fhir_mappings.errors import PromotionError
    from training.promotion import promote as run
    from training.study import load_study

    decision = run(
        mlruns,
        version,
        by=by,
        study=load_study(study) if study else None,
        refit=None if store is None else lambda: _refit(store, profile, mlruns, version, opt_out),
        key=key,
    )
    _tell(decision, as_json=as_json)
    if not decision.promoted:
        raise PromotionError(f"version {version} was refused; {_in_use(decision)}")


def _refit(
    store: Path, profile: str | None, mlruns: Path, version: str, opt_out: Path | None
) -> bytes:
    from fhir_mappings.store import open_store
    from training.experiment import refit
    from training.study_records import StudyRecords
    from training.tracking import run_folder

    chosen = profile_for(store, profile)
    with open_store(store) as opened:
        records = StudyRecords(opened, chosen, opt_outs_of(opt_out, chosen))
        return refit(records, chosen, run_folder(mlruns, version))


def rollback(
    reason: Annotated[str, typer.Option(help="Why, in words, for the record.")],
    to: Annotated[
        str | None, typer.Option(help="A version that was in use once; else the one before.")
    ] = None,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    by: ByOption = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to the model that was in use before, at once and without gates."""
    from training.promotion import rollback as run

    _tell(run(mlruns, by=by, reason=reason, to=to, key=key), as_json=as_json)


def _tell(decision: "Decision", *, as_json: bool) -> None:
    if as_json:
        print_json(plain(decision))
        return
    from rich.markup import escape

    from service.tables import show, table
    from service.terminal import results

    entry = decision.entry
    rows = [
        (
            gate.gate,
            "passed" if gate.passed else "waived" if gate.waived else "not passed",
            len(gate.unjudged) or None,
        )
        for gate in entry.gates
    ]
    if rows:
        show(results, table(f"Version {entry.version}", ("gate", "", "not judged"), rows))
    show(results, *(f"- {escape(reason)}" for reason in entry.reasons))
    by = escape(entry.by)
    show(results, f"Entry {entry.number}: {entry.action}, by {by}; {_in_use(decision)}")


def _in_use(decision: "Decision") -> str:
    return f"version {decision.champion} is in use" if decision.champion else "no model is in use"


def keygen(
    path: Annotated[Path, typer.Argument(help="Where the private key goes; keep it apart.")],
    as_json: JsonOption = False,
) -> None:
    """Make a private key to sign promotions with, that its owner alone may read."""
    from training.promotion.keys import make_key

    answer = {"path": str(path), "fingerprint": make_key(path)}
    if as_json:
        print_json(answer)
        return
    from service.tables import show
    from service.terminal import results

    show(results, f"{path}: a key with the fingerprint {answer['fingerprint']}")


def replay(
    score_id: Annotated[str, typer.Argument(help="As the table of scores names it.")],
    store: StoreOption = DEFAULT_STORE,
    mlruns: MlrunsOption = DEFAULT_MLRUNS,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a risk model that was never registered.")
    ] = None,
    profile: ProfileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute a past score again, and say which of its inputs the records give otherwise today."""
    from fhir_mappings.errors import RiskModelError
    from fhir_mappings.store import open_store
    from training.replay.ledger import find_score
    from training.replay.replay import replay as run

    kept = find_score(store, score_id)
    chosen = profile_for(store, profile)
    with open_store(store) as opened:
        found = run(kept, mlruns, store=opened, profile=chosen, model_folder=model)
    answer = plain(found)
    if as_json:
        print_json(answer)
    else:
        _show_replayed(answer)
    if not found.identical:
        raise RiskModelError("the score that was kept is not what its model gives")


def _show_replayed(answer: dict[str, Any]) -> None:
    from rich.markup import escape

    from service.tables import show, table
    from service.terminal import results

    agrees = "to the last bit" if answer["identical"] else "NOT the same"
    show(
        results,
        f"Score {answer['score_id']} as of {answer['as_of']}, given on {answer['scored_at']} by "
        f"{answer['model']} version {answer['version']}",
        f"then {answer['probability']:.6f}, again {answer['probability_again']:.6f}: {agrees}",
        escape(answer["records"]),
    )
    if answer["differences"]:
        rows = [
            (one["feature"], _or_missing(one["then"]), _or_missing(one["now"]), one["sentence"])
            for one in answer["differences"]
        ]
        show(results, table("Inputs", ("input", "then", "today", "why"), rows))
        show(results, f"From today's records it would be {answer['probability_today']:.6f}.")


def _or_missing(value: float | None) -> float | str:
    return "missing" if value is None else value
