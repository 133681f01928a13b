"""In which format FHIR is answered: as JSON alone."""

from typing import Annotated, Final

from fastapi import Query, Response

from fhir_mappings.errors import ReadmitError
from service.fhir_out.outcome import MEDIA_TYPE

_FORMATS: Final = frozenset({"json", "application/json", MEDIA_TYPE, "application/fhir json"})
"""R4's names of JSON; the last is one whose plus sign was not escaped in the URL."""


class FormatError(ReadmitError):
    """FHIR is asked for in another format than JSON."""

    status = 406
    title = "Not in this format"


def json_alone(
    wanted: Annotated[
        str | None,
        Query(alias="_format", description="JSON alone.", examples=["json"]),
    ] = None,
) -> None:
    """Refuse a ``_format`` that is not JSON's: it overrides ``Accept`` (R4, RESTful API).

    Raises:
        FormatError: if it is another.
    """
    if wanted is not None and wanted not in _FORMATS:
        raise FormatError("_format: FHIR is answered as JSON alone")


class FHIR(Response):
    """A resource, as FHIR JSON."""

    media_type = MEDIA_TYPE
