"""Reading the forms of the EHR's own pages."""

from urllib.parse import parse_qsl

from fastapi import Request

from service.demo_ehr.errors import PageError

LARGEST: int = 20_000


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of a field that comes twice, the last.

    Raises:
        PageError: if it is larger than any of our pages makes it.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            raise PageError(413, "That is too much text.")
    return dict(parse_qsl(bytes(body).decode("utf-8", "replace")))
