"""The demo EHR in a process of its own: it comes with the demo, and goes with it."""

import stat
from pathlib import Path

import httpx
import msgspec
import pytest

from service.demo_ehr.configuration import write_issuers
from service.demo_ehr.plan import new_plan
from service.demo_ehr.run import beside, free_port, listening
from service.identity.issuers import read_trusted
from service.settings import Settings


@pytest.mark.slow
def test_it_answers_as_long_as_the_demo_runs(records: Path) -> None:
    listener = listening(0)
    plan = new_plan(records, listener.getsockname()[1], free_port())
    with beside(plan, listener):
        answer = httpx.get(f"{plan.fhir}/metadata", timeout=60)
        assert answer.json()["software"]["name"] == "readmit demo EHR"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{plan.fhir}/metadata")


def test_the_operators_file_is_read_by_the_service_and_holds_no_secret(tmp_path: Path) -> None:
    plan = new_plan(tmp_path, 8001, 8000)
    path = tmp_path / "issuers.toml"
    write_issuers(plan, path)
    trusted = read_trusted(Settings(issuers=path))
    assert set(trusted.issuers) == {plan.people, plan.hooks, plan.fhir}
    assert [server.url for server in trusted.fhir_servers] == [plan.fhir]
    assert plan.subscription_secret not in path.read_text()
    assert '"d"' not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert msgspec.toml.decode(path.read_bytes())


def test_a_port_that_is_taken_is_said_before_anything_starts() -> None:
    with listening(0) as taken, pytest.raises(OSError):
        listening(taken.getsockname()[1])
