"""Every shape that a real prefetch takes: used, fetched, or refused with 412."""

import json
from typing import Any

import anyio
import pytest
from msgspec import Raw

from service.cds_hooks.prefetch import (
    LackingDataError,
    as_bundle,
    completed,
    resources_of,
    take_apart,
)
from service.cds_hooks.services import PREFETCH, REQUIRED
from service.fhir_servers.addresses import FHIRServerError

FILLED = {"context.patientId": "1", "context.encounterId": "e1"}
OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "forbidden"}],
}


def resource(name: str) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": name}


def searchset(*names: str, following: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": resource(name)} for name in names],
    }
    if following is not None:
        made["link"] = [{"relation": "next", "url": following}]
    return made


def whole(**changes: Any) -> dict[str, Raw]:
    made: dict[str, Any] = {key: searchset(key) for key in PREFETCH}
    made["patient"] = {"resourceType": "Patient", "id": "1"}
    made.update(changes)
    return {key: Raw(json.dumps(value).encode()) for key, value in made.items() if value != "gone"}


class Server:
    """Stands in for the EHR's server: answers by what is asked, and remembers it."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def search(self, query: str) -> list[bytes]:
        return self._answer(query)

    async def follow(self, link: str) -> list[bytes]:
        return self._answer(link)

    def _answer(self, query: str) -> list[bytes]:
        self.asked.append(query)
        found = self.answers[query.partition("?")[0].partition("/")[0]]
        if isinstance(found, Exception):
            raise found
        return [json.dumps(one).encode() for one in found]


def records(prefetch: dict[str, Raw] | None, server: Any = None) -> list[str]:
    async def run() -> list[bytes]:
        return await completed(take_apart(prefetch), FILLED, server)

    return sorted(json.loads(one)["id"] for one in anyio.run(run))


def test_a_whole_prefetch_needs_nothing_more() -> None:
    assert records(whole()) == sorted({"1", *PREFETCH} - {"patient"})


def test_null_says_that_there_is_nothing() -> None:
    assert "procedures" not in records(whole(procedures=None))


@pytest.mark.parametrize("key", REQUIRED)
def test_without_patient_and_encounters_null_is_no_answer(key: str) -> None:
    with pytest.raises(LackingDataError, match=key):
        records(whole(**{key: None}))


@pytest.mark.parametrize("lacking", ["gone", OUTCOME, {"resourceType": 5}, "text", [1]])
def test_what_did_not_come_is_fetched_by_the_template_it_was_asked_with(lacking: Any) -> None:
    server = Server(Procedure=[searchset("fetched")])
    assert "fetched" in records(whole(procedures=lacking), server)
    assert server.asked == ["Procedure?patient=1&_sort=-date&_count=100"]


@pytest.mark.parametrize("lacking", ["gone", OUTCOME])
def test_what_did_not_come_and_cannot_be_fetched_is_a_412(lacking: Any) -> None:
    with pytest.raises(LackingDataError, match="procedures") as refused:
        records(whole(procedures=lacking))
    assert refused.value.status == 412


def test_a_first_page_is_used_and_the_next_ones_are_fetched() -> None:
    link = "https://ehr.example/fhir?_getpages=7"
    server = Server(**{"https:": [searchset("two"), searchset("three")]})
    found = records(whole(laboratory=searchset("one", following=link)), server)
    assert {"one", "two", "three"} <= set(found)
    assert server.asked == [link]


def test_half_of_a_record_is_not_scored_when_its_other_pages_are_out_of_reach() -> None:
    with pytest.raises(LackingDataError, match="laboratory"):
        records(whole(laboratory=searchset("one", following="https://ehr.example/fhir?p=2")))


def test_without_any_prefetch_everything_is_fetched() -> None:
    answers = {
        query.partition("?")[0].partition("/")[0]: [searchset()] for query in PREFETCH.values()
    }
    answers["Patient"] = [{"resourceType": "Patient", "id": "1"}]
    server = Server(**answers)
    assert records(None, server) == ["1"]
    assert len(server.asked) == len(PREFETCH)
    assert not any("{{" in query for query in server.asked)


@pytest.mark.parametrize("answer", [FHIRServerError("fhirServer: it answered 500"), [OUTCOME]])
def test_a_server_that_gives_nothing_either_is_a_412(answer: Any) -> None:
    with pytest.raises(LackingDataError) as refused:
        records(whole(procedures="gone"), Server(Procedure=answer))
    assert refused.value.status == 412


def test_what_a_server_says_about_its_search_is_no_record() -> None:
    noted = searchset("one")
    noted["entry"].append({"resource": OUTCOME, "search": {"mode": "outcome"}})
    assert resources_of(json.dumps(noted).encode()) == [json.dumps(resource("one")).encode()]


def test_keys_that_nobody_asked_for_are_passed_over() -> None:
    assert "odd" not in records(whole(extra=searchset("odd")))


def test_records_are_handed_on_as_they_came_byte_for_byte() -> None:
    raw = b'{"resourceType": "Observation",  "id":"x", "valueQuantity":{"value":1.50}}'
    assert raw in as_bundle([raw])
    assert json.loads(as_bundle([raw, raw]))["entry"][1]["resource"]["id"] == "x"
