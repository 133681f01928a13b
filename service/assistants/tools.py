"""What an assistant may ask: declared tools, each of which is one path of the service.

An assistant gets nothing that its user's token does not get: a tool asks the service as any caller
does, so that scopes, units, opt-outs, limits and the audit are the same. None of them writes.

Source: Model Context Protocol, server features, tools.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple

from mcp.server.lowlevel import Server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    TextContent,
    Tool,
    ToolAnnotations,
)

from fhir_mappings.errors import ReadmitError
from service import VERSION
from service.planning.forecast import MOST_WEEKS
from service.work_list.wanted import PARAMETERS

MOST_PATIENTS: Final = 50
"""Patients in one answer: an assistant reads it all, and each is an entry in the audit."""

INSTRUCTIONS: Final = (
    "readmit predicts unplanned readmission within 30 days of discharge. Probabilities are "
    "fractions: 0.25 is 25 %. Reasons are associations, not causes. A stay without a score has a "
    "reason for it and no number: do not estimate one. Answers are about real patients: show them "
    "to nobody but the user."
)


class AssistantError(ReadmitError):
    """The service does not answer what a tool asks."""

    exit_code = 9
    title = "The service does not answer"


class Answer(NamedTuple):
    """What the service answered to a tool."""

    status: int
    content: Any
    """JSON, decoded."""


Ask = Callable[[str, Mapping[str, Any]], Awaitable[Answer]]
"""Asks the service for a path with parameters, as whoever uses the assistant."""


class ToolDescription(NamedTuple):
    """One tool: what it is for, what it takes, and the path that it asks."""

    name: str
    title: str
    description: str
    path: str
    """A template of the arguments that stand in ``in_path``."""
    arguments: dict[str, dict[str, Any]]
    """JSON schema of each."""
    in_path: tuple[str, ...] = ()


_SCORE_ID: Final = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_PATIENT: Final = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,128}$"}
_LIMIT: Final = {
    "type": "integer",
    "minimum": 1,
    "maximum": MOST_PATIENTS,
    "default": 20,
    "description": "At most so many patients.",
}


def _filters() -> dict[str, dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = {}
    for one in PARAMETERS:
        value: dict[str, Any] = {"type": "string"}
        if one.values:
            value["enum"] = list(one.values)
        schemas[one.name] = {"type": "array", "items": value} if one.repeated else value
        schemas[one.name]["description"] = one.documentation
    return schemas


TOOLS: Final = (
    ToolDescription(
        "list_patients",
        "Patients to follow up",
        "The patients in hospital or discharged in the last 30 days, the highest remaining risk "
        "first, each with reasons and how far their follow-up is.",
        "/v1/worklist",
        {**_filters(), "limit": _LIMIT},
    ),
    ToolDescription(
        "get_score",
        "A score with its reasons",
        "One stay's risk with every reason, the records behind each, LACE and HOSPITAL, and what "
        "was missing; or why it was not scored.",
        "/v1/scores/{score_id}",
        {"score_id": {**_SCORE_ID, "description": "From list_patients or list_scores."}},
        ("score_id",),
    ),
    ToolDescription(
        "list_scores",
        "One patient's scores",
        "The scores that one patient was given, the newest first.",
        "/v1/patients/{patient}/scores",
        {"patient": {**_PATIENT, "description": "The Patient's id."}},
        ("patient",),
    ),
    ToolDescription(
        "get_unit_forecast",
        "Readmissions to expect, by unit and week",
        "How many readmissions each unit must expect in the coming weeks, with the interval that "
        "95 % of such weeks lie in. Small units are shown together.",
        "/v1/forecast",
        {
            "weeks": {
                "type": "integer",
                "minimum": 1,
                "maximum": MOST_WEEKS,
                "description": "How many weeks ahead; four by default.",
            }
        },
    ),
    ToolDescription(
        "get_model",
        "The risk model",
        "What the model is made for and how well it did on patients that it had not seen.",
        "/v1/model",
        {},
    ),
)
"""Every tool."""


def assistant_server(ask: Ask) -> Server[Any]:
    """A server of the tools, for one user.

    Args:
        ask: asks the service as that user.
    """
    tools = {tool.name: tool for tool in TOOLS}

    async def listed(*_: object) -> ListToolsResult:
        return ListToolsResult(tools=[described(tool) for tool in TOOLS])

    async def called(_: object, params: CallToolRequestParams) -> CallToolResult:
        tool = tools.get(params.name)
        if tool is None:
            return _failed("There is no such tool.")
        return await answer(ask, tool, params.arguments or {})

    return Server(
        "readmit",
        title="readmit",
        version=VERSION,
        instructions=INSTRUCTIONS,
        on_list_tools=listed,
        on_call_tool=called,
    )


def described(tool: ToolDescription) -> Tool:
    """A tool as the protocol describes it."""
    return Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema={
            "type": "object",
            "properties": tool.arguments,
            "required": list(tool.in_path),
            "additionalProperties": False,
        },
        annotations=ToolAnnotations(
            title=tool.title, read_only_hint=True, destructive_hint=False, open_world_hint=False
        ),
    )


async def answer(ask: Ask, tool: ToolDescription, arguments: Mapping[str, Any]) -> CallToolResult:
    """Ask the service for what a tool is for; a refusal is said in its words, as a failed call.

    What is no argument of the tool's is refused here: of another path it could be one.
    """
    import jsonschema

    try:
        jsonschema.validate(dict(arguments), described(tool).input_schema)
    except jsonschema.ValidationError as error:
        where = ".".join(str(part) for part in error.absolute_path) or "the arguments"
        return _failed(f"{where}: not as the tool describes")
    path = tool.path.format(**{name: arguments[name] for name in tool.in_path})
    given = {name: value for name, value in arguments.items() if name not in tool.in_path}
    if "limit" in tool.arguments:
        given.setdefault("limit", tool.arguments["limit"]["default"])
    try:
        found = await ask(path, given)
    except AssistantError as error:
        return _failed(str(error))
    if found.status != 200:
        problem = found.content if isinstance(found.content, dict) else {}
        return _failed(f"{problem.get('title', 'Refused')}: {problem.get('detail', found.status)}")
    return CallToolResult(
        content=[TextContent(type="text", text=json.dumps(found.content, ensure_ascii=False))],
        structured_content=found.content,
    )


def _failed(why: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=why)], is_error=True)
