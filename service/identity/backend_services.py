"""Giving access tokens to systems (SMART App Launch 2.2, Backend Services).

A registered system proves who it is with an assertion that it signed with its own key, and gets a
token for five minutes: for what it asked, as far as the operator allows it. Assertions are good for
one use, whichever worker they come to.
"""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

import anyio.to_thread
import msgspec
from msgspec import Meta

from fhir_mappings.errors import ReadmitError
from service.audit.ledger import Audit, Entry
from service.audit.vocabulary import Event
from service.database import seen_tokens
from service.identity.bearer import OWN_TYPE
from service.identity.caller import Caller
from service.identity.errors import UnauthenticatedError
from service.identity.issuers import CLIENT_ALGORITHMS, RegisteredClient, Trusted
from service.identity.replay import seen
from service.identity.scopes import Scope, common, parse_scopes
from service.identity.signed_tokens import SKEW_SECONDS, SignedToken, refuse
from service.identity.signing import LIFETIME_SECONDS, SigningKeys

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""RFC 7523, section 2.2."""

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105  a path
LONGEST_ASSERTION_SECONDS: Final = 300
"""How far ahead an assertion may expire: five minutes, says the source above."""

Code = Literal["invalid_request", "invalid_client", "invalid_scope", "unsupported_grant_type"]


class TokenRequestError(ReadmitError):
    """A token is refused, with one of the codes of RFC 6749, section 5.2, and nothing more."""

    status = 400
    title = "No token"

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code: Final[Code] = code


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token for a system (RFC 6749, section 5.1). There is no refresh token."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105  a kind of token
    expires_in: Annotated[int, Meta(description="Seconds.")] = LIFETIME_SECONDS
    scope: Annotated[
        str, Meta(description="What it is for: of what was asked, what the operator allows.")
    ]


class TokenEndpoint:
    """Gives tokens to the systems that the operator has registered."""

    def __init__(
        self,
        trusted: Trusted,
        signing: SigningKeys,
        audit: Audit,
        own_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._trusted = trusted
        self._signing = signing
        self._audit = audit
        self._own_url = own_url
        self._clock = clock

    async def issue(self, form: Mapping[str, str]) -> IssuedToken:
        """Give a token for a request's form, and enter that in the audit.

        Raises:
            TokenRequestError: if none is given.
            DatabaseError: if it cannot be entered.
            AuditError: likewise.
        """
        if form.get("grant_type") != "client_credentials":
            raise TokenRequestError(
                "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
            )
        now = self._clock()
        try:
            assertion, client = await self._authenticated(form, now)
            scopes = common(parse_scopes(form.get("scope", "")), client.scopes)
            if not scopes:
                raise TokenRequestError("invalid_scope")
            return await anyio.to_thread.run_sync(self._enter, assertion, client, scopes, now)
        except UnauthenticatedError:
            raise TokenRequestError("invalid_client") from None

    async def _authenticated(
        self, form: Mapping[str, str], now: float
    ) -> tuple[SignedToken, RegisteredClient]:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            refuse("form")
        assertion = SignedToken(form.get("client_assertion", ""))
        claims = assertion.claims
        client = self._trusted.clients.get(claims.iss)
        if client is None or claims.sub != claims.iss:
            refuse("issuer")
        if form.get("client_id", claims.iss) != claims.iss:
            refuse("issuer")
        if assertion.header.kid is None:
            refuse("header")  # REQUIRED: "Client Confidential Asymmetric", token header
        await assertion.verify(client.keys, CLIENT_ALGORITHMS)
        assertion.check_type((None, "jwt", "client-authentication+jwt"))
        assertion.check(issuer=claims.iss, audience=self._own_url + TOKEN_PATH, now=now)
        if claims.exp > now + LONGEST_ASSERTION_SECONDS + SKEW_SECONDS:
            refuse("lifetime")
        return assertion, client

    def _enter(
        self,
        assertion: SignedToken,
        client: RegisteredClient,
        scopes: tuple[Scope, ...],
        now: float,
    ) -> IssuedToken:
        granted = " ".join(map(str, scopes))
        token = self._signing.sign(
            {
                "iss": self._own_url,
                "aud": self._own_url,
                "sub": client.client_id,
                "client_id": client.client_id,
                "scope": granted,
            },
            OWN_TYPE,
        )
        caller = Caller(
            way="bearer",
            issuer=self._own_url,
            subject=client.client_id,
            client=client.client_id,
            scopes=scopes,
        )
        with self._audit.recorded() as work:
            if not seen_tokens.enter(work.connection, seen(assertion), round(now * 1_000_000)):
                refuse("used before")
            work.record(
                Entry(
                    event=Event.TOKEN_ISSUED,
                    caller=caller,
                    route=TOKEN_PATH,
                    details={"scopes": granted},
                )
            )
        return IssuedToken(access_token=token, scope=granted)
