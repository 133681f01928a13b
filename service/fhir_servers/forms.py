"""Posting a form to an endpoint that an EHR names: with the same guard as asking its FHIR server.

What is posted is a credential, and the address is what the EHR's own description says: so it goes
to an address that was judged, within bounds of time and size, and follows no redirect.
"""

import ssl
from collections.abc import Collection, Mapping
from typing import Final
from urllib.parse import SplitResult

import anyio
import httpx

from service.fhir_servers.addresses import FHIRServerError, address_of, base_url, pinned_to
from service.identity.fetching import LARGEST_ANSWER, FetchError

WITHIN_SECONDS: Final = 5.0
"""For the whole of an exchange."""


async def post_form(
    url: str,
    form: Mapping[str, str],
    *,
    vouched: Collection[str] = (),
    trust: ssl.SSLContext | bool = True,
) -> bytes:
    """Post a form, and give the body of an answer of 200.

    Args:
        url: of the endpoint.
        form: what is posted; never logged.
        vouched: addresses that the operator has named for this EHR.
        trust: how the endpoint's certificate is judged.

    Raises:
        FetchError: if the endpoint may not be asked, or nothing proper comes back in time.
    """
    try:
        with anyio.fail_after(WITHIN_SECONDS):
            place = base_url(url)
            address = await address_of(place, vouched)
            return await _post(place, address, form, trust)
    except FHIRServerError:
        raise FetchError("the EHR's token endpoint may not be asked") from None
    except (httpx.HTTPError, TimeoutError, OSError) as error:
        raise FetchError(f"no answer: {type(error).__name__}") from None


async def _post(
    url: SplitResult, address: str, form: Mapping[str, str], trust: ssl.SSLContext | bool
) -> bytes:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Host": url.netloc}
    extensions = {"sni_hostname": url.hostname or ""}
    pinned = pinned_to(url, address)
    async with (
        httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=WITHIN_SECONDS, verify=trust
        ) as client,
        client.stream("POST", pinned, data=form, headers=headers, extensions=extensions) as answer,
    ):
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise FetchError("the answer is too large")
    if answer.status_code != httpx.codes.OK:
        raise FetchError(
            f"answered {answer.status_code}", answered=answer.status_code, body=bytes(body)
        )
    return bytes(body)
