"""The bare scorer as a server to be timed: a record in, its score out, and nothing around it.

It reads, maps, scores and words exactly as the service does, with the service's own functions, and
knows neither callers nor an audit, keeps nothing and limits nothing. What the service takes beyond
it is what trust costs. Started by ``trust`` as ``python -m benchmarks.bare PORT MLRUNS PROFILE``.
"""

import gc
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn

from fhir_mappings.consent import OptOuts
from fhir_mappings.profiles import load_profile
from fhir_mappings.reading import read_bundle
from fhir_mappings.sources.reading import site_concepts
from fhir_mappings.timeline import Timeline
from service.score import encoded
from service.scoring import choose_stay, score_stay
from training.risk_model import champion

Message = dict[str, Any]


class Bare:
    """The application (ASGI, without a framework)."""

    def __init__(self, mlruns: Path, profile: str) -> None:
        self._model = champion(mlruns)
        self._profile = load_profile(profile)
        self._concepts = site_concepts(self._profile)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Answer a body with its score."""
        content = b"ready"
        if scope["method"] == "POST":
            chunks, more = [], True
            while more:
                message = await receive()
                chunks.append(message["body"])
                more = message["more_body"]
            body = b"".join(chunks)
            # Off the event loop, as in the service.
            content = await anyio.to_thread.run_sync(self._score, body)
        headers = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _score(self, body: bytes) -> bytes:
        records = read_bundle(body, self._profile)
        timeline = Timeline(records.subject, records.events, self._concepts, self._profile)
        stay = choose_stay(timeline, None, None)
        return encoded(
            score_stay(self._model, timeline, stay, stay.end or stay.start, opt_outs=OptOuts())
        )


def main(port: str, mlruns: str, profile: str) -> None:
    """Serve until stopped."""
    app = Bare(Path(mlruns), profile)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), access_log=False, log_level="error", lifespan="off"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
