"""Log lines as JSON, of which every field is on a list, and nothing can be a patient's.

A field's value is taken by what kind of thing it is, not by what it looks like: a route is a
template and never a path, an error gives its type and its place in the code and never its message.
What is not on the list is left out and counted. Of what other libraries log, only who, how serious
and from which line of code remains: their messages quote what they were given.
"""

import logging
import logging.config
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Final, cast, get_args

import msgspec
import structlog

from fhir_mappings.errors import ReadmitError
from service.protection.keys import Keys
from service.protection.sealing import index_of

Value = str | int | float


class Happening(StrEnum):
    """What a line can be about. The list is closed: text made while running has no place in it."""

    REQUEST = "request"
    INCIDENT = "incident"
    NO_MODEL = "no_model"
    TOKEN_REFUSED = "token_refused"  # noqa: S105  what a line is about
    SIGN_IN_REFUSED = "sign_in_refused"
    LAUNCH_REFUSED = "launch_refused"
    KEYS_NOT_FETCHED = "keys_not_fetched"
    EVENTS_MISSED = "events_missed"
    EVENT_FAILED = "event_failed"
    WRITE_BACK_FAILED = "write_back_failed"
    EVENTS_HELD_UP = "events_held_up"
    SERVING = "serving"
    DEVELOPMENT_MODE = "development_mode"
    STOPPED = "stopped"
    LIBRARY = "library"
    UNNAMED = "unnamed"


class Template(str):
    """A route as it was declared, ``/v1/patients/{id}``. Made by ``template_of`` alone."""

    __slots__ = ()


class Pseudonym(str):
    """An identifier behind a keyed hash. Made by ``pseudonym`` alone."""

    __slots__ = ()


class Word(str):
    """A word of a closed list of ours. Made by ``word_of`` alone."""

    __slots__ = ()


NO_ROUTE: Final = Template("(no route)")
"""Of a path that fits none, and that may therefore hold anything."""

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD: Final = "OTHER"

_LOGGER_NAME: Final = re.compile(r"[A-Za-z0-9_.]{1,100}")
_PLACES: Final = 8
"""How far back from an error its place goes: beyond, it is the web server's own way."""


def template_of(scope: Mapping[str, Any]) -> Template:
    """The route that a request was answered by."""
    path = getattr(scope.get("route"), "path", None)
    return Template(path) if isinstance(path, str) else NO_ROUTE


def method_of(scope: Mapping[str, Any]) -> str:
    """The request's method if it is one that HTTP defines; the word is the caller's choice."""
    return scope["method"] if scope["method"] in METHODS else OTHER_METHOD


def pseudonym(keys: Keys, *parts: str) -> Pseudonym:
    """A name for an identifier in the log: the same each time, and no way back without the key."""
    return Pseudonym(index_of(keys, "log", "\0".join(parts))[:16])


def word_of(words: Any, word: str) -> Word:
    """A word for the log, if it is one of the list.

    Args:
        words: the list, a ``Literal``.
        word: which one.

    Raises:
        ValueError: if it is not of the list. It is not quoted.
    """
    if word not in get_args(words):
        raise ValueError("a word for the log that is not of its list")
    return Word(word)


def place_of(trace: TracebackType | None) -> str:
    """The lines of code that an error came through, the last one first."""
    frames = traceback.extract_tb(trace)[: -_PLACES - 1 : -1]
    return " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)


def _of_type(kind: type[str]) -> Callable[[object], Value | None]:
    return lambda value: str(value) if type(value) is kind else None


def _matching(pattern: str) -> Callable[[object], Value | None]:
    compiled = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and compiled.fullmatch(value) else None


def _count(value: object) -> Value | None:
    # A status may be an HTTPStatus; True is no count.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return int(value)
    return None


def _milliseconds(value: object) -> Value | None:
    return round(value, 1) if isinstance(value, float) else None


def _type_name(value: object) -> Value | None:
    return type(value).__name__ if isinstance(value, BaseException) else None


def _place(value: object) -> Value | None:
    return place_of(value.__traceback__) if isinstance(value, BaseException) else None


