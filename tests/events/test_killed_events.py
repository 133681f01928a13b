"""A process of the event path dies before any of its steps: nothing is lost, nothing done twice."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from counting_ehr import EHR, counting_ehr
from event_path import Hospital, settings_of

from service.audit.verify import verify
from service.serving import Serving

ROOT = Path(__file__).parents[2]
KINDS = ("RiskAssessment", "Flag", "Provenance")

pytestmark = pytest.mark.usefixtures("each_database")


@pytest.fixture
def ehr() -> Iterator[EHR]:
    with counting_ehr() as server:
        yield server


def killed(hospital: Hospital, folder: Path, patients: list[str], first: int, stride: int) -> Any:
    settings = hospital.settings
    names = ("database", "key_file", "issuers", "opt_out", "audit_anchor")
    given = {name: str(getattr(settings, name)) for name in names if getattr(settings, name)}
    arguments = {
        "settings": given,
        "scratch": str(folder),
        "told": [hospital.told({n: p}) for n, p in enumerate(patients, start=1)],
        "first": first,
        "stride": stride,
    }
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "fixtures" / "killed_events.py", json.dumps(arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'fixtures'}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(("first", "stride"), [(2, 6), pytest.param(0, 1, marks=pytest.mark.slow)])
def test_whenever_the_process_dies_each_stay_is_scored_once_and_written_once(
    tmp_path: Path, ehr: EHR, first: int, stride: int
) -> None:
    hospital = Hospital(settings_of(tmp_path, ehr.base), ehr)
    patients = [f"patient-{number}" for number in range(60)]
    hospital.admit(*patients)
    told = killed(hospital, tmp_path, patients, first, stride)
    stays = len(told["died"]) + 1
    if stride == 1:
        assert told["died"] == told["steps"]
        assert {"before the EHR writes", "after the EHR wrote"} <= set(told["died"])
    kept = hospital.kept()
    assert len(kept.scores) == stays
    assert [(row.state, row.until - row.number) for row in kept.events] == [("done", 0)] * stays
    assert sorted({row.state for row in kept.outbox}) == ["delivered"]
    assert len(kept.outbox) == 3 * stays
    for kind in KINDS:
        assert ehr.versions(kind) == [1] * stays, told
    given = {one["identifier"][1]["value"] for one in ehr.newest("RiskAssessment")}
    assert given == {row.id for row in kept.scores}

    async def whole(here: Serving) -> Any:
        audit = here.keeping.audit
        return verify(audit.database, audit.keys, audit.anchor).finding

    assert hospital.within(whole) is None
    assert hospital.audited().count("score_given") == stays
    assert hospital.audited().count("written_back") == 3 * stays
