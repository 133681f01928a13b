"""What trust costs: a score from the service, beside the same score from the bare scorer.

The service identifies its caller by a signed token, checks scope, purpose, consent and limits,
keeps the score sealed, and enters it in the audit, on disk, before it answers; the bare scorer
(``benchmarks/bare.py``) does none of that. Both get the same records in turns: one of half a
megabyte, and the small one of the documentation, where all that is around a score weighs most.
"""

import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
from joserfc import jwt
from joserfc.jwk import ECKey

from benchmarks.measuring import Result, figure, in_turns
from benchmarks.serving import free_port, record, server, trained
from service import examples
from service.audit.ledger import Entry
from service.audit.vocabulary import Event
from service.keeping import open_keeping
from service.protection.keys import new_keys, write_keys
from service.protection.sealing import seal, unseal
from service.settings import Settings

REQUESTS, WARM_UP = 150, 15
CLIENT = "benchmark"


def run(folder: Path) -> list[Result]:
    """Ask both servers in turns, and time the parts of what trust adds."""
    mlruns = trained(folder)
    large, profile = record(folder)
    small = msgspec.json.encode(examples.BUNDLE)
    results = []
    with (
        trusted(folder, mlruns, profile.name) as (ours, token),
        bare(mlruns, profile.name) as floor,
    ):
        for name, body in ((f"{len(large):,} bytes", large), (f"{len(small):,} bytes", small)):
            seconds = _asked_in_turns(ours, token, floor, body)
            middle = {who: statistics.median(took) * 1000 for who, took in seconds.items()}
            results.append(
                figure(
                    f"POST /v1/score, a record of {name}, p50 / bare scorer, p50",
                    middle["ours"] / middle["bare"],
                    "x",
                    f"{middle['ours']:.1f} ms, {middle['bare']:.1f} ms: trust adds "
                    f"{middle['ours'] - middle['bare']:.1f} ms",
                )
            )
    return [*results, *_parts(folder)]


def _asked_in_turns(ours: str, token: str, floor: str, body: bytes) -> dict[str, list[float]]:
    plain = {"Content-Type": "application/fhir+json"}
    known = {**plain, "Authorization": f"Bearer {token}"}
    asked = {"ours": (f"{ours}/v1/score", known), "bare": (f"{floor}/", plain)}
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    with httpx.Client(timeout=30, trust_env=False) as client:
        for number in range(REQUESTS + WARM_UP):
            for name, (url, headers) in asked.items():
                began = time.perf_counter()
                answer = client.post(url, content=body, headers=headers)
                took = time.perf_counter() - began
                answer.raise_for_status()
                if number >= WARM_UP:
                    seconds[name].append(took)
    return seconds


def _parts(folder: Path) -> list[Result]:
    settings = Settings(development=True, database=f"sqlite:///{folder / 'parts.db'}")
    kept = open_keeping(settings)
    sealed = seal(kept.keys, "x" * 4_000, "benchmark")
    seconds = in_turns(
        100,
        entry=lambda: kept.audit.record(Entry(event=Event.SIGNED_OUT, caller=None)),
        sealing=lambda: seal(kept.keys, "x" * 4_000, "benchmark"),
        opening=lambda: unseal(kept.keys, sealed, "benchmark"),
    )
    kept.close()
    return [
        figure("in the process: one entry in the audit, on disk", seconds["entry"] * 1000, "ms"),
        figure("in the process: an answer of 4 kB sealed", seconds["sealing"] * 1000, "ms"),
        figure("in the process: and opened", seconds["opening"] * 1000, "ms"),
    ]


@contextmanager
def trusted(folder: Path, mlruns: Path, profile: str) -> Iterator[tuple[str, str]]:
    """The service as it runs for others, in a process of its own: its address, and a token."""
    key = ECKey.generate_key("P-384", {"kid": "1", "use": "sig", "alg": "ES384"}, private=True)
    public = {"keys": [key.as_dict(private=False)]}
    (folder / "keys.json").write_bytes(msgspec.json.encode(public))
    (folder / "issuers.toml").write_text(
        f'[[client]]\nclient_id = "{CLIENT}"\nscopes = "system/RiskAssessment.crs"\n'
        'jwks_file = "keys.json"\n'
    )
    write_keys(folder / "readmit.keys", new_keys())
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "READMIT_ISSUERS": str(folder / "issuers.toml"),
        "READMIT_KEY_FILE": str(folder / "readmit.keys"),
        "READMIT_DATABASE": f"sqlite:///{folder / 'readmit.db'}",
        "READMIT_PUBLIC_URL": url,
        # What is timed is more than one caller may ask.
        "READMIT_REQUESTS_PER_MINUTE": "1000000",
    }
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    command += ["--profile", profile, "--mlruns", str(mlruns)]
    with server(command, f"{url}/readyz", environment):
        yield url, _token(url, key)


def _token(url: str, key: ECKey) -> str:
    """An access token by SMART Backend Services, as any system gets one."""
    endpoint, now = f"{url}/oauth/token", int(time.time())
    claims = {
        "iss": CLIENT,
        "sub": CLIENT,
        "aud": endpoint,
        "iat": now,
        "exp": now + 240,
        "jti": str(uuid.uuid4()),
    }
    form = {
        "grant_type": "client_credentials",
        "scope": "system/RiskAssessment.c",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(
            {"alg": "ES384", "kid": "1", "typ": "JWT"}, claims, key, algorithms=["ES384"]
        ),
    }
    answer = httpx.post(endpoint, data=form, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


@contextmanager
def bare(mlruns: Path, profile: str) -> Iterator[str]:
    """The bare scorer in a process of its own: its address."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.bare", str(port), str(mlruns), profile]
    with server(command, f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}"
