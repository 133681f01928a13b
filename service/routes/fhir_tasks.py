"""``/fhir/Task/{stay}``: a follow-up as FHIR R4 Task, out and in, so that an EHR can follow."""

import re
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Depends, Path, Request, Response

from fhir_mappings.errors import ReadmitError
from service.body import ACCEPTED, read_body
from service.fhir_out.formats import FHIR, json_alone
from service.follow_ups.examples import FOLLOW_UP, WHOLE
from service.follow_ups.follow_up import Change
from service.follow_ups.keep import ConflictError, Whole, change_whole, read_whole
from service.follow_ups.task import read_task, task_of
from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import fhir_answer, outcomes
from service.serving import Serving, serving

router = APIRouter(tags=["fhir"], dependencies=[Depends(json_alone)], default_response_class=FHIR)

TASK: Final = "/fhir/Task/{stay}"
LARGEST_TASK: Final = 1_000_000
"""Bytes; a Task brings all its notes along."""

_ETAG: Final = re.compile(r'(?:W/)?"([0-9]{1,9})"')
_EXAMPLE: Final = task_of(*WHOLE)

Stay = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{64}$",
        description="The id of the Task: the stay, as the list names it.",
        examples=[FOLLOW_UP.stay],
    ),
]


class VersionError(ReadmitError):
    """An update does not name the version that it is made from, or names it in another form."""

    status = 400
    title = "Which version is updated?"


class ChangedSinceError(ReadmitError):
    """The Task was changed since the version that an update names (R4, version-aware update)."""

    status = 412
    title = "The Task was changed since"


@router.get(
    TASK,
    summary="Read one follow-up, as FHIR",
    description="The follow-up of a stay as Task: its status, owner, due date and notes. "
    "`businessStatus` says more than R4's status can. The ETag is the version to update from.",
    responses={
        200: fhir_answer("Task", "The follow-up.", _EXAMPLE),
        **outcomes(401, 403, 404, 406, 422, 503),
    },
)
async def get_task(
    request: Request, caller: Annotated[Caller, requires("Task", "r")], stay: Stay
) -> Response:
    """Read it, enter that it was read, answer."""
    here = serving(request)
    whole = await here.compute(
        lambda: read_whole(here.keeping, caller, stay, opted_out=here.opt_outs.listed, route=TASK)
    )
    return _task(whole)


@router.put(
    TASK,
    summary="Update one follow-up, as FHIR",
    description="Takes what a Task says otherwise than the follow-up: status with a reason where "
    "one is asked for, owner, due date, and one new note. The version that it was made from comes "
    "as If-Match or in `meta.versionId`; where the Task was changed since, the answer is 412. An "
    "element that is not followed here is refused by name.",
    responses={
        200: fhir_answer("Task", "The follow-up as it is now.", _EXAMPLE),
        **outcomes(400, 401, 403, 404, 406, 408, 412, 413, 415, 422, 503),
    },
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The Task.",
            "content": {
                kind: {
                    "schema": {"type": "object", "required": ["resourceType"]},
                    "example": _EXAMPLE,
                }
                for kind in ACCEPTED
            },
        },
        "parameters": [
            {
                "name": "If-Match",
                "in": "header",
                "required": False,
                "description": "The ETag that the Task was read with.",
                "schema": {"type": "string", "examples": ['W/"1"']},
            }
        ],
    },
)
async def put_task(
    request: Request, caller: Annotated[Caller, requires("Task", "u")], stay: Stay
) -> Response:
    """Write what differs, enter it, answer what the follow-up is then."""
    here = serving(request)
    matching = _version(request)
    body = await read_body(request, LARGEST_TASK)
    return await here.compute(lambda: _updated(here, caller, stay, body, matching))


def _updated(
    here: Serving, caller: Caller, stay: str, body: bytes, matching: int | None
) -> Response:
    def decided(whole: Whole) -> tuple[int, Change]:
        wanted = read_task(body, *whole)
        version = wanted.seen_version if matching is None else matching
        if version is None:
            raise VersionError("If-Match or Task.meta.versionId: the version that was read")
        return version, wanted.change

    try:
        after = change_whole(
            here.keeping, caller, stay, decided, opted_out=here.opt_outs.listed, route=TASK
        )
    except ConflictError:
        raise ChangedSinceError("Read the Task again, and update from what it is now.") from None
    return _task(after)


def _task(whole: Whole) -> Response:
    version = whole.present.version
    return FHIR(msgspec.json.encode(task_of(*whole)), headers={"ETag": f'W/"{version}"'})


def _version(request: Request) -> int | None:
    sent = request.headers.get("if-match")
    if sent is None:
        return None
    found = _ETAG.fullmatch(sent.strip())
    if found is None:
        raise VersionError('If-Match: one ETag of this Task, as W/"1"')
    return int(found[1])
