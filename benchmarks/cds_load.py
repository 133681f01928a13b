"""Calls of two EHRs at a steady pace, as a process beside the service: open loop.

A call is sent when its moment comes, whether or not those before it were answered, and its time
counts from that moment: a service that falls behind is not spared what it would not have been sent.
"""

import asyncio
import http.server
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import httpx
import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from benchmarks.cds_records import Chart

SERVICE = "/cds-services/readmission-risk-at-discharge"
ON_TIME_SECONDS = 0.01
"""How late a call may leave and still count as sent on time."""
AT_ONCE = 200
"""Connections that the EHRs may have open."""

_NO_CARD = b'{"cards":[]}'


class EHR:
    """One that signs its calls; where its public key lies is served by ``published``."""

    def __init__(self, algorithm: str) -> None:
        described: Any = {"kid": secrets.token_hex(8), "alg": algorithm, "use": "sig"}
        self.algorithm = algorithm
        self.key: ECKey | RSAKey
        if algorithm == "ES384":
            self.key = ECKey.generate_key("P-384", described)
        else:
            self.key = RSAKey.generate_key(2048, described)
        self.issuer = ""

    def token(self, url: str) -> str:
        """A token for one call."""
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": url,
            "iat": now,
            "exp": now + 300,
            "jti": secrets.token_hex(16),
        }
        head = {"alg": self.algorithm, "kid": str(self.key.kid), "typ": "JWT"}
        return jwt.encode(head, claims, self.key, algorithms=[self.algorithm])


class Call(NamedTuple):
    """What became of one call."""

    late: float
    """Seconds from its moment until it was sent."""
    took: float
    """Seconds from its moment until it was answered."""
    status: int
    """0 where there was no answer."""
    shown: bool


@contextmanager
def published(*ehrs: EHR) -> Iterator[None]:
    """The EHRs' key sets, on loopback; each EHR's issuer is named on the way."""
    keys = {f"/{number}/jwks": ehr.key.as_dict(private=False) for number, ehr in enumerate(ehrs)}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = msgspec.json.encode({"keys": [keys[self.path]]})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        for number, ehr in enumerate(ehrs):
            ehr.issuer = f"http://127.0.0.1:{server.server_port}/{number}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def one_by_one(
    url: str, public: str, ehrs: Sequence[EHR], charts: Sequence[Chart], calls: int
) -> list[Call]:
    """Calls that wait for each other."""
    return asyncio.run(_paced([url], public, ehrs, charts, calls, None))


def at_a_pace(
    urls: Sequence[str],
    public: str,
    ehrs: Sequence[EHR],
    charts: Sequence[Chart],
    *,
    per_second: int,
    seconds: int,
) -> list[Call]:
    """Calls that leave at their moments.

    Args:
        urls: of the service's processes, called in turns as a balancer would.
        public: the URL that the tokens are for.
        ehrs: whose calls they are, in turns.
        charts: what they are about, in turns.
        per_second: how many.
        seconds: for how long.
    """
    return asyncio.run(_paced(urls, public, ehrs, charts, per_second * seconds, 1 / per_second))


async def _paced(
    urls: Sequence[str],
    public: str,
    ehrs: Sequence[EHR],
    charts: Sequence[Chart],
    calls: int,
    apart: float | None,
) -> list[Call]:
    tokens = [ehrs[number % len(ehrs)].token(public + SERVICE) for number in range(calls)]
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
    async with httpx.AsyncClient(timeout=30, trust_env=False, limits=limits) as client:
        began = time.perf_counter() + 0.5
        running = []
        for number in range(calls):
            body = charts[number % len(charts)].body()
            moment = time.perf_counter() if apart is None else began + number * apart
            await asyncio.sleep(max(0.0, moment - time.perf_counter()))
            url = urls[number % len(urls)] + SERVICE
            call = asyncio.create_task(_called(client, url, tokens[number], body, moment))
            running.append(call)
            if apart is None:
                await call
        return list(await asyncio.gather(*running))


async def _called(
    client: httpx.AsyncClient, url: str, token: str, body: bytes, moment: float
) -> Call:
    late = time.perf_counter() - moment
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        answer = await client.post(url, content=body, headers=headers)
    except httpx.TransportError:
        return Call(late, time.perf_counter() - moment, 0, shown=False)
    took = time.perf_counter() - moment
    shown = answer.status_code == 200 and answer.content != _NO_CARD
    return Call(late, took, answer.status_code, shown)
