"""Sessions of signed-in browsers: kept by the server, so that all workers know when one ends.

The cookie holds 256 random bits and nothing else. The database holds their SHA-256, so that whoever
reads it cannot use a session, and the caller sealed together with that hash, so that whoever writes
it cannot give one session the caller of another.
"""

import hashlib
import re
import secrets
from datetime import UTC, datetime
from typing import Final

import msgspec
from fastapi import Request, Response

from fhir_mappings.records.instants import from_datetime
from service.audit.ledger import Work
from service.database import sessions
from service.identity.caller import Caller
from service.identity.origin import cookie_name, is_secure, set_framed_cookie
from service.keeping import Keeping
from service.protection.sealing import seal, unseal
from service.settings import Settings

COOKIE: Final = "readmit"
"""What the cookie is called, after its prefix."""

LAUNCHED_COOKIE: Final = "readmit-launched"
"""The same of a session that an EHR launched. It has another name because browsers keep a
partitioned cookie beside one that is not, and would send both under one name."""

CONTEXT: Final = "sessions.caller"

MINUTE: Final = 60_000_000
"""In microseconds."""

_NOTED_EVERY: Final = MINUTE
"""How exactly the last use is known. Noting each one would make every page that is read a write; so
a session may end up to a minute before its idle limit, and never after."""

_ID: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """The chart that a session was launched from (SMART App Launch 2.2, EHR launch)."""

    fhir_server: str
    """Base URL of the EHR's server: where the records behind a reason are."""
    encounter: str | None
    """The Encounter that the chart is open at, its id alone."""
    patient_banner: bool
    """Whether the EHR leaves it to us to say whose page this is (``need_patient_banner``)."""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in."""

    id: str
    """What its cookie holds: whoever has it is the caller. Never kept, logged or shown."""
    caller: Caller
    launch: Launch | None = None
    """Set where an EHR launched it; else the person signed in."""

    def __repr__(self) -> str:
        return "Session(...)"


class _Sealed(msgspec.Struct, frozen=True):
    id_hash: str
    caller: Caller
    launch: Launch | None = None


def begin_session(
    work: Work,
    keeping: Keeping,
    settings: Settings,
    caller: Caller,
    launch: Launch | None = None,
) -> Session:
    """Begin a session, within the transaction that records the sign-in.

    Sessions that are over are removed on the way: there is one sign-in for each that began.
    """
    now = _now()
    session = Session(id=secrets.token_urlsafe(32), caller=caller, launch=launch)
    id_hash = hash_of(session.id)
    sealed = msgspec.json.encode(_Sealed(id_hash, caller, launch)).decode()
    sessions.remove_ended(
        work.connection, now=now, unused_since=now - settings.session_idle_minutes * MINUTE
    )
    sessions.begin(
        work.connection,
        sessions.Row(
            id_hash=id_hash,
            caller_sealed=seal(keeping.keys, sealed, CONTEXT),
            began_at=now,
            used_at=now,
            until=now + settings.session_hours * 60 * MINUTE,
        ),
    )
    return session


def find_session(keeping: Keeping, settings: Settings, id: str) -> Session | None:
    """The session that a cookie names; None where there is none, or it is over.

    Raises:
        DatabaseError: if the database cannot be asked.
        KeysError: if what is kept does not open, or belongs to another session.
    """
    if _ID.fullmatch(id) is None:
        return None
    now, id_hash = _now(), hash_of(id)
    with keeping.database.reading() as connection:
        row = sessions.find(connection, id_hash)
    if row is None or now >= row.until:
        return None
    if now >= row.used_at + settings.session_idle_minutes * MINUTE:
        return None
    opened = msgspec.json.decode(unseal(keeping.keys, row.caller_sealed, CONTEXT), type=_Sealed)
    if opened.id_hash != id_hash:
        return None
    if now >= row.used_at + _NOTED_EVERY:
        with keeping.database.writing() as connection:
            sessions.use(connection, id_hash, now)
    return Session(id=id, caller=opened.caller, launch=opened.launch)


def end_session(work: Work, id: str) -> None:
    """End a session, within the transaction that records it."""
    sessions.end(work.connection, hash_of(id))


def cookies_of(request: Request) -> tuple[str, ...]:
    """What the request's session cookies hold; that of a launch first: it was begun here."""
    names = (cookie_name(request, name) for name in (LAUNCHED_COOKIE, COOKIE))
    return tuple(request.cookies[name] for name in names if name in request.cookies)


def set_cookie(request: Request, response: Response, session: Session) -> None:
    """Hand the session to the browser, which keeps it until it is closed; it has no other then.

    Lax and not Strict: who follows a link from the EHR shall not have to sign in again. What
    changes anything is protected by ``csrf`` besides. A launched one counts in the EHR's frame.
    """
    drop_cookies(request, response)
    if session.launch is not None:
        set_framed_cookie(request, response, LAUNCHED_COOKIE, session.id)
        return
    response.set_cookie(
        cookie_name(request, COOKIE),
        session.id,
        secure=is_secure(request),
        httponly=True,
        samesite="lax",
    )


def drop_cookies(request: Request, response: Response) -> None:
    """Have the browser forget the session cookies that it sent."""
    if cookie_name(request, COOKIE) in request.cookies:
        response.delete_cookie(
            cookie_name(request, COOKIE), secure=is_secure(request), httponly=True, samesite="lax"
        )
    if cookie_name(request, LAUNCHED_COOKIE) in request.cookies:
        set_framed_cookie(request, response, LAUNCHED_COOKIE, "", max_age=0)


def hash_of(secret: str) -> str:
    """The SHA-256 that a random secret is kept as. It has 256 bits: no salt is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _now() -> int:
    return from_datetime(datetime.now(UTC))
