"""Signing in with a browser: OpenID Connect's authorization code flow with PKCE.

Sources: OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3; RFC 7636 (PKCE, S256 alone); RFC 9207
(``iss`` in the answer); RFC 9700 (best practices). A sign-in lives for ten minutes, is used once,
and belongs to the browser that began it: an answer that somebody else has this browser bring along
signs nobody in.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal, NoReturn
from urllib.parse import urlencode

import msgspec
from fastapi import Request

from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import from_datetime
from service.database import sign_ins
from service.identity.origin import cookie_name
from service.identity.sessions import MINUTE, hash_of
from service.keeping import Keeping
from service.observing.logs import Happening, logger, word_of
from service.protection.sealing import seal, unseal

CONTEXT: Final = "sign_ins.secrets"

MINUTES: Final = 10
"""How long a person may take at the issuer."""

LONGEST_PATH: Final = 2_000
"""Characters of a path to return to."""

_PATH: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*", re.ASCII)
"""A path on this host, in visible ASCII without a backslash. Browsers take ``//evil`` and
``/\\evil`` for another host, and drop a tab or a line feed between the two strokes."""

_BROWSER: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_LONGEST: Final = 4_096
"""Characters of a parameter that an issuer sends back."""

_log = logger("readmit.identity")

Why = Literal[
    "parameters",
    "state",
    "over",
    "another browser",
    "another issuer",
    "refused by the issuer",
    "code",
    "answer",
    "nonce",
    "party",
    "subject",
    "id token",
    "a launch",
]
"""Why a sign-in is refused: for the log alone, and as a word of this list."""


class SignInError(ReadmitError):
    """A sign-in did not come to its end. The message never says why; the log does."""

    status = 400
    title = "The sign-in did not work out"


class ReturnPathError(ReadmitError):
    """The page to go to after the sign-in is not one of this service."""

    status = 400
    title = "Not a page of this service"


class BegunLaunch(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered beside, where it is an EHR that opens a chart here."""

    fhir_server: str
    token_endpoint: str
    """As it was when the launch began: the code goes nowhere else."""


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a sign-in while the browser is at the issuer."""

    state_hash: str
    """Of the row that this is sealed in: moved to another row, it is no good."""
    issuer: str
    nonce: str
    verifier: str
    browser_hash: str
    redirect_uri: str
    return_to: str
    launch: BegunLaunch | None = None

    def __repr__(self) -> str:
        return "Begun(...)"


def refuse(why: Why) -> NoReturn:
    """Refuse a sign-in: the reason goes to the log, and never to the browser.

    Raises:
        SignInError: always, and always the same.
    """
    _log.info(Happening.SIGN_IN_REFUSED, why=word_of(Why, why))
    raise SignInError("Nobody was signed in. Begin again from the start page.")


def local_path(path: str) -> str:
    """A path to return to, if it is one of this service.

    Raises:
        ReturnPathError: if it could lead to another host. A link to our own sign-in that ends at a
            look-alike of it would be trusted.
    """
    if len(path) > LONGEST_PATH or _PATH.fullmatch(path) is None:
        raise ReturnPathError("return_to: give the path of a page of this service.")
    return path


def begin_sign_in(
    keeping: Keeping,
    *,
    issuer: str,
    authorization_endpoint: str,
    client_id: str,
    redirect_uri: str,
    browser: str,
    return_to: str,
    scope: str = "openid profile",
    more: Mapping[str, str] | None = None,
    launch: BegunLaunch | None = None,
) -> str:
    """Remember a sign-in, and give the address at the issuer that the browser is sent to.

    Args:
        keeping: where it is remembered.
        issuer: who shall vouch for the person.
        authorization_endpoint: where that issuer signs people in.
        client_id: how that issuer knows us.
        redirect_uri: where the issuer sends the browser back to.
        browser: a random value that this browser holds in a cookie.
        return_to: the path to go to at the end, as ``local_path`` gave it.
        scope: what is asked for.
        more: parameters beside those of every sign-in.
        launch: what is remembered of a launch.
    """
    state = secrets.token_urlsafe(32)
    begun = Begun(
        state_hash=hash_of(state),
        issuer=issuer,
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        browser_hash=hash_of(browser),
        redirect_uri=redirect_uri,
        return_to=return_to,
        launch=launch,
    )
    sealed = seal(keeping.keys, msgspec.json.encode(begun).decode(), CONTEXT)
    now = _now()
    with keeping.database.writing() as connection:
        sign_ins.remove_ended(connection, now=now)
        sign_ins.begin(
            connection,
            sign_ins.Row(
                state_hash=begun.state_hash,
                issuer=issuer,
                secrets_sealed=sealed,
                until=now + MINUTES * MINUTE,
            ),
        )
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": scope,
        "state": state,
        "nonce": begun.nonce,
        "code_challenge": _challenge(begun.verifier),
        "code_challenge_method": "S256",
        **(more or {}),
    }
    separator = "&" if "?" in authorization_endpoint else "?"
    return f"{authorization_endpoint}{separator}{urlencode(asked)}"


def take_sign_in(keeping: Keeping, state: str, browser: str | None) -> Begun:
    """Find the sign-in that a browser comes back from, and use it up.

    Raises:
        SignInError: if there is none of this state, it is over, or another browser began it.
        DatabaseError: if the database cannot be asked.
    """
    with keeping.database.writing() as connection:
        row = sign_ins.take(connection, hash_of(state))
    if row is None:
        refuse("state")
    if _now() >= row.until:
        refuse("over")
    begun = msgspec.json.decode(unseal(keeping.keys, row.secrets_sealed, CONTEXT), type=Begun)
    if begun.state_hash != row.state_hash:
        refuse("state")
    if browser is None or not hmac.compare_digest(hash_of(browser), begun.browser_hash):
        refuse("another browser")
    return begun


def browser_of(request: Request, cookie: str) -> str:
    """The value of the browser's cookie: the one it has, so that two tabs can sign in at once."""
    held = request.cookies.get(cookie_name(request, cookie), "")
    return held if _BROWSER.fullmatch(held) else secrets.token_urlsafe(32)


def parameters_of(request: Request) -> dict[str, str]:
    """What another server has the browser bring; each parameter once (RFC 6749, section 3.1).

    Raises:
        SignInError: if one comes twice or is very long.
    """
    sent = request.query_params.multi_items()
    found = dict(sent)
    if len(found) < len(sent) or any(len(value) > _LONGEST for value in found.values()):
        refuse("parameters")
    return found


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def _now() -> int:
    return from_datetime(datetime.now(UTC))
