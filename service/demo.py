"""The whole product on a simulated hospital, from records to a score that can be asked for."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table

from fhir_mappings.consent import used_now
from fhir_mappings.coverage import coverage
from fhir_mappings.features.declaration import declared_features
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import SiteProfile, load_profile
from fhir_mappings.records.files import export_files, pieces
from fhir_mappings.records.instants import as_datetime
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.store import Store, open_store
from service.batch import Progress, score_store
from service.batch_run.run import Order, RunSummary, score_all
from service.keeping import open_keeping
from service.month.count import Records, count_month
from service.settings import Settings, SettingsError, load_settings
from service.tables import coverage_tables, evaluation_tables, ingest_tables, show, table
from service.terminal import Phases, progress, results
from training.dataset import end_of_data
from training.experiment import run_study
from training.replay.ledger import Part
from training.risk_model import RiskModel, champion
from training.simulated_hospital import simulate
from training.study import Study


def run(folder: Path, *, patients: int, seed: int, port: int, ehr_port: int, serving: bool) -> None:
    """Simulate, ingest, train, score, and serve on loopback; each step says what it found.

    Args:
        folder: where everything is kept; a second run updates it.
        patients: how many patients to simulate.
        seed: of the simulation and of the training.
        port: to serve on.
        ehr_port: of the demo EHR.
        serving: whether to serve at the end, and the demo EHR beside it.

    Raises:
        SettingsError: if a port is taken.

    """
    records, store, mlruns = folder / "records", folder / "store", folder / "mlruns"
    profile = load_profile("simulated")
    with progress() as report:
        simulated = simulate(
            records, patients, seed, lambda done, whole: report("simulate", done, whole)
        )
        read = ingest([records], store, profile, progress=lambda _, d, w: report("ingest", d, w))
    show(
        results,
        f"\n[bold]Simulated hospital[/]: {simulated.resources:,} records",
        ingest_tables(read),
    )
    with open_store(store) as opened:
        show(
            results, coverage_tables(coverage(opened, site_concepts(profile), declared_features()))
        )
        with progress() as report:
            phases = Phases(report, "train")
            result = run_study(
                opened, profile, mlruns, Study(seed=seed), reading=report, progress=phases
            )
            trained = msgspec.to_builtins(result)
            phases.done()
            model = champion(mlruns)
            with Part(store, model) as part:
                scored = score_store(opened, profile, model, folder / "scores.csv", report, part)
            listed = _list_patients(folder, opened, profile, model, report)
    show(
        results,
        evaluation_tables(trained),
        f"Best possible AUROC on this [bold]simulated[/] hospital: "
        f"{simulated.best_possible_auroc:.3f} (all index stays)",
        table("Scored", ("", "stays"), [("scored", scored.scored), *scored.not_scored.items()]),
    )
    show(results, _listed(folder, listed))
    bundle = _bundle_to_try(records, folder)
    show(results, *_what_next(folder, bundle, port))
    if serving:
        serve_with_ehr(folder, port=port, ehr_port=ehr_port)


def _settings(folder: Path) -> Settings:
    """Where the demo's service keeps what is its own."""
    return load_settings().model_copy(
        update={
            "mlruns": folder / "mlruns",
            "database": f"sqlite:///{folder / 'readmit.db'}",
            # For the first request of somebody with curl; who brings credentials is judged by them.
            "development": True,
        }
    )


def _list_patients(
    folder: Path, store: Store, profile: SiteProfile, model: RiskModel, report: Progress
) -> RunSummary:
    """List whom to follow up, as of the end of the simulated records, and count a month of them."""
    settings = _settings(folder)
    keeping = open_keeping(settings)
    try:
        end = end_of_data(store)
        order = Order(
            store=store,
            profile=profile,
            model=model,
            opt_outs=used_now(profile),
            as_of=None if end is None else as_datetime(end),
            now=datetime.now(UTC),
            max_reasons=settings.max_reasons,
        )
        listed = score_all(keeping, order, report)
        if end is not None:
            # The last month that every discharge was followed for thirty days in.
            month = as_datetime(end).replace(day=1) - timedelta(days=32)
            count_month(
                keeping,
                Records(store, profile, used_now(profile), model),
                f"{month:%Y-%m}",
                lambda done, whole: report("month", done, whole),
            )
        return listed
    finally:
        keeping.close()


