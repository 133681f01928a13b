"""In which format FHIR is answered: as JSON alone."""

import re
from typing import Annotated, Final

from fastapi import Query, Request, Response

from fhir_mappings.errors import ReadmitError
from service.fhir_out.outcome import MEDIA_TYPE

_FORMATS: Final = frozenset({"json", "application/json", MEDIA_TYPE, "application/fhir json"})
"""R4's names of JSON; the last is one whose plus sign was not escaped in the URL."""


class FormatError(ReadmitError):
    """FHIR is asked for in another format than JSON."""

    status = 406
    title = "Not in this format"


_RANGES: Final = frozenset({MEDIA_TYPE, "application/json", "application/*", "*/*"})
"""What of an ``Accept`` header takes JSON."""


def json_alone(
    request: Request,
    wanted: Annotated[
        str | None,
        Query(alias="_format", description="JSON alone.", examples=["json"]),
    ] = None,
) -> None:
    """Refuse what wants no JSON: by ``_format``, which overrides ``Accept``, or by that.

    Source: R4, RESTful API, "Content Types and encodings".

    Raises:
        FormatError: if it wants another format.
    """
    if wanted is not None:
        refuse_other_format(wanted)
    elif not _takes_json(",".join(request.headers.getlist("accept"))):
        raise FormatError("Accept: FHIR is answered as JSON alone")


def refuse_other_format(wanted: str) -> None:
    """Refuse a ``_format`` that is no name of JSON.

    Raises:
        FormatError: if it is none.
    """
    if wanted not in _FORMATS:
        raise FormatError("_format: FHIR is answered as JSON alone")


def _takes_json(accept: str) -> bool:
    """Whether an ``Accept`` header takes JSON, or is empty (RFC 9110, section 12.5.1)."""
    if not accept.strip():
        return True
    for one in accept.split(","):
        media_range, *parameters = (part.strip().lower() for part in one.split(";"))
        refused = any(re.fullmatch(r"q=0(\.0{0,3})?", part) for part in parameters)
        if media_range in _RANGES and not refused:
            return True
    return False


class FHIR(Response):
    """A resource, as FHIR JSON."""

    media_type = MEDIA_TYPE
