"""An error in FHIR's own form: OperationOutcome (R4), for every answer below ``/fhir``.

It is a struct of ours, and not one of ``fhir.resources``: a refusal must cost nothing to write, and
the struct documents it. The tests hold each one to ``fhir.resources.R4B``.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MEDIA_TYPE: Final = "application/fhir+json"

PROBLEMS: Final = "urn:readmit:problem"
"""The code system of our own errors: the names that are also their problem types (RFC 9457)."""

_CODES: Final[Mapping[int, str]] = {
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    408: "timeout",
    413: "too-long",
    414: "too-long",
    415: "not-supported",
    422: "business-rule",
    429: "throttled",
    431: "too-long",
    500: "exception",
    503: "transient",
}
"""Status -> code of R4's IssueType."""

_OWN_CODES: Final[Mapping[str, str]] = {"search-too-wide": "too-costly"}
"""Problem -> code, where it says more than the status."""


class Coding(msgspec.Struct, frozen=True):
    """A code of a system."""

    system: str
    code: str


class Details(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of issue, for people, and for machines where it has a name."""

    coding: tuple[Coding, ...] | UnsetType = UNSET
    text: str


class Issue(msgspec.Struct, frozen=True):
    """One thing that is to be said."""

    severity: Literal["error", "warning", "information"]
    code: Annotated[str, Meta(description="Of R4's IssueType.")]
    details: Details
    diagnostics: Annotated[
        str, Meta(description="What is wrong this time. Names elements, never quotes values.")
    ]


class OperationOutcome(
    msgspec.Struct, frozen=True, tag_field="resourceType", tag="OperationOutcome"
):
    """What went wrong, or what a search passed over."""

    issue: tuple[Issue, ...]


def is_fhir(path: str) -> bool:
    """Whether a path is one of FHIR's."""
    return path == "/fhir" or path.startswith("/fhir/")


def outcome(
    *, kind: str, title: str, status: int, detail: str, incident: str | None = None
) -> OperationOutcome:
    """A problem as OperationOutcome.

    Args:
        kind: the problem's type (RFC 9457).
        title: the kind in words.
        status: the HTTP status code.
        detail: what is wrong this time.
        incident: the id under which the log describes it.
    """
    name = kind.removeprefix(f"{PROBLEMS}:")
    known = name != kind
    return OperationOutcome(
        (
            Issue(
                severity="error",
                code=_OWN_CODES.get(name) or _CODES.get(status, "processing"),
                details=Details(coding=(Coding(PROBLEMS, name),) if known else UNSET, text=title),
                diagnostics=detail if incident is None else f"{detail} Incident {incident}.",
            ),
        )
    )
