"""Drugs that prescriptions name by reference: fetched where they may be, else done without."""

import json
from typing import Any

import anyio
import pytest

from service.cds_hooks.named_drugs import DRUGS_AT_MOST, lacking_drugs, named_drugs
from service.cds_hooks.prefetch import Prefetched, take_apart
from service.cds_hooks.records import gathered
from service.cds_hooks.services import PREFETCH
from service.fhir_servers.addresses import FHIRServerError


def prescription(reference: str) -> bytes:
    return json.dumps(
        {"resourceType": "MedicationRequest", "medicationReference": {"reference": reference}}
    ).encode()


def drug(name: str) -> bytes:
    return json.dumps({"resourceType": "Medication", "id": name}).encode()


class Server:
    """Stands in for the EHR's server: gives every drug it is asked for, or fails, or is slow."""

    def __init__(self, *, failing: bool = False, seconds: float = 0.0) -> None:
        self.failing = failing
        self.seconds = seconds
        self.asked: list[str] = []
        self.closed = False

    async def search(self, query: str) -> list[bytes]:
        self.asked.append(query)
        await anyio.sleep(self.seconds)
        if self.failing:
            raise FHIRServerError("fhirServer: it answered 403")
        names = query.partition("_id=")[2].partition("&")[0].split(",")
        entries = [{"resource": json.loads(drug(name))} for name in names]
        return [json.dumps({"resourceType": "Bundle", "entry": entries}).encode()]

    async def close(self) -> None:
        self.closed = True


def fetched(resources: list[bytes], server: Any) -> list[str]:
    found = anyio.run(named_drugs, resources, server)
    return sorted(json.loads(one)["id"] for one in found)


@pytest.mark.parametrize(
    "reference",
    ["Medication/d1", "https://ehr.example/fhir/Medication/d1", "Medication/d1/_history/2"],
)
def test_a_drug_is_found_however_a_prescription_refers_to_it(reference: str) -> None:
    assert lacking_drugs([prescription(reference)]) == ("d1",)


@pytest.mark.parametrize(
    "reference", ["#contained", "Medication/", "Medication/a,b", "Patient/1", ""]
)
def test_what_is_no_drug_of_the_server_is_not_asked_for(reference: str) -> None:
    assert lacking_drugs([prescription(reference)]) == ()


def test_a_drug_that_came_along_is_not_asked_for_again() -> None:
    sent = [prescription("Medication/d1"), drug("d1"), prescription("Medication/d2")]
    assert lacking_drugs(sent) == ("d2",)


def test_a_record_that_cannot_be_read_stands_in_nobodys_way() -> None:
    broken = [
        b'{"medicationReference": 5}',
        b'{"medicationReference": {"reference"',
        b'"Medication"',
    ]
    assert lacking_drugs([*broken, prescription("Medication/d1")]) == ("d1",)


def test_drugs_are_asked_for_together_each_once_and_by_id_alone() -> None:
    server = Server()
    sent = [prescription(f"Medication/d{number}") for number in (1, 2, 1)]
    assert fetched(sent, server) == ["d1", "d2"]
    assert server.asked == ["Medication?_id=d1,d2&_count=2"]


def test_there_is_an_end_to_how_many_are_asked_for() -> None:
    server = Server()
    sent = [prescription(f"Medication/d{number}") for number in range(2 * DRUGS_AT_MOST)]
    assert len(fetched(sent, server)) == DRUGS_AT_MOST
    assert all(len(query) < 1_000 for query in server.asked)


def test_a_server_that_gives_no_drugs_refuses_no_answer() -> None:
    assert fetched([prescription("Medication/d1")], Server(failing=True)) == []


def whole(*medications: bytes) -> Prefetched:
    held = {key: [] for key in PREFETCH} | {"medications": list(medications)}
    return take_apart({})._replace(held=held, lacking=(), going_on={})


def records(server: Any, within: float = 5.0) -> list[str]:
    async def run() -> bytes:
        return await gathered(whole(prescription("Medication/d1")), {}, server, within=within)

    entries = json.loads(anyio.run(run))["entry"]
    return [one["resource"]["resourceType"] for one in entries]


def test_the_records_of_a_call_come_with_their_drugs() -> None:
    server = Server()
    assert records(server) == ["MedicationRequest", "Medication"]
    assert server.closed


def test_without_access_to_the_server_the_call_is_answered_without_them() -> None:
    assert records(None) == ["MedicationRequest"]


def test_a_server_that_is_too_slow_with_them_is_not_waited_for() -> None:
    server = Server(seconds=60.0)
    assert records(server, within=0.05) == ["MedicationRequest"]
    assert server.closed
