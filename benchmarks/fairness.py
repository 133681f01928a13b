"""Whether the gates find a bias that was planted, and pass where there is none.

Peer: the same simulated hospital without the bias. Nothing here is about real patients.
"""

from pathlib import Path

import msgspec

from benchmarks.measuring import Result, at_least, at_most, figure
from fhir_mappings.ingest import ingest
from fhir_mappings.profiles import load_profile
from fhir_mappings.store import open_store
from training.experiment import run_study
from training.findings import Fairness, Gated, Grouping, Subgroup
from training.simulated_hospital import simulate
from training.study import EvaluationRules, SplitRules, Study

PATIENTS, HOSPITAL_SEED = 12_000, 7
ATTRIBUTE, GROUP = "language", "Spanish"
STUDY = Study(
    # By patient: a test by time would hold a third of the stays of the group.
    split=SplitRules(by="patient"),
    evaluation=EvaluationRules(stability_refits=0, learning_shares=()),
)


def run(folder: Path) -> list[Result]:
    """Train on the hospital with the bias and without, and ask the gates."""
    results = []
    for biased in (True, False):
        gated, fairness = _trained(folder / ("biased" if biased else "unbiased"), biased=biased)
        subgroup = next(gate for gate in gated.results if gate.gate == "subgroup")
        group = _group(fairness)
        named = "; ".join(subgroup.failures) or "no group"
        title = "with the bias" if biased else "without it"
        target = at_least if biased else at_most
        results += [
            target(
                f"{title}: groups that fail the gate (simulated)",
                len(subgroup.failures),
                1 if biased else 0,
                "",
                named,
            ),
            *(
                figure(f"{title}: {measure}, {GROUP} minus the others", gap.value or 0.0, "", "")
                for measure, gap in group.gaps.items()
                if measure in ("auroc", "calibration_intercept", "sensitivity")
            ),
        ]
    return results


def _trained(folder: Path, *, biased: bool) -> tuple[Gated, Fairness]:
    profile = load_profile("simulated")
    simulate(folder / "records", PATIENTS, HOSPITAL_SEED, biased=biased)
    ingest([folder / "records"], folder / "store", profile)
    with open_store(folder / "store") as store:
        result = run_study(store, profile, folder / "mlruns", STUDY)
    artifacts = Path(result.folder).parent
    return (
        msgspec.json.decode((artifacts / "gates.json").read_bytes(), type=Gated),
        msgspec.json.decode((artifacts / "fairness.json").read_bytes(), type=Fairness),
    )


def _group(fairness: Fairness) -> Subgroup:
    grouping: Grouping = next(g for g in fairness.groupings if g.attribute == ATTRIBUTE)
    return next(group for group in grouping.groups if group.name == GROUP)
