"""``/fhir``: what the EHR's FHIR server answers, to those who have access."""

from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from fastapi import APIRouter, Request, Response

from service.demo_ehr.access import Access
from service.demo_ehr.ehr import EHR, ehr_of
from service.demo_ehr.errors import FHIRError
from service.demo_ehr.events import read_numbers
from service.demo_ehr.records import Resource
from service.demo_ehr.search import SEARCHED_BY, TYPES, matching, search
from service.demo_ehr.store import WRITABLE, patient_of

router = APIRouter(prefix="/fhir")

FHIR_JSON: Final = "application/fhir+json"
LARGEST_BODY: Final = 2_000_000
_OF_NOBODY: Final = ("Medication", "Organization", "Practitioner")


def fhir_answer(content: Any, status: int = 200, **headers: str) -> Response:
    """An answer in FHIR JSON."""
    return Response(
        msgspec.json.encode(content), status, media_type=FHIR_JSON, headers=headers or None
    )


@router.get("/metadata")
async def get_metadata(request: Request) -> Response:
    """What this server can do."""
    return fhir_answer(capability(ehr_of(request)))


@router.get("/.well-known/smart-configuration")
async def get_smart_configuration(request: Request) -> Response:
    """Where access is given."""
    content = msgspec.json.encode(ehr_of(request).smart.configuration())
    return Response(content, media_type="application/json")


@router.get("/auth/jwks")
async def get_keys(request: Request) -> Response:
    """What the id tokens of launches are checked with."""
    return Response(
        msgspec.json.encode(ehr_of(request).smart.key.published()), media_type="application/json"
    )


@router.get("/auth/authorize")
async def get_authorization(request: Request) -> Response:
    """Send the browser back to the app, which was opened on a chart."""
    place = ehr_of(request).smart.authorize(request.query_params)
    return Response(status_code=303, headers={"Location": place})


