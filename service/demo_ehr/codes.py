"""Authorization codes with PKCE, as both the OpenID provider and the SMART server give them.

Sources: RFC 6749, section 4.1; RFC 7636 (S256 alone); SMART App Launch 2.2. A code lives for a
minute, is used once, and is good only for who proves to have asked for it.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from service.demo_ehr.errors import OAuthError

LIFETIME_SECONDS: Final = 60.0
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Asked(NamedTuple):
    """An authorization request that was found proper."""

    client: str
    redirect_uri: str
    scope: str
    state: str
    challenge: str
    nonce: str | None


class _Given(NamedTuple):
    asked: Asked
    about: Any
    until: float


class Codes:
    """The codes of one authorization server."""

    def __init__(self, issuer: str, client: str, redirect_uri: str) -> None:
        """Register the one client that there is.

        Args:
            issuer: who gives the codes, for ``iss`` in the answer (RFC 9207).
            client: its id.
            redirect_uri: the one address that a code is sent to, exactly.

        """
        self._issuer = issuer
        self._client = client
        self._redirect_uri = redirect_uri
        self._given: dict[str, _Given] = {}

    def check(self, query: Mapping[str, str]) -> Asked:
        """Read an authorization request.

        Raises:
            OAuthError: naming the parameter that is wrong. The browser is sent nowhere: where it
                came from is as doubtful as the rest.
        """
        wanted = {
            "response_type": "code",
            "client_id": self._client,
            "redirect_uri": self._redirect_uri,
            "code_challenge_method": "S256",
        }
        for name, value in wanted.items():
            if query.get(name) != value:
                raise OAuthError("invalid_request", f"{name} is missing or wrong")
        if _CHALLENGE.fullmatch(query.get("code_challenge", "")) is None:
            raise OAuthError("invalid_request", "code_challenge is missing or wrong")
        if not query.get("state"):
            raise OAuthError("invalid_request", "state is missing")
        if "openid" not in query.get("scope", "").split():
            raise OAuthError("invalid_scope", "scope: openid is missing")
        return Asked(
            client=self._client,
            redirect_uri=self._redirect_uri,
            scope=query["scope"],
            state=query["state"],
            challenge=query["code_challenge"],
            nonce=query.get("nonce"),
        )

    def give(self, asked: Asked, about: Any) -> str:
        """Where the browser is sent with a new code.

        Args:
            asked: the request.
            about: what the code stands for.

        """
        code = secrets.token_urlsafe(32)
        now = time.monotonic()
        self._given = {name: one for name, one in self._given.items() if one.until > now}
        self._given[code] = _Given(asked, about, now + LIFETIME_SECONDS)
        answer = {"code": code, "state": asked.state, "iss": self._issuer}
        return f"{asked.redirect_uri}?{urlencode(answer)}"

    def take(self, form: Mapping[str, str]) -> tuple[Asked, Any]:
        """Exchange a code: what was asked, and what it stands for.

        Raises:
            OAuthError: if there is no such code (any more), or it is not this client's.
        """
        given = self._given.pop(form.get("code", ""), None)
        if given is None or given.until < time.monotonic():
            raise OAuthError("invalid_grant", "the code is not known, or over")
        if form.get("redirect_uri") != given.asked.redirect_uri:
            raise OAuthError("invalid_grant", "redirect_uri is another one")
        verifier = form.get("code_verifier", "")
        if _VERIFIER.fullmatch(verifier) is None or not hmac.compare_digest(
            challenge_of(verifier), given.asked.challenge
        ):
            raise OAuthError("invalid_grant", "code_verifier is not that of the challenge")
        return given.asked, given.about


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a verifier (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