def _listed(folder: Path, listed: RunSummary) -> Table:
    return table(
        f"Whom to follow up, as of {listed.as_of}, in {folder / 'readmit.db'}",
        ("", "patients"),
        [("on the list", listed.listed), *listed.not_scored.items()],
    )


def serve_with_ehr(folder: Path, *, port: int, ehr_port: int) -> None:
    """Serve what a demo has made, with the demo EHR beside it, until both are stopped.

    Raises:
        SettingsError: if a port is taken.
    """
    from service.demo_ehr.configuration import write_issuers
    from service.demo_ehr.plan import new_plan
    from service.demo_ehr.run import beside, free_port, listening
    from service.serve import serve

    try:
        listener = listening(ehr_port)
    except OSError as error:
        raise SettingsError(f"--ehr-port: cannot listen there: {error.strerror}") from None
    plan = new_plan(folder / "records", listener.getsockname()[1], port or free_port())
    issuers = folder / "issuers.toml"
    write_issuers(plan, issuers)
    settings = _settings(folder).model_copy(
        update={
            "port": plan.service_port,
            "issuers": issuers,
            "frame_ancestors": (plan.ehr,),
        }
    )
    show(
        results,
        "",
        f"[bold]Demo EHR[/] (simulated)  {plan.ehr}: open it in a browser, and see docs/demo.md",
        f"[bold]readmit[/]               {plan.service}",
    )
    with beside(plan, listener):
        serve(settings)


def _what_next(folder: Path, bundle: Path, port: int) -> list[str]:
    base = f"http://127.0.0.1:{port}"
    return [
        "",
        f"[bold]Scores of every stay[/]  {folder / 'scores.csv'}",
        f"[bold]Runs and models[/]       mlflow ui --backend-store-uri sqlite:///{folder}/mlruns/mlflow.db",
        f"[bold]Service[/]               {base}/v1/model, {base}/openapi.json",
        "[bold]Try it[/]                "
        f"curl -s -H 'Content-Type: application/fhir+json' --data-binary @{bundle} {base}/v1/score",
    ]


def _bundle_to_try(records: Path, folder: Path) -> Path:
    """The records of the riskiest simulated patient, as one Bundle to send to the service.

    Drugs that are named by reference come along: without them the service would know less than the
    store does, and give another probability.
    """
    with (folder / "scores.csv").open(encoding="utf-8", newline="") as scores:
        latest = {line["subject"]: line for line in csv.DictReader(scores)}
    # The service scores the latest stay: of patients for whom that one has a score.
    lines = [line for line in latest.values() if line["probability"]]
    subject = max(lines, key=lambda line: float(line["probability"]))["subject"]
    entries: list[dict[str, Any]] = []
    drugs: dict[str, dict[str, Any]] = {}
    for file in export_files(records):
        for piece in pieces(file):
            resource = _resource(piece.raw, subject)
            if resource is None:
                continue
            if resource["resourceType"] == "Medication":
                drugs[f"Medication/{resource['id']}"] = resource
            else:
                entries.append({"resource": resource})
    named = {e["resource"].get("medicationReference", {}).get("reference") for e in entries}
    entries += [{"resource": drugs[name]} for name in sorted(named & drugs.keys())]
    bundle = folder / "bundle.json"
    content = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    bundle.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return bundle


def _resource(raw: bytes, subject: str) -> dict[str, Any] | None:
    """A record that is about the patient, or a drug."""
    if subject.encode() not in raw and b'"Medication"' not in raw:
        return None
    try:
        resource: dict[str, Any] = json.loads(raw)
    except ValueError:
        # The simulated export holds broken lines on purpose; ingest has listed them.
        return None
    about = resource.get("subject") or {}
    kind = resource.get("resourceType")
    own = kind == "Medication" or (kind == "Patient" and resource.get("id") == subject)
    return resource if own or about.get("reference") == f"Patient/{subject}" else None
