"""Reading a request's body: its type first, its size always, its content elsewhere."""

import re
from collections.abc import Collection
from email.message import Message
from urllib.parse import parse_qsl

import anyio
from fastapi import Request

from fhir_mappings.errors import ReadmitError

ACCEPTED = ("application/fhir+json", "application/json")
"""The content types that a FHIR resource may come as."""

READ_WITHIN_SECONDS = 30.0
"""A caller that takes longer to send its body gives up its place: a few slow ones would otherwise
hold all of them."""


FORM = "application/x-www-form-urlencoded"
"""How the forms of our pages are sent, and FHIR's searches that are posted."""

FORM_LIMIT = 65_536
"""Largest form in bytes."""


class BodyTooLargeError(ReadmitError):
    """The request's body exceeds the limit that the operator set."""

    status = 413
    title = "The request is too large"


class ContentTypeError(ReadmitError):
    """The request's body is of another type than is read, not in UTF-8, or compressed."""

    status = 415
    title = "The request is not sent in a format that is read here"


class SlowBodyError(ReadmitError):
    """The request's body did not arrive in time."""

    status = 408
    title = "The request took too long to arrive"


class FormError(ReadmitError):
    """A form cannot be read."""

    status = 400
    title = "The form cannot be read"


async def read_body(request: Request, limit: int, accepted: Collection[str] = ACCEPTED) -> bytes:
    """Give the raw body of a request, of at most ``limit`` bytes.

    A body that says itself that it is too large is refused before any of it is read; one that
    does not say is refused at the chunk that exceeds the limit.

    Raises:
        ContentTypeError: if it is not of an accepted type in UTF-8, or is compressed (what a small
            body unpacks to cannot be bounded by its size).
        BodyTooLargeError: if it exceeds the limit.
        SlowBodyError: if it takes longer than 30 seconds to arrive.
    """
    _check_type(request, accepted)
    too_large = f"The body exceeds the limit of {limit:,} bytes."
    announced = request.headers.get("content-length", "")
    if re.fullmatch(r"[0-9]{1,18}", announced, re.ASCII) and int(announced) > limit:
        raise BodyTooLargeError(too_large)
    body = bytearray()
    try:
        with anyio.fail_after(READ_WITHIN_SECONDS):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limit:
                    raise BodyTooLargeError(too_large)
                body += chunk
    except TimeoutError:
        raise SlowBodyError(
            f"The body did not arrive within {READ_WITHIN_SECONDS:.0f} seconds."
        ) from None
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    """Give the fields of a form that a page sent; what is no form has none, and is not read.

    It is kept with the request: the check of its token and the route read the same form. Where a
    field comes twice, the last one counts.

    Raises:
        BodyTooLargeError: if it exceeds 64 KiB.
        SlowBodyError: if it takes longer than 30 seconds to arrive.
        FormError: if it is damaged.
    """
    try:
        return dict(await read_fields(request))
    except ContentTypeError:
        return {}


async def read_fields(request: Request) -> list[tuple[str, str]]:
    """Give the fields of a form in their order; one that comes twice is there twice.

    Raises:
        ContentTypeError: if it is no form.
        BodyTooLargeError: if it exceeds 64 KiB.
        SlowBodyError: if it takes longer than 30 seconds to arrive.
        FormError: if it is damaged.
    """
    kept: list[tuple[str, str]] | None = getattr(request.state, "form", None)
    if kept is not None:
        return kept
    body = await read_body(request, FORM_LIMIT, (FORM,))
    try:
        fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=256)
    except ValueError:
        raise FormError("The form is damaged, or has too many fields.") from None
    request.state.form = fields
    return fields


def has_body(request: Request) -> bool:
    """Whether a request has a body, as its headers say (RFC 9112, section 6.3)."""
    headers = request.headers
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _check_type(request: Request, accepted: Collection[str]) -> None:
    header = Message()
    header["content-type"] = request.headers.get("content-type", "")
    if header.get_content_type() not in accepted:
        raise ContentTypeError(f"Content-Type must be {' or '.join(accepted)}.")
    if str(header.get_param("charset", "utf-8")).lower() not in {"utf-8", "utf8"}:
        raise ContentTypeError("The charset must be UTF-8.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ContentTypeError("Content-Encoding is not supported: send the body uncompressed.")
