"""What an EHR's notification says: which events of which subscription, about which Encounters.

Source: Subscriptions R5 Backport 1.1, R4 notifications: a Bundle of type history whose first entry
is a Parameters resource. Of the rest nothing is read: a payload is fetched by ourselves, with our
own access, from the server that the operator named.
"""

import re
from typing import Final, Literal, NamedTuple, cast, get_args

import msgspec
from msgspec import Raw

from fhir_mappings.errors import ReadmitError

Type = Literal["handshake", "heartbeat", "event-notification", "query-status", "query-event"]

EVENTS_AT_MOST: Final = 10_000
"""In one notification; it bounds the transaction that enters them."""

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_ENCOUNTER: Final = re.compile(r"Encounter/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?")


class NotificationError(ReadmitError):
    """The body is no notification of a subscription."""

    status = 400
    title = "Not a notification of a subscription"


class Told(NamedTuple):
    """One event."""

    number: int
    encounter: str | None
    """The id of the Encounter that it is about; None where it is about something else."""
    focused: bool
    """Whether it says what it is about at all (an empty payload does not)."""


class Notification(NamedTuple):
    """What an EHR told."""

    type: Type
    subscription: str
    """The id of the Subscription."""
    since_start: int | None
    """How many events there were since the subscription began; None where it does not say."""
    events: tuple[Told, ...]


class _Reference(msgspec.Struct):
    reference: str = ""


class _Part(msgspec.Struct, rename="camel"):
    name: str = ""
    value_code: str = ""
    value_string: str = ""
    value_integer: int | None = None
    value_unsigned_int: int | None = None
    value_reference: _Reference = msgspec.field(default_factory=_Reference)
    part: list["_Part"] = []

    @property
    def number(self) -> int:
        """The number that it holds: R4 has no 64-bit integers, so that it is a string."""
        for value in (self.value_integer, self.value_unsigned_int):
            if value is not None and value >= 0:
                return value
        if _NUMBER.fullmatch(self.value_string) is None:
            raise NotificationError(f"Parameters.{self.name}: not a number")
        return int(self.value_string)


class _Parameters(msgspec.Struct, rename="camel"):
    resource_type: str = ""
    parameter: list[_Part] = []


class _Entry(msgspec.Struct):
    resource: Raw = Raw(b"")


class _Bundle(msgspec.Struct, rename="camel"):
    resource_type: str
    type: str = ""
    entry: list[_Entry] = []


def read_notification(body: bytes, server: str) -> Notification:
    """Read a notification, or the answer to ``$events``, which has the same form.

    Args:
        body: as it came.
        server: the base URL of the EHR's server: what is on another one is not ours to fetch.

    Raises:
        NotificationError: naming the element that is missing or wrong; no value is quoted.
    """
    parameters = _status_of(body)
    by_name = {part.name: part for part in parameters}
    kind = by_name.get("type", _Part()).value_code
    if kind not in get_args(Type):
        raise NotificationError("Parameters.type: missing, or of another list")
    named = by_name.get("subscription", _Part()).value_reference.reference
    subscription = named.rpartition("/")[2]
    if _ID.fullmatch(subscription) is None:
        raise NotificationError("Parameters.subscription: missing, or no reference")
    told = [part for part in parameters if part.name == "notification-event"]
    if len(told) > EVENTS_AT_MOST:
        raise NotificationError("Parameters.notification-event: too many at once")
    since = by_name.get("events-since-subscription-start")
    return Notification(
        cast(Type, kind),
        subscription,
        None if since is None else since.number,
        tuple(_event(part, server) for part in told),
    )


def _status_of(body: bytes) -> list[_Part]:
    try:
        bundle = msgspec.json.decode(body, type=_Bundle)
        if bundle.resource_type != "Bundle" or bundle.type != "history" or not bundle.entry:
            raise NotificationError("the body is no Bundle of type history with an entry")
        first = msgspec.json.decode(bundle.entry[0].resource, type=_Parameters)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The library's message quotes what it found.
        raise NotificationError("the body is not JSON of such a Bundle") from None
    if first.resource_type != "Parameters":
        raise NotificationError("Bundle.entry[0]: not the status of a subscription (Parameters)")
    return first.parameter


def _event(part: _Part, server: str) -> Told:
    by_name = {inner.name: inner for inner in part.part}
    if "event-number" not in by_name:
        raise NotificationError("Parameters.notification-event: without its event-number")
    number = by_name["event-number"].number
    if number < 1:
        raise NotificationError("Parameters.event-number: events are counted from 1")
    focus = by_name.get("focus", _Part()).value_reference.reference
    within = focus.removeprefix(server.rstrip("/") + "/")
    found = _ENCOUNTER.fullmatch(within)
    return Told(number, None if found is None else found[1], bool(focus))
