"""Bearer tokens: from the ``Authorization`` header to a caller, or to one bare refusal.

Two kinds are known. A person's comes from an issuer that the operator lists, and its claims are
mapped to roles here. A system's was issued by this service (``backend_services``), or by an issuer
that may speak for systems; it has scopes and no roles.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.to_thread

from service.database import seen_tokens
from service.database.engine import Database
from service.identity.caller import Caller
from service.identity.errors import UnauthenticatedError
from service.identity.issuers import ClaimPath, Issuer, Trusted, TrustedIssuer
from service.identity.replay import seen
from service.identity.roles import Purpose, Role
from service.identity.scopes import Scope, common, parse_scopes
from service.identity.signed_tokens import SignedToken, refuse
from service.identity.signing import ALGORITHM, SigningKeys

TYPES: Final = frozenset({None, "jwt", "at+jwt"})
"""What an access token of an issuer may call itself. Many say nothing, or just ``JWT``; an id token
is told apart by its audience, a logout token or a proof by its type."""

OWN_TYPE: Final = "at+jwt"
"""RFC 9068, section 2.1. The service's client assertions, signed with the same key, have another
one, and so do not pass for tokens."""

_LONGEST_NAME: Final = 255


class BearerTokens:
    """The tokens that this service accepts."""

    def __init__(
        self,
        trusted: Trusted,
        signing: SigningKeys,
        database: Database,
        own_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._trusted = trusted
        self._signing = signing
        self._database = database
        self._own_url = own_url
        self._clock = clock

    async def caller(self, authorization: list[str], path: str) -> Caller:
        """Say whom a request's ``Authorization`` headers identify.

        Args:
            authorization: the headers.
            path: of the URL that is called, for issuers whose tokens are for one URL each. Scheme
                and host are the operator's word, never the request's.

        Raises:
            UnauthenticatedError: if it is not one header with one valid token; always the same.
            DatabaseError: if a token may be used once and that cannot be entered.
        """
        token = SignedToken(_credentials(authorization))
        if "cnf" in token.all_claims:
            # Bound to a key that its bearer must prove to hold (RFC 7800); nothing here checks it.
            refuse("bound to a key")
        if token.claims.iss == self._own_url:
            return await self._own(token)
        issuer = self._trusted.issuers.get(token.claims.iss)
        if issuer is None:
            refuse("issuer")
        return await self._issued(token, issuer, self._own_url + path)

    async def _own(self, token: SignedToken) -> Caller:
        await token.verify(self._signing, (ALGORITHM,))
        token.check_type((OWN_TYPE,))
        token.check(issuer=self._own_url, audience=self._own_url, now=self._clock())
        client = token.claims.sub
        # A client that the operator has struck off since is not let in with what it still holds.
        registered = self._trusted.clients.get(client or "")
        if registered is None:
            refuse("nobody known here")
        return Caller(
            way="bearer",
            issuer=self._own_url,
            subject=registered.client_id,
            client=registered.client_id,
            scopes=common(scopes_in(token.all_claims) or (), registered.scopes),
        )

    async def _issued(self, token: SignedToken, issuer: TrustedIssuer, url: str) -> Caller:
        declared = issuer.declared
        # CDS Hooks 2.0, "Trusting CDS Clients": both are REQUIRED of a token for one call.
        if declared.single_use and token.header.kid is None:
            refuse("header")
        if declared.single_use and token.claims.iat is None:
            refuse("claims")
        await token.verify(issuer.keys, declared.algorithms)
        token.check_type(TYPES)
        now = self._clock()
        accepted = (*declared.audiences, *((url,) if declared.audience_is_url else ()))
        token.check(issuer=declared.issuer, audience=accepted, now=now)
        caller = caller_of(token.all_claims, issuer)
        if declared.single_use:
            await anyio.to_thread.run_sync(self._use_once, token, now)
        return caller

    def _use_once(self, token: SignedToken, now: float) -> None:
        entry = seen(token)
        # What the token is used for is entered in the audit, in a transaction that waits for the
        # disk and takes this one along: a power failure that undoes the use undoes both, and
        # nobody has an answer.
        with self._database.writing(on_disk=False) as connection:
            first = seen_tokens.enter(connection, entry, round(now * 1_000_000))
        if not first:
            refuse("used before")


def caller_of(
    claims: Mapping[str, Any], issuer: TrustedIssuer, otherwise: frozenset[Role] = frozenset()
) -> Caller:
    """Whom the claims of a verified token describe, by the operator's mapping.

    A browser's id token is read with this as well.

    Args:
        claims: of a token that was verified.
        issuer: whose it is.
        otherwise: the roles of a person to whom no claim gives one.

    Raises:
        UnauthenticatedError: if it is a person without any role here, or a system where the issuer
            may speak for none.
    """
    declared = issuer.declared
    roles = roles_in(claims, declared) or otherwise
    scopes = scopes_in(claims)
    subject, client = _text(claims.get("sub")), _client(claims)
    if not roles:
        # Of an issuer that speaks for people too, a token that names nothing may be a person's who
        # has no role here: they must not be let in as a program, and with more than any role has.
        unnamed = () if declared.role else issuer.system_scopes
        scopes = unnamed if scopes is None else common(scopes, issuer.system_scopes)
        if not scopes:
            refuse("nobody known here")
        subject = subject or client or declared.issuer
    if subject is None:
        refuse("claims")
    patient = _text(claim_at(claims, declared.patient_claim))
    return Caller(
        way="bearer",
        issuer=declared.issuer,
        subject=subject,
        client=client,
        name=_text(claims.get("name")),
        roles=roles,
        scopes=scopes,
        units=frozenset(_texts(_at(claims, declared.units_claim))),
        patient=None if patient is None else patient.removeprefix("Patient/"),
        purpose=_purpose(claims),
    )


def roles_in(claims: Mapping[str, Any], declared: Issuer) -> frozenset[Role]:
    """The roles that claims mean, by the operator's mapping."""
    return frozenset(
        rule.role for rule in declared.role if rule.value in _texts(_at(claims, rule.claim))
    )


