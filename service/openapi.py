"""The API's own documentation: schemas from the structs that are really sent, with examples.

FastAPI would document pydantic models. Nothing here passes through pydantic, so the schemas come
from msgspec, and cannot say anything else than what is encoded.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from service import examples
from service.fhir_out import outcome
from service.identity.access import Requirement, accesses
from service.identity.purpose import HEADER
from service.identity.roles import Purpose
from service.problems import CHALLENGE, MEDIA_TYPE, RETRY_AFTER_SECONDS, Problem, outcome_of

_REFERENCE: Final = "#/components/schemas/{name}"

_WHEN: Final = {
    400: "The body is not JSON, or not a FHIR R4 Bundle.",
    401: "No valid access token came with the request, and nobody is signed in.",
    403: "The caller may not do this, not for this patient or unit, or not for this purpose. It is "
    "entered in the audit.",
    404: "There is no such thing, or it is not for the caller: the two are not told apart.",
    406: "FHIR is asked for in another format than JSON.",
    408: "The body took too long to arrive.",
    412: "The call does not hold the records that a risk is made of, and they cannot be fetched.",
    413: "The body is larger than the operator allows.",
    414: "The URL is longer than any of ours.",
    415: "The body is of a type that is not read here, not in UTF-8, or compressed.",
    422: "The records or the parameters cannot be answered: two patients, an unknown Encounter, "
    "a time without offset.",
    429: "The caller asked too often, or the address failed too often to identify itself. "
    "Retry-After says how long to wait.",
    431: "The request has too many headers, or too large ones.",
    503: "No risk model is loaded, all places are taken, or the database or the audit cannot be "
    "written. Retry-After says when to come back.",
}
"""When each status is answered, in the reader's words."""


_PURPOSE: Final = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Why this is asked, as a code of HL7 v3 PurposeOfUse: one that the caller's "
    "roles ask for. Without it: what the token says, else the first of the role.",
    "schema": {"type": "string", "examples": [Purpose.TREATMENT.value]},
}
"""The header that every route takes which asks for a scope (``service.identity.access``)."""


def json_answer(struct: Any, description: str, example: Any) -> dict[str, Any]:
    """Document an answer: its struct (or a union of structs) and an example.

    Args:
        struct: what is encoded.
        description: when it is answered.
        example: a struct, or several by their names among those that ``install`` adds.
    """
    (schema,), _ = msgspec.json.schema_components([struct], ref_template=_REFERENCE)
    content: dict[str, Any] = {"schema": schema}
    if isinstance(example, dict):
        content["examples"] = {name: {"$ref": f"#/components/examples/{name}"} for name in example}
    else:
        content["example"] = msgspec.to_builtins(example)
    return {"description": description, "content": {"application/json": content}}


def problems(*statuses: int, limited: bool = True) -> dict[int | str, dict[str, Any]]:
    """Document the errors of a route; those of what surrounds it belong to all.

    Args:
        statuses: of the route's own errors.
        limited: whether the route may be asked too often.
    """
    documented: dict[int | str, dict[str, Any]] = {}
    for status in (*statuses, 414, 421, *((429,) if limited else ()), 431, 500):
        documented[status] = {
            "description": _WHEN.get(status, HTTPStatus(status).phrase),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": _REFERENCE.format(name=Problem.__name__)},
                    "example": msgspec.to_builtins(examples.problem(status)),
                }
            },
        }
    if 401 in documented:
        documented[401]["headers"] = {
            "WWW-Authenticate": {
                "description": "What would be taken; not what was wrong.",
                "schema": {"type": "string", "example": CHALLENGE},
            }
        }
    for status in documented.keys() & {429, 503}:
        documented[status]["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait.",
                "schema": {"type": "integer", "example": RETRY_AFTER_SECONDS},
            }
        }
    return documented


def fhir_answer(kind: str, description: str, example: Any) -> dict[str, Any]:
    """Document an answer that is a FHIR resource; its own schema is FHIR's.

    Args:
        kind: the type of the resource.
        description: when it is answered.
        example: such a resource.
    """
    schema = {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"const": kind}},
    }
    return {
        "description": description,
        "content": {outcome.MEDIA_TYPE: {"schema": schema, "example": example}},
    }


def outcomes(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors of a route below ``/fhir``, which have FHIR's form."""
    documented = problems(*statuses)
    reference = {"$ref": _REFERENCE.format(name=outcome.OperationOutcome.__name__)}
    for status, described in documented.items():
        example = msgspec.to_builtins(outcome_of(examples.problem(int(status))))
        described["content"] = {outcome.MEDIA_TYPE: {"schema": reference, "example": example}}
    return documented


def install(app: FastAPI, structs: Sequence[Any], named_examples: Mapping[str, Any]) -> None:
    """Add schemas and named examples to the documentation of ``app``.

    They are added to what FastAPI made, not passed through it: it leaves out every null, and an
    example of an answer without its nulls is not that answer.

    Args:
        app: the service.
        structs: what is documented, with all that it holds.
        named_examples: structs, by the names that ``json_answer`` refers to.
    """
    _, components = msgspec.json.schema_components(
        (*structs, Problem, outcome.OperationOutcome), ref_template=_REFERENCE
    )
    by_fastapi = app.openapi

    def documented() -> dict[str, Any]:
        document = by_fastapi()
        for method, path, access in accesses(app):
            operation = document["paths"].get(path, {}).get(method.lower())
            if operation is None or not isinstance(access, Requirement):
                continue
            parameters = operation.setdefault("parameters", [])
            if _PURPOSE not in parameters:  # FastAPI gives the same document every time
                parameters.append(_PURPOSE)
        added = document.setdefault("components", {})
        added.setdefault("schemas", {}).update(components)
        added["examples"] = {
            name: {"summary": name.replace("_", " "), "value": msgspec.to_builtins(example)}
            for name, example in named_examples.items()
        }
        return document

    app.openapi = documented  # type: ignore[method-assign]  # FastAPI's documented way to extend it