@router.post("/auth/token")
async def post_token(request: Request) -> Response:
    """Give access for a code, or to a system that proves itself."""
    form = dict(parse_qsl((await _body(request)).decode("utf-8", "replace")))
    answer = msgspec.json.encode(await ehr_of(request).smart.token(form))
    return Response(answer, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/Subscription/{identifier}/$status")
async def get_status(request: Request, identifier: str) -> Response:
    """How the subscription stands."""
    ehr = ehr_of(request)
    _allowed(request, ehr, "Subscription", "r")
    ehr.read("Subscription", identifier)
    return fhir_answer(ehr.events.status_answer())


@router.get("/Subscription/{identifier}/$events")
async def get_events(request: Request, identifier: str) -> Response:
    """Events by number, for a receiver that found a gap."""
    ehr = ehr_of(request)
    _allowed(request, ehr, "Subscription", "r")
    ehr.read("Subscription", identifier)
    return fhir_answer(ehr.events.between(*read_numbers(dict(request.query_params))))


@router.post("/Subscription/{identifier}/$events")
async def post_events(request: Request, identifier: str) -> Response:
    """The same, asked for with Parameters."""
    ehr = ehr_of(request)
    _allowed(request, ehr, "Subscription", "r")
    ehr.read("Subscription", identifier)
    asked = await _resource(request, "Parameters")
    given = {
        str(one.get("name")): str(next((v for k, v in one.items() if k.startswith("value")), ""))
        for one in asked.get("parameter", ())
    }
    return fhir_answer(ehr.events.between(*read_numbers(given)))


@router.get("/{kind}/{identifier}")
async def get_resource(request: Request, kind: str, identifier: str) -> Response:
    """A resource by its id."""
    ehr = ehr_of(request)
    access = _allowed(request, ehr, kind, "r")
    found = ehr.read(kind, identifier)
    about = patient_of(found)
    if access.patient is not None and about != access.patient and kind not in _OF_NOBODY:
        # As if it were not there: that it is would be of another patient already.
        raise FHIRError(404, "not-found", "There is no such resource.")
    return fhir_answer(found)


@router.get("/{kind}")
async def get_search(request: Request, kind: str) -> Response:
    """A page of a search."""
    ehr = ehr_of(request)
    access = _allowed(request, ehr, kind, "s")
    asked = list(request.query_params.multi_items())
    if access.patient is not None and kind not in _OF_NOBODY:
        named = {v.removeprefix("Patient/") for k, v in asked if k in ("patient", "subject")}
        if named != {access.patient}:
            raise FHIRError(403, "forbidden", "This token is for one patient; name it.")
    return fhir_answer(search(ehr.store, ehr.plan.fhir, kind, asked))


@router.post("/{kind}")
async def post_resource(request: Request, kind: str) -> Response:
    """Write a new resource."""
    ehr = ehr_of(request)
    access = _allowed(request, ehr, kind, "c")
    return _written(ehr, ehr.store.create(_own(access, await _resource(request, kind))), 201)


@router.put("/{kind}/{identifier}")
async def put_resource(request: Request, kind: str, identifier: str) -> Response:
    """Write the next version of a resource, or its first."""
    ehr = ehr_of(request)
    access = _allowed(request, ehr, kind, "u")
    resource = _own(access, await _resource(request, kind))
    status = 200 if ehr.store.versions(kind, identifier) else 201
    return _written(ehr, ehr.store.put({**resource, "id": identifier}), status)


@router.put("/{kind}")
async def put_where(request: Request, kind: str) -> Response:
    """Conditional update: the next version of the one resource that is found, or a new one.

    Source: FHIR R4, RESTful API, "Conditional update".
    """
    ehr = ehr_of(request)
    access = _allowed(request, ehr, kind, "u")
    resource = _own(access, await _resource(request, kind))
    asked = list(request.query_params.multi_items())
    if not asked:
        raise FHIRError(412, "required", "Say which resource: ?identifier=system|value")
    found = matching(ehr.store, kind, asked)
    if len(found) > 1:
        raise FHIRError(412, "multiple-matches", "Several resources are found.")
    if not found:
        return _written(ehr, ehr.store.create(resource), 201)
    return _written(ehr, ehr.store.put({**resource, "id": found[0]["id"]}), 200)


def capability(ehr: EHR) -> Resource:
    """The CapabilityStatement."""
    search_types = {"date": "date", "patient": "reference", "encounter": "reference"}
    search_types["target"] = "reference"
    parameters = [
        {"name": name, "type": search_types.get(name, "token")} for name in sorted(SEARCHED_BY)
    ]
    reading = [{"code": "read"}, {"code": "search-type"}]
    writing = [{"code": "create"}, {"code": "update"}]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": datetime.now(UTC).date().isoformat(),
        "kind": "instance",
        "software": {"name": "readmit demo EHR"},
        "implementation": {
            "description": "A demo EHR over simulated patients: nobody here exists.",
            "url": ehr.plan.fhir,
        },
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [
            {
                "mode": "server",
                "resource": [
                    {
                        "type": kind,
                        "interaction": reading + (writing if kind in WRITABLE else []),
                        "versioning": "versioned" if kind in WRITABLE else "no-version",
                        "conditionalUpdate": kind in WRITABLE,
                        "searchParam": parameters,
                    }
                    for kind in sorted(TYPES)
                ],
            }
        ],
    }


def _allowed(request: Request, ehr: EHR, kind: str, letter: str) -> Access:
    access = ehr.tokens.of(request.headers.get("authorization"))
    if not access.allows(kind, letter):
        raise FHIRError(403, "forbidden", "The token's scopes do not allow this.")
    return access


def _own(access: Access, resource: Resource) -> Resource:
    """A resource that may be written with this access.

    Raises:
        FHIRError: if the token is for another patient than the resource is about.
    """
    if access.patient is not None and patient_of(resource) != access.patient:
        raise FHIRError(403, "forbidden", "This token is for another patient.")
    return resource


async def _resource(request: Request, kind: str) -> Resource:
    try:
        found = msgspec.json.decode(await _body(request))
    except msgspec.DecodeError:
        raise FHIRError(400, "structure", "The body is not JSON.") from None
    if not isinstance(found, dict) or found.get("resourceType") != kind:
        raise FHIRError(400, "structure", "The body is not a resource of this type.")
    return found


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise FHIRError(413, "too-long", "The body is too large.")
    return bytes(body)


def _written(ehr: EHR, resource: Resource, status: int) -> Response:
    version = resource["meta"]["versionId"]
    place = f"{ehr.plan.fhir}/{resource['resourceType']}/{resource['id']}/_history/{version}"
    return fhir_answer(resource, status, Location=place, ETag=f'W/"{version}"')
