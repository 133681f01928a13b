"""FHIR R4: a test for each statement of what the service says of it, its docstring the statement.

``docs/conformance/fhir.md`` lists them with what they found. Source: HL7 FHIR R4 (4.0.1), by page.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import pytest
from calling_ehrs import EHR
from fhir.resources.R4B import get_fhir_model_class

from service.audit.fhir_export import audit_event
from service.cards.playbook import load_playbook
from service.database import audit_entries
from service.fhir_out.capability import INTERACTIONS, OPERATIONS

NOTHING = "0" * 32
JSON = "application/fhir+json"

Resource = dict[str, Any]


def valid(resource: Resource) -> Resource:
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


def given(ehr: EHR, patient: str) -> dict[str, Resource]:
    """What the operation gives for somebody, by type."""
    bundle = ehr.assess(patient)
    return {one["resource"]["resourceType"]: one["resource"] for one in bundle["entry"]}


def found(ehr: EHR, query: str, **more: Any) -> Any:
    path = f"/RiskAssessment?{query}"
    token = ehr.jwt("/fhir/RiskAssessment")
    return ehr.service.ask("GET", f"/fhir{path}", token, **more)


def page(ehr: EHR, query: str) -> Resource:
    answer = found(ehr, query)
    assert answer.status_code == 200, answer.text
    return valid(answer.json())


def matches(bundle: Resource) -> list[Resource]:
    entries = bundle.get("entry", [])
    return [one["resource"] for one in entries if one["search"]["mode"] == "match"]


def link(bundle: Resource, relation: str) -> str | None:
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


# Resources


def _of_the_operation(kind: str) -> Callable[[EHR, str], list[Resource]]:
    return lambda ehr, patient: [given(ehr, patient)[kind]]


def _of_the_playbook(_: EHR, patient: str) -> list[Resource]:
    playbook = load_playbook()
    whole = msgspec.structs.replace(playbook, suggestions_at_most=10)
    drivers = tuple(name for planned in playbook.suggestion for name in planned.drivers)
    suggested = whole.suggestions(
        drivers, patient=patient, encounter="example-stay", today=datetime.now(UTC).date()
    )
    assert len(suggested) == len(playbook.suggestion)
    return [dict(one.resource) for suggestion in suggested for one in suggestion.actions]  # type: ignore[union-attr,arg-type]  # each has actions that create


def _audit_events(ehr: EHR, patient: str) -> list[Resource]:
    ehr.card(patient)
    keeping = ehr.service.keeping
    with keeping.database.reading() as connection:
        rows = list(audit_entries.entries(connection))
    events = [audit_event(row, keeping.keys) for row in rows[-20:]]
    return [json.loads(event.model_dump_json()) for event in events]


SAID: Final[dict[str, Callable[[EHR, str], list[Resource]]]] = {
    "RiskAssessment": _of_the_operation("RiskAssessment"),
    "Device": _of_the_operation("Device"),
    "Provenance": _of_the_operation("Provenance"),
    "Flag": _of_the_operation("Flag"),
    "Bundle (collection)": lambda ehr, patient: [ehr.assess(patient)],
    "Bundle (searchset)": lambda ehr, patient: [page(ehr, f"patient={patient}")],
    "CapabilityStatement": lambda ehr, _: [ehr.fhir("GET", "/metadata").json()],
    "OperationDefinition": lambda ehr, _: [
        ehr.fhir("GET", "/OperationDefinition/readmission-risk").json()
    ],
    "OperationOutcome": lambda ehr, _: [ehr.fhir("GET", f"/RiskAssessment/{NOTHING}").json()],
    "AuditEvent": _audit_events,
    "Each resource in a suggestion of the shipped playbook": _of_the_playbook,
}
"""Everything that the service says in FHIR, and how to get it said of a patient. What is said
anywhere else is added here, and has its line on the page."""


@pytest.mark.parametrize("kind", list(SAID))
def test_resources(ehr: EHR, patient: str, kind: str) -> None:
    """{kind} validates as R4.

    Section: Resource Definitions
    """
    said = SAID[kind](ehr, patient)
    assert said
    for one in said:
        valid(one)


def test_probability(ehr: EHR, patient: str) -> None:
    """`prediction.probabilityDecimal` is a fraction between 0 and 1, and not per cent.

    Section: RiskAssessment, Resource Content
    """
    (prediction,) = given(ehr, patient)["RiskAssessment"]["prediction"]
    # What the model of these tests says of every such stay: a log-odds of -1.3.
    assert prediction["probabilityDecimal"] == pytest.approx(0.214165)


def test_risk_assessment_refers(ehr: EHR, patient: str) -> None:
    """The assessment names its subject, its encounter, its basis and its performer, and the
    performer is the Device that comes with it.

    Section: RiskAssessment, Resource Content
    """
    made = given(ehr, patient)
    assessment = made["RiskAssessment"]
    assert assessment["status"] == "final"
    assert assessment["subject"] == {"reference": f"Patient/{patient}"}
    assert assessment["encounter"]["reference"].startswith("Encounter/")
    assert assessment["basis"]
    assert assessment["performer"]["reference"] == f"Device/{made['Device']['id']}"


def test_provenance_target(ehr: EHR, patient: str) -> None:
    """Provenance names what it is of.

    Section: Provenance, Resource Content
    """
    made = given(ehr, patient)
    target = {"reference": f"RiskAssessment/{made['RiskAssessment']['id']}"}
    assert made["Provenance"]["target"] == [target]


def test_no_empty_elements(ehr: EHR, patient: str) -> None:
    """Objects and arrays are never empty, and no property is null.

    Section: JSON Representation of Resources
    """

    def check(value: Any) -> None:
        assert value not in (None, "", [], {})
        for part in value.values() if isinstance(value, dict) else value:
            if isinstance(part, dict | list):
                check(part)

    check(ehr.assess(patient))
    check(page(ehr, "patient=nobody-at-all"))


# RESTful API


def test_content_type(ehr: EHR, patient: str) -> None:
    """The MIME type of what is answered is `application/fhir+json`.

    Section: RESTful API, Content Types and encodings
    """
    asked = [
        ehr.fhir("GET", "/metadata"),
        found(ehr, f"patient={patient}"),
        ehr.fhir("GET", f"/RiskAssessment/{NOTHING}"),
    ]
    assert {answer.headers["content-type"] for answer in asked} == {JSON}


@pytest.mark.parametrize("wanted", ["json", "application/json", "application/fhir%2Bjson"])
def test_format(ehr: EHR, patient: str, wanted: str) -> None:
    """`_format` takes `json`, `application/json` and `application/fhir+json` for JSON, and
    overrides `Accept`.

    Section: RESTful API, Content Types and encodings
    """
    headers = {"Accept": "application/fhir+xml"}
    answer = found(ehr, f"patient={patient}&_format={wanted}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == JSON


@pytest.mark.parametrize("wanted", ["xml", "text/turtle"])
def test_format_not_supported(ehr: EHR, wanted: str) -> None:
    """A `_format` that is not supported is answered 406.

    Section: RESTful API, Content Types and encodings
    """
    assert found(ehr, f"patient=p&_format={wanted}").status_code == 406


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json", 200),
        ("application/fhir+xml, application/fhir+json;q=0.5", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("application/fhir+xml", 406),
        ("text/turtle", 406),
        ("application/fhir+json;q=0, application/fhir+xml", 406),
    ],
)
def test_accept(ehr: EHR, accept: str, status: int) -> None:
    """The format is negotiated by `Accept`; one that is not supported is answered 406.

    Section: RESTful API, Content Types and encodings
    """
    answer = ehr.fhir("GET", "/metadata", headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"] == JSON


def test_content_type_of_requests(ehr: EHR) -> None:
    """What is posted in a format that is not supported is answered 415.

    Section: RESTful API, Content Types and encodings
    """
    headers = {"Content-Type": "application/fhir+xml"}
    answer = ehr.fhir("POST", "/$readmission-risk", content=b"<Bundle/>", headers=headers)
    assert answer.status_code == 415


def test_read(ehr: EHR, patient: str) -> None:
    """A read gives the resource with its id and its Last-Modified.

    Section: RESTful API, read
    """
    made = given(ehr, patient)["RiskAssessment"]
    answer = ehr.fhir("GET", f"/RiskAssessment/{made['id']}")
    assert answer.status_code == 200
    assert answer.json() == made
    assert answer.headers["last-modified"].endswith(" GMT")


def test_read_of_nothing(ehr: EHR) -> None:
    """A read of what is not there is answered 404.

    Section: RESTful API, read
    """
    assert ehr.fhir("GET", f"/RiskAssessment/{NOTHING}").status_code == 404


def test_versions(ehr: EHR, patient: str) -> None:
    """A version (`meta.versionId`, `ETag`) is given only where versions are claimed to be kept.

    Section: RESTful API, Support for Versions
    """
    (rest,) = ehr.fhir("GET", "/metadata").json()["rest"]
    assert {one["versioning"] for one in rest["resource"]} == {"no-version"}
    made = given(ehr, patient)["RiskAssessment"]
    answer = ehr.fhir("GET", f"/RiskAssessment/{made['id']}")
    assert "etag" not in answer.headers
    assert "versionId" not in made.get("meta", {})


def test_errors(ehr: EHR) -> None:
    """An error is answered with an OperationOutcome.

    Section: RESTful API, HTTP Status codes
    """
    answers = {
        400: found(ehr, "_count=-1&patient=p"),
        401: ehr.service.ask("GET", f"/fhir/RiskAssessment/{NOTHING}"),
        404: ehr.fhir("GET", "/Patient/example"),
        405: ehr.fhir("DELETE", "/RiskAssessment"),
        406: found(ehr, "patient=p&_format=xml"),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        outcome = valid(answer.json())
        assert outcome["resourceType"] == "OperationOutcome"
        assert all(issue["severity"] == "error" for issue in outcome["issue"])


def test_capabilities(ehr: EHR) -> None:
    """`GET [base]/metadata` gives a CapabilityStatement, to whoever asks, that says the release.

    Section: RESTful API, capabilities
    """
    answer = ehr.service.ask("GET", "/fhir/metadata")
    assert answer.status_code == 200
    statement = valid(answer.json())
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    assert statement["format"] == ["json"]


def test_claims_are_kept(ehr: EHR, patient: str) -> None:
    """Each interaction, operation and search parameter that the CapabilityStatement claims is
    there.

    Section: CapabilityStatement
    """
    (rest,) = ehr.fhir("GET", "/metadata").json()["rest"]
    made = given(ehr, patient)["RiskAssessment"]
    claimed = [
        (one["type"], each["code"]) for one in rest["resource"] for each in one["interaction"]
    ]
    assert claimed == list(dict.fromkeys(INTERACTIONS.values()))
    assert [one["name"] for one in rest["operation"]] == list(OPERATIONS.values())
    values = {
        "patient": patient,
        "encounter": made["encounter"]["reference"],
        "date": made["occurrenceDateTime"].replace("+", "%2B"),
        "_id": made["id"],
    }
    for one in rest["resource"]:
        for parameter in one.get("searchParam", []):
            query = f"_id={made['id']}&{parameter['name']}={values[parameter['name']]}"
            query = query if parameter["name"] != "_id" else f"_id={made['id']}"
            assert [each["id"] for each in matches(page(ehr, query))] == [made["id"]]


def test_operation(ehr: EHR, patient: str) -> None:
    """An operation is invoked by `POST [base]/$name`, on the level that its OperationDefinition
    says; the one output parameter `return`, a resource, is the body itself.

    Section: Operations
    """
    definition = ehr.fhir("GET", "/OperationDefinition/readmission-risk").json()
    assert (definition["system"], definition["type"], definition["instance"]) == (
        True,
        False,
        False,
    )
    (output,) = [one for one in definition["parameter"] if one["use"] == "out"]
    assert (output["name"], output["type"]) == ("return", ehr.assess(patient)["resourceType"])


# Search


def test_searchset(ehr: EHR, patient: str) -> None:
    """A search gives a Bundle of the type `searchset`, each match with its `search.mode` and
    `fullUrl`.

    Section: Search, Introduction
    """
    made = given(ehr, patient)["RiskAssessment"]
    bundle = page(ehr, f"patient={patient}")
    assert bundle["type"] == "searchset"
    (entry,) = bundle["entry"]
    assert entry["search"] == {"mode": "match"}
    assert entry["fullUrl"].endswith(f"/fhir/RiskAssessment/{made['id']}")


def test_no_match(ehr: EHR) -> None:
    """A search without a match is no error: an empty Bundle.

    Section: Search, Introduction
    """
    bundle = page(ehr, "patient=nobody-at-all")
    assert bundle["total"] == 0
    assert "entry" not in bundle


def test_reference_parameters(ehr: EHR, patient: str) -> None:
    """A reference parameter takes the id alone, and the type with the id.

    Section: Search, reference
    """
    ehr.assess(patient)
    assert page(ehr, f"patient={patient}")["total"] == 1
    assert page(ehr, f"patient=Patient/{patient}")["total"] == 1


@pytest.mark.parametrize("prefix", ["eq", "ge", "gt", "le", "lt"])
def test_date_prefixes(ehr: EHR, patient: str, prefix: str) -> None:
    """A date parameter takes a prefix, and stands for the whole of its day, month or year.

    Section: Search, date
    """
    made = given(ehr, patient)["RiskAssessment"]["occurrenceDateTime"]
    for part in (made[:4], made[:7], made[:10]):
        total = page(ehr, f"patient={patient}&date={prefix}{part}")["total"]
        assert total == (0 if prefix in ("gt", "lt") else 1)


def test_self_link(ehr: EHR, patient: str) -> None:
    """The `self` link says which parameters were used, and none that was passed over.

    Section: Search, Server Conformance
    """
    own = link(page(ehr, f"patient={patient}&colour=blue"), "self")
    assert own is not None
    assert urlsplit(own).query == f"patient={patient}"


def test_unknown_parameters(ehr: EHR, patient: str) -> None:
    """Unknown parameters SHOULD be passed over, and refused with `Prefer: handling=strict`.

    Section: Search, Handling Errors
    """
    query = f"patient={patient}&colour=blue"
    for handling, status in (("lenient", 200), ("strict", 400)):
        answer = found(ehr, query, headers={"Prefer": f"handling={handling}"})
        assert answer.status_code == status
        assert valid(answer.json())
    (told,) = [one for one in page(ehr, query)["entry"] if one["search"]["mode"] == "outcome"]
    assert told["resource"]["resourceType"] == "OperationOutcome"


def test_modifiers(ehr: EHR, patient: str) -> None:
    """A search with a modifier that is not supported SHALL be refused.

    Section: Search, Modifiers
    """
    for query in (f"patient:exact={patient}", f"patient:Patient={patient}", "patient.name=x"):
        assert found(ehr, query).status_code == 400


def test_prefixes(ehr: EHR, patient: str) -> None:
    """A search with a prefix that is not supported is refused.

    Section: Search, Prefixes
    """
    assert found(ehr, f"patient={patient}&date=ap2026").status_code == 400


def test_paging(ehr: EHR, patient: str) -> None:
    """`_count` is the most that a page holds; `next` leads on, from page to page, to each match
    once and to an end.

    Section: Search, Paging
    """
    made = {given(ehr, patient)["RiskAssessment"]["id"] for _ in range(3)}
    seen: list[str] = []
    query: str | None = f"patient={patient}&_count=2"
    while query is not None:
        bundle = page(ehr, query)
        assert bundle["total"] == 3
        assert 0 < len(matches(bundle)) <= 2
        seen += [one["id"] for one in matches(bundle)]
        following = link(bundle, "next")
        query = None if following is None else urlsplit(following).query
    assert len(seen) == len(made)
    assert set(seen) == made


def test_total(ehr: EHR, patient: str) -> None:
    """`total` is the number of matches, not of entries.

    Section: Search, Bundle.total
    """
    for _ in range(2):
        ehr.assess(patient)
    bundle = page(ehr, f"patient={patient}&_count=1&colour=blue")
    assert (bundle["total"], len(bundle["entry"])) == (2, 2)


@pytest.mark.parametrize("query", ["_summary=count", "_count=0"])
def test_count_alone(ehr: EHR, patient: str, query: str) -> None:
    """`_summary=count` and `_count=0` give the number of matches, and none of them.

    Section: Search, Summary
    """
    ehr.assess(patient)
    bundle = page(ehr, f"patient={patient}&{query}")
    assert bundle["total"] == 1
    assert "entry" not in bundle


def test_summary(ehr: EHR, patient: str) -> None:
    """`_summary=true` gives the elements that R4 marks as summary, tagged SUBSETTED.

    Section: Search, Summary
    """
    ehr.assess(patient)
    (one,) = matches(page(ehr, f"patient={patient}&_summary=true"))
    assert "prediction" not in one
    assert one["subject"] == {"reference": f"Patient/{patient}"}
    assert [tag["code"] for tag in one["meta"]["tag"]] == ["SUBSETTED"]


def test_sort(ehr: EHR, patient: str) -> None:
    """`_sort=-date` gives the newest first; an order that is not supported is refused.

    Section: Search, Sorting
    """
    made = [given(ehr, patient)["RiskAssessment"]["id"] for _ in range(3)]
    newest_first = page(ehr, f"patient={patient}&_sort=-date")
    assert [one["id"] for one in matches(newest_first)] == made[::-1]
    assert found(ehr, f"patient={patient}&_sort=date").status_code == 400
