"""``/v1/follow-ups/{stay}``: how far a stay has been worked, by whom, and changing it."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Request, Response

from fhir_mappings.errors import ReadmitError
from service.body import read_body
from service.follow_ups.examples import CHANGES, CONFLICT, FOLLOW_UP, WANTED
from service.follow_ups.follow_up import Change, FollowUp, FollowUpChange
from service.follow_ups.keep import ConflictError, change, history, read
from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import json_answer, problems
from service.problems import MEDIA_TYPE, Problem, problem_of
from service.serving import serving

router = APIRouter(tags=["work list"])

ONE: Final = "/v1/follow-ups/{stay}"
CHANGES_OF: Final = "/v1/follow-ups/{stay}/changes"

LARGEST_CHANGE: Final = 65_536
"""Bytes."""


class WantedChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change, and the version that whoever wants it has seen."""

    version: int
    change: Change


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Every change to a follow-up, the first one first."""

    changes: tuple[FollowUpChange, ...]


class Conflict(Problem, frozen=True, kw_only=True):
    """A change that came too late: what the follow-up is now, for whoever wanted another."""

    present: FollowUp


class ChangeFormError(ReadmitError):
    """The body is not a change of a follow-up."""

    status = 400
    title = "Not a change of a follow-up"


STRUCTS: Final = (FollowUp, Changes, WantedChange, Conflict)
"""What these paths answer and read."""

Stay = Annotated[
    str,
    Path(
        pattern="^[0-9a-f]{64}$",
        description="The stay, as the list names it.",
        examples=[FOLLOW_UP.stay],
    ),
]

_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "What is wanted, and the version that was seen.",
    "content": {
        "application/json": {
            "schema": {"$ref": f"#/components/schemas/{WantedChange.__name__}"},
            "example": WANTED,
        }
    },
}

_CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    409: {
        "description": "Somebody else changed it since it was looked at. Nothing was written; "
        "`present` is what it is now.",
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": f"#/components/schemas/{Conflict.__name__}"},
                "example": CONFLICT,
            }
        },
    }
}


@router.get(
    ONE,
    summary="How far a stay has been worked",
    description="Status, who has it, until when, and the version to name when it is changed.",
    responses={
        200: json_answer(FollowUp, "The follow-up.", FOLLOW_UP),
        **problems(401, 403, 404, 422, 503),
    },
)
async def get_follow_up(
    request: Request, caller: Annotated[Caller, requires("Task", "r")], stay: Stay
) -> Response:
    """Read it, enter that it was read, answer."""
    here = serving(request)
    found = await here.compute(
        lambda: read(here.keeping, caller, stay, opted_out=here.opt_outs.listed, route=ONE)
    )
    return _json(found)


@router.get(
    CHANGES_OF,
    summary="What was done for a stay",
    description="Every change with its note: who, when, and what the follow-up was afterwards.",
    responses={
        200: json_answer(Changes, "The changes, the first one first.", Changes(changes=CHANGES)),
        **problems(401, 403, 404, 422, 503),
    },
)
async def get_changes(
    request: Request, caller: Annotated[Caller, requires("Task", "r")], stay: Stay
) -> Response:
    """Read them, enter that they were read, answer."""
    here = serving(request)
    found = await here.compute(
        lambda: history(
            here.keeping, caller, stay, opted_out=here.opt_outs.listed, route=CHANGES_OF
        )
    )
    return _json(Changes(changes=found))


@router.post(
    CHANGES_OF,
    status_code=201,
    summary="Change a follow-up",
    description="Sets status, person or due date, or adds a note; what is left out stays. Whoever "
    "hands a patient over says how it stands. If somebody else was first, nothing is written and "
    "the answer says what it is now.",
    responses={
        201: json_answer(FollowUp, "What it is now.", FOLLOW_UP),
        **problems(400, 401, 403, 404, 408, 413, 415, 422, 503),
        **_CONFLICT,
    },
    openapi_extra={"requestBody": _BODY},
)
async def post_change(
    request: Request, caller: Annotated[Caller, requires("Task", "u")], stay: Stay
) -> Response:
    """Write the change, enter it, answer what the follow-up is then."""
    here = serving(request)
    wanted = _wanted(await read_body(request, LARGEST_CHANGE))
    try:
        after = await here.compute(
            lambda: change(
                here.keeping,
                caller,
                stay,
                wanted.version,
                wanted.change,
                opted_out=here.opt_outs.listed,
                route=CHANGES_OF,
            )
        )
    except ConflictError as conflict:
        said = msgspec.structs.asdict(problem_of(conflict))
        body = msgspec.json.encode(Conflict(**said, present=conflict.present))
        return Response(body, status_code=conflict.status, media_type=MEDIA_TYPE)
    return _json(after, 201)


def _wanted(body: bytes) -> WantedChange:
    try:
        return msgspec.json.decode(body, type=WantedChange)
    except msgspec.ValidationError as error:
        # Without the value, which the library quotes: it may be a note.
        at = str(error).partition(" - at ")[2] or "`$`"
        raise ChangeFormError(f"at {at}: not as it must be") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ChangeFormError("the body is not JSON") from None


def _json(content: msgspec.Struct, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status_code=status, media_type="application/json")
