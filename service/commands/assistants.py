"""The command for assistants that run beside their user."""

from pathlib import Path
from typing import Annotated

import typer


def mcp(
    url: Annotated[str, typer.Option(help="Of the running service.")] = "http://127.0.0.1:8000",
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File of the access token to ask with; a development service needs none."
        ),
    ] = None,
) -> None:
    """Answer an assistant over standard input and output (Model Context Protocol).

    It asks the running service with the given token: same scopes, same audit. It only reads.
    """
    import anyio

    from service.assistants.over_http import serve_stdio

    anyio.run(serve_stdio, url, token_file)
