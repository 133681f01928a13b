"""``/v1/worklist``: whom to follow up, ranked by the risk that is left; as JSON and as a table."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response

from service.identity.access import requires
from service.identity.caller import Caller
from service.openapi import json_answer, problems
from service.serving import Serving, serving
from service.spreadsheet import as_csv
from service.work_list import examples
from service.work_list.capacity import MOST_CALLS, Capacity, read_capacity
from service.work_list.read import MOST_LISTED, Listed, WorkListPage, read_page
from service.work_list.wanted import PARAMETERS, Parameter, Wanted, parse_cursor, parse_wanted

router = APIRouter(tags=["work list"])

LIST: Final = "/v1/worklist"
TABLE: Final = "/v1/worklist.csv"
CAPACITY: Final = "/v1/worklist/capacity"

STRUCTS: Final = (WorkListPage, Capacity)
"""What these paths answer."""

COLUMNS: Final = tuple(name for name in Listed.__struct_fields__ if name != "stay")
"""The columns of the table, in order."""


def _documented(*but: str) -> dict[str, Any]:
    return {
        "parameters": [
            {
                "name": one.name,
                "in": "query",
                "required": False,
                "description": one.documentation,
                "schema": {"type": "array", "items": _values(one), "examples": [[one.example]]}
                if one.repeated
                else _values(one),
            }
            for one in PARAMETERS
            if one.name not in but
        ]
    }


def _values(parameter: Parameter) -> dict[str, Any]:
    closed = {"enum": list(parameter.values)} if parameter.values else {}
    return {"type": "string", "examples": [parameter.example], **closed}


@router.get(
    LIST,
    summary="The list of whom to follow up",
    description="Gives the patients who are in hospital or left it less than thirty days ago, as "
    "the last batch run found them, the highest remaining risk first; of the caller's units alone "
    "where the role is bound to units. Who was readmitted or died, said no, or was not scored is "
    "not on it. Rows that change between two pages move; no other is missed or given twice.",
    responses={
        200: json_answer(WorkListPage, "A page of the list.", examples.PAGE),
        **problems(401, 403, 422, 503),
    },
    openapi_extra=_documented(),
)
async def get_work_list(
    request: Request,
    caller: Annotated[Caller, requires("List", "r")],
    after: Annotated[
        str | None,
        Query(max_length=512, description="`next` of the answer before.", examples=[examples.NEXT]),
    ] = None,
    limit: Annotated[
        int, Query(ge=1, le=MOST_LISTED, description="At most so many.", examples=[20])
    ] = 50,
) -> Response:
    """Read the page, enter each patient in the audit, answer."""
    here = serving(request)
    wanted = _wanted(request, caller)
    place = None if after is None else parse_cursor(after, wanted.sort)
    page = await here.compute(
        lambda: read_page(
            here.keeping,
            caller,
            wanted,
            opted_out=here.opt_outs.listed,
            after=place,
            limit=limit,
            route=LIST,
        )
    )
    return Response(msgspec.json.encode(page), media_type="application/json")


class Table(Response):
    """A table, as CSV."""

    media_type = "text/csv"


@router.get(
    TABLE,
    response_class=Table,
    summary="The list as a table",
    description="The same, as CSV for a spreadsheet: one page, with as many patients as `limit` "
    "says. A cell that a spreadsheet would run as a formula has a quote before it.",
    responses={
        200: {
            "description": "The table.",
            "content": {"text/csv": {"schema": {"type": "string"}, "example": examples.TABLE}},
        },
        **problems(401, 403, 422, 503),
    },
    openapi_extra=_documented(),
)
async def get_table(
    request: Request,
    caller: Annotated[Caller, requires("List", "r")],
    limit: Annotated[
        int, Query(ge=1, le=MOST_LISTED, description="At most so many.", examples=[200])
    ] = MOST_LISTED,
) -> Response:
    """Read the list, enter each patient in the audit, answer."""
    here = serving(request)
    wanted = _wanted(request, caller)
    return await here.compute(lambda: _table(here, caller, wanted, limit))


@router.get(
    CAPACITY,
    summary="Whom to call with so much time",
    description="Chooses as many patients as can be called, by the risk that is left, and says how "
    "many readmissions to expect among them, what one more call would add, and each group's share "
    "of the calls beside its share of the need.",
    responses={
        200: json_answer(Capacity, "Who, and what that reaches.", examples.CAPACITY),
        **problems(401, 403, 422, 503),
    },
    openapi_extra=_documented("sort"),
)
async def get_capacity(
    request: Request,
    caller: Annotated[Caller, requires("List", "r")],
    calls: Annotated[
        int,
        Query(ge=1, le=MOST_CALLS, description="How many can be called.", examples=[20]),
    ] = 20,
) -> Response:
    """Choose, enter each patient in the audit, answer."""
    here = serving(request)
    wanted = _wanted(request, caller)
    found = await here.compute(
        lambda: read_capacity(
            here.keeping,
            caller,
            wanted,
            calls,
            opted_out=here.opt_outs.listed,
            route=CAPACITY,
        )
    )
    return Response(msgspec.json.encode(found), media_type="application/json")


_OTHERS: Final = frozenset({"after", "limit", "calls"})
"""Parameters that are not the list's own."""


def _wanted(request: Request, caller: Caller) -> Wanted:
    asked = request.query_params.multi_items()
    return parse_wanted([one for one in asked if one[0] not in _OTHERS], caller)


def _table(here: Serving, caller: Caller, wanted: Wanted, limit: int) -> Response:
    page = read_page(
        here.keeping,
        caller,
        wanted,
        opted_out=here.opt_outs.listed,
        after=None,
        limit=limit,
        route=TABLE,
    )
    rows = (_line(one) for one in page.patients)
    return Table(
        as_csv(COLUMNS, rows),
        headers={"Content-Disposition": 'attachment; filename="work-list.csv"'},
    )


def _line(listed: Listed) -> dict[str, Any]:
    line = msgspec.structs.asdict(listed)
    return line | {name: "; ".join(line[name]) for name in ("reasons", "changeable")}
