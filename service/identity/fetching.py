"""Asking other servers for a little JSON: bounded in time and size, and led nowhere else."""

import asyncio
import ipaddress
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from fhir_mappings.errors import ReadmitError

WITHIN_SECONDS: Final = 5.0
"""For the whole of an exchange: a server that sends a byte a second is away, too."""

LARGEST_ANSWER: Final = 262_144
"""Bytes. The key sets of large issuers have some ten thousand."""


class FetchError(ReadmitError):
    """Another server is away, slow, or answers something else than it should."""

    status = 502
    title = "Another server does not answer"

    def __init__(self, message: str, *, answered: int | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.answered = answered
        """The status that came, if one came."""
        self.body = body
        """What came with it; never to be shown."""


def safe_url(url: str) -> bool:
    """Whether a URL may be asked: by https, or on this machine itself."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment or not url.isascii():
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by an address or by the one name that is always its own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def fetch(url: str, form: Mapping[str, str] | None = None) -> bytes:
    """Get a document, or post a form, and give the body of the answer.

    Redirects are not followed: where an issuer's keys lie is the operator's word, and what is
    posted may be a credential.

    Raises:
        FetchError: if it is no URL that may be asked, or nothing proper comes back in time.
    """
    if not safe_url(url):
        raise FetchError("a URL that is neither https nor on this machine")
    try:
        async with (
            asyncio.timeout(WITHIN_SECONDS),
            # One client a fetch: they are rare, and so nothing has to be closed with the service.
            httpx.AsyncClient(follow_redirects=False, timeout=WITHIN_SECONDS) as client,
            client.stream(
                "GET" if form is None else "POST",
                url,
                data=form,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ) as answer,
        ):
            body = bytearray()
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise FetchError("the answer is too large")
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        raise FetchError(f"no answer: {type(error).__name__}") from None
    if answer.status_code != httpx.codes.OK:
        raise FetchError(
            f"answered {answer.status_code}", answered=answer.status_code, body=bytes(body)
        )
    return bytes(body)
