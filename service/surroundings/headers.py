"""The headers that every answer carries, and those that let pages of other origins read it.

Sources: Fetch (CORS, Cross-Origin-Resource-Policy), Content Security Policy Level 3, RFC 6797.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import Scope

from service.settings import Settings

RawHeaders = list[tuple[bytes, bytes]]

SECURITY_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""On every answer: results are about patients, and must not leak in referrers or be drawn into
pages of others. Nor may they stay in caches: ``Cache-Control`` is added by ``AnswerHeaders``."""

PAGE_POLICY: Final = {
    "default-src": "'none'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
"""What a page of ours may load: its style and its drawings. No script, until a page declares it."""

DATA_POLICY: Final = {"default-src": "'none'", "frame-ancestors": "'none'"}
"""What anything else may load, if a browser is made to show it: nothing."""

HSTS: Final = "max-age=63072000"
"""Two years (RFC 6797). Not for subdomains: they are not ours to speak for."""

_DECLARED: Final = "content_security_policy"
_UNCHANGING: Final = "unchanging"
_NO_STORE: Final = b"no-store"
_IMMUTABLE: Final = b"public, max-age=31536000, immutable"
"""A year (RFC 8246): for what has another name when it has another content."""


def declare_policy(request: Request, directives: Mapping[str, str]) -> None:
    """Give the answer to this request other directives than ``PAGE_POLICY`` has.

    This is the one way to do so: a header that a route sets itself is replaced.

    Args:
        request: the request in hand.
        directives: what differs, ``{"frame-ancestors": "https://ehr.example"}`` say.

    Raises:
        ValueError: if a directive would break out of the header or begin another one.
    """
    text = "".join((*directives, *directives.values()))
    if not text.isprintable() or not text.isascii() or ";" in text or "," in text:
        raise ValueError("a directive of a Content-Security-Policy holds a separator")
    request.scope["state"][_DECLARED] = {**PAGE_POLICY, **directives}


def declare_unchanging(request: Request) -> None:
    """Let caches keep the answer to this request for good: it is about nobody, and never changes.

    This is the one way to do so: everything else is ``no-store``, whatever a route sets itself.
    """
    request.scope["state"][_UNCHANGING] = True


class AnswerHeaders:
    """Adds to each answer what the settings ask for."""

    def __init__(self, settings: Settings) -> None:
        always = dict(SECURITY_HEADERS)
        if settings.tls_certificate is not None or settings.tls_ends_at_proxy:
            always["Strict-Transport-Security"] = HSTS
        self._always = _raw(always)
        self._page = _raw({"Content-Security-Policy": _policy(PAGE_POLICY)})
        self._data = _raw({"Content-Security-Policy": _policy(DATA_POLICY)})
        self._origins = frozenset(settings.cors_origins)
        self._replaced = {b"cache-control"} | {name for name, _ in self._always + self._page}

    def of(self, scope: Scope, headers: Iterable[tuple[bytes, bytes]], origin: str) -> RawHeaders:
        """The headers of an answer: a route's, ours in place of those of the same names."""
        kept = [(name, value) for name, value in headers if name.lower() not in self._replaced]
        stored = _IMMUTABLE if scope["state"].get(_UNCHANGING) else _NO_STORE
        return [
            *kept,
            *self._always,
            (b"cache-control", stored),
            *self._policy_of(scope, kept),
            *self._shared(origin),
        ]

    def preflight(self, scope: Scope, headers: Headers) -> RawHeaders | None:
        """What a browser is told that asks whether a page may ask; None where none does.

        Never with credentials: a page of another origin brings a token, and never our cookie.
        """
        asks = scope["method"] == "OPTIONS" and "access-control-request-method" in headers
        if not asks or headers.get("origin") not in self._origins:
            return None
        return _raw(
            {
                "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
                "Access-Control-Allow-Headers": "Authorization, Content-Type, Purpose-Of-Use",
                "Access-Control-Max-Age": "600",
            }
        )

    def _policy_of(self, scope: Scope, headers: RawHeaders) -> RawHeaders:
        declared = scope["state"].get(_DECLARED)
        if declared is not None:
            return _raw({"Content-Security-Policy": _policy(declared)})
        page = any(n.lower() == b"content-type" and v.startswith(b"text/html") for n, v in headers)
        return self._page if page else self._data

    def _shared(self, origin: str) -> RawHeaders:
        if origin not in self._origins:
            return []
        return _raw(
            {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": "Retry-After, X-Request-ID",
                "Vary": "Origin",
            }
        )


def _policy(directives: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _raw(headers: Mapping[str, str]) -> RawHeaders:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