def scopes_in(claims: Mapping[str, Any]) -> tuple[Scope, ...] | None:
    """The SMART scopes of a token; None where it names none, so that the roles alone decide.

    A token whose SMART scopes are all ones that cannot be granted here has an empty tuple: it was
    meant to be narrow, and must not become as wide as a role.

    Source: RFC 9068, section 2.2.3 (``scope``); ``scp`` is what some large issuers write.
    """
    words = [
        word
        for name in ("scope", "scp")
        for text in _texts(claims.get(name))
        for word in text.split()
    ]
    if not any(word.startswith(("patient/", "user/", "system/")) for word in words):
        return None
    return parse_scopes(" ".join(words))


def claim_at(claims: Mapping[str, Any], path: ClaimPath) -> Any:
    """The claim that a path leads to; None where there is none."""
    found: Any = claims
    for name in (path,) if isinstance(path, str) else path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _at(claims: Mapping[str, Any], path: ClaimPath | None) -> Any:
    return None if path is None else claim_at(claims, path)


def _purpose(claims: Mapping[str, Any]) -> Purpose | None:
    """The purpose of use that a token names; one that names another word has no purpose here."""
    named = claims.get("purpose_of_use")
    if named is None:
        return None
    found = next((purpose for purpose in Purpose if purpose.value == named), None)
    if found is None:
        refuse("claims")
    return found


def _client(claims: Mapping[str, Any]) -> str | None:
    return _text(claims.get("client_id")) or _text(claims.get("azp"))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME else None


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str) and one]


def _credentials(authorization: list[str]) -> str:
    """The token of the one header there must be (RFC 6750, section 2.1)."""
    if len(authorization) != 1:
        raise UnauthenticatedError
    scheme, _, token = authorization[0].partition(" ")
    if scheme.lower() != "bearer" or not token.isascii():
        raise UnauthenticatedError
    return token.strip(" ")
