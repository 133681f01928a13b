"""From the code that a browser brings back to the person whom the issuer vouches for.

Sources: OpenID Connect Core 1.0, sections 3.1.3.1 (exchange) and 3.1.3.7 (the id token's checks).
The signature is checked here although the token comes straight from the issuer.
"""

import hmac
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from service.identity.bearer import caller_of, roles_in
from service.identity.caller import Caller
from service.identity.errors import UnauthenticatedError
from service.identity.fetching import FetchError, fetch
from service.identity.issuers import Trusted, TrustedIssuer, endpoints_of
from service.identity.sign_in import Begun, refuse
from service.identity.signed_tokens import SignedToken

TYPES: Final = frozenset({None, "jwt"})
"""What an id token may call itself: an access token (``at+jwt``) is none."""

_LONGEST_SUBJECT: Final = 255
"""OpenID Connect Core 1.0, section 2, on ``sub``."""


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str


def issuers_for_people(trusted: Trusted) -> dict[str, TrustedIssuer]:
    """The issuers at which this service is registered for people to sign in."""
    return {
        name: issuer
        for name, issuer in trusted.issuers.items()
        if issuer.declared.client_id is not None
    }


async def person_of(issuer: TrustedIssuer, begun: Begun, code: str) -> Caller:
    """Exchange a code, and say whom the issuer vouches for: with no roles where it gives none.

    Raises:
        SignInError: if the issuer does not take the code, or vouches for nobody in proper form.
        FetchError: if it is away.
    """
    text = await _id_token(issuer, begun, code)
    claims = await claims_for(issuer, begun, issuer.declared.client_id or "", text)
    if not roles_in(claims, issuer.declared):
        # Not ``caller_of``: an issuer that may speak for systems as well would make them one.
        return Caller(way="session", issuer=begun.issuer, subject=claims["sub"])
    return msgspec.structs.replace(caller_of(claims, issuer), way="session", client=None)


async def _id_token(issuer: TrustedIssuer, begun: Begun, code: str) -> str:
    endpoints = await endpoints_of(issuer.declared)
    try:
        answer = await fetch(
            endpoints.token_endpoint or "",
            {
                "grant_type": "authorization_code",
                "client_id": issuer.declared.client_id or "",
                "code": code,
                "redirect_uri": begun.redirect_uri,
                "code_verifier": begun.verifier,
            },
        )
    except FetchError as error:
        if error.answered in (400, 401):
            refuse("code")
        raise
    try:
        return msgspec.json.decode(answer, type=_TokenAnswer).id_token
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        refuse("answer")


async def claims_for(
    issuer: TrustedIssuer, begun: Begun, client_id: str, text: str
) -> Mapping[str, Any]:
    """The claims of an id token that this issuer made for us, and for this one sign-in.

    Raises:
        SignInError: if it is none; ``sub`` is there if it is.
    """
    declared = issuer.declared
    try:
        token = SignedToken(text)
        await token.verify(issuer.keys, declared.algorithms)
        token.check_type(TYPES)
        token.check(issuer=begun.issuer, audience=client_id, now=time.time())
    except UnauthenticatedError:
        refuse("id token")
    claims = token.all_claims
    nonce, party = claims.get("nonce"), claims.get("azp")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), begun.nonce.encode()):
        refuse("nonce")
    # A token for several audiences says to whom of them it was given; it must be us.
    if party != client_id and (party is not None or len(token.claims.audiences) > 1):
        refuse("party")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
        refuse("subject")
    return claims