def _own_words(value: object) -> Value | None:
    return str(value) if isinstance(value, ReadmitError) else None


FIELDS: Final[dict[str, Callable[[object], Value | None]]] = {
    "event": _of_type(Happening),
    "method": lambda value: value if value in {*METHODS, OTHER_METHOD} else None,
    "route": _of_type(Template),
    "status": _count,
    "count": _count,
    "milliseconds": _milliseconds,
    "caller": _of_type(Pseudonym),
    # The form of a UUID, with or without its hyphens: long enough for chance, no room for a name.
    "request": _matching(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "incident": _matching(r"[0-9a-f]{16}"),
    "error": _type_name,
    "where": _place,
    "why": _of_type(Word),
    # Whose keys: the place in the operator's file, never what stands there.
    "listed": _matching(r"(issuer|client|fhir_server)\[[0-9]{1,3}\]"),
    # Errors of ours quote nothing that was sent.
    "reason": _own_words,
    "mode": _matching(r"development|normal"),
    "address": _matching(r"[0-9a-f.:]{2,45}"),
    "port": _count,
    "https": lambda value: int(value) if isinstance(value, bool) else None,
}
"""Every field that a line may have, with what makes its value; None refuses a value."""


class Dropped:
    """How much was left out since the process started. Anything but zero is a mistake of ours."""

    def __init__(self) -> None:
        self.fields = 0
        self.lines = 0


DROPPED: Final = Dropped()

_MARK: Final = "readmit_allowed"


def _only_allowed(
    _: Any, __: str, event: MutableMapping[str, Any]
) -> tuple[tuple[dict[str, Value]], dict[str, Any]]:
    """Keep of a line what is on the list, and hand it to the standard library's logger."""
    allowed: dict[str, Value] = {}
    for name, value in event.items():
        if value is None:
            continue
        take = FIELDS.get(name)
        taken = None if take is None else take(value)
        if taken is None:
            DROPPED.fields += 1
        else:
            allowed[name] = taken
    allowed.setdefault("event", Happening.UNNAMED.value)
    return (allowed,), {"extra": {_MARK: True}}


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger of ours. Its events are ``Happening``s; its fields are those of ``FIELDS``.

    Args:
        name: which part speaks, ``readmit.access`` say.
    """
    made = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _only_allowed],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    # Bound once, here: what is not would be put together anew for every line.
    return cast(structlog.stdlib.BoundLogger, made.bind())


class JSONLines(logging.Formatter):
    """One JSON object a line, whoever logged it."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line. A record's own message is never formed."""
        ours = getattr(record, _MARK, False) and isinstance(record.msg, dict)
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower() if record.levelname.isalpha() else "other",
            "logger": record.name if _LOGGER_NAME.fullmatch(record.name) else "other",
            **(cast(dict[str, Value], record.msg) if ours else _of_a_library(record)),
        }
        return msgspec.json.encode(line).decode()


def _of_a_library(record: logging.LogRecord) -> dict[str, Value]:
    told: dict[str, Value] = {
        "event": Happening.LIBRARY.value,
        "where": f"{record.filename}:{record.lineno} {record.funcName}",
    }
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        told |= {"error": type(error).__name__, "where": place_of(error.__traceback__)}
    return told


class StandardError(logging.StreamHandler[Any]):
    """Writes lines to standard error, wherever that is at the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  the library's
        """Count a line that could not be written: the library would print its raw message."""
        DROPPED.lines += 1


def configure() -> None:
    """Have everything that this process logs written as our lines, by whichever library."""
    handler = StandardError()
    handler.setFormatter(JSONLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in list(root.manager.loggerDict):
        # Libraries that brought a handler of their own would write past ours.
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
    logging.captureWarnings(True)
    threading.excepthook = _unhandled
    sys.unraisablehook = _unhandled


def _unhandled(failure: Any) -> None:
    """Log an error that nobody caught, where Python would print its message."""
    _log.error(Happening.INCIDENT, error=failure.exc_value, where=failure.exc_value)


_log = logger("readmit.observing")
