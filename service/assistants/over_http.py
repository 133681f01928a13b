"""Asking the service over HTTP, for an assistant that runs beside its user (stdio)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from service.assistants.tools import Answer, Ask, AssistantError, assistant_server
from service.identity.fetching import safe_url


def asking(client: httpx.AsyncClient, headers: Mapping[str, str]) -> Ask:
    """Ask through a client that knows where the service is.

    Args:
        client: with the service's base URL.
        headers: who asks, and for which purpose.
    """

    async def ask(path: str, parameters: Mapping[str, Any]) -> Answer:
        try:
            found = await client.get(path, params=dict(parameters), headers=dict(headers))
            return Answer(found.status_code, found.json())
        except (httpx.HTTPError, ValueError):
            # What the library says may quote the URL, which may name a patient.
            raise AssistantError("The service does not answer.") from None

    return ask


def bearer(token_file: Path | None) -> dict[str, str]:
    """The header of the token that a file holds; none where none is named.

    Raises:
        AssistantError: if the file cannot be read, or holds nothing.
    """
    if token_file is None:
        return {}
    try:
        token = token_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise AssistantError("the token's file cannot be read") from None
    if not token:
        raise AssistantError("the token's file is empty")
    return {"Authorization": f"Bearer {token}"}


async def serve_stdio(url: str, token_file: Path | None) -> None:
    """Serve an assistant over standard input and output until it goes away.

    Args:
        url: of the service.
        token_file: file of the access token; read anew for each question, so that whoever renews it
            need not start the assistant again.

    Raises:
        AssistantError: if the URL is not safe to send a token to, or the file cannot be read.
    """
    from mcp.server.stdio import stdio_server

    if not safe_url(url):
        raise AssistantError("the service's URL is neither https nor on this machine")
    bearer(token_file)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30.0) as client:

        async def ask(path: str, parameters: Mapping[str, Any]) -> Answer:
            return await asking(client, bearer(token_file))(path, parameters)

        server = assistant_server(ask)
        async with stdio_server() as (reading, writing):
            await server.run(reading, writing, server.create_initialization_options())
