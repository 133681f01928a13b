"""An EHR's call: what it must hold, by the hook that was fired.

Source: CDS Hooks 2.0, "Calling a CDS Service". A call that breaks a MUST is refused with the
element that breaks it; elements that the specification does not name are passed over, as it asks.
"""

import re
from typing import Any, Final
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, UnsetType

from fhir_mappings.errors import ReadmitError
from service.cds_hooks.services import Service

_ID: Final = re.compile(r"[A-Za-z0-9\-.]{1,64}")
"""FHIR R4, datatype id."""


class HookCallError(ReadmitError):
    """The call is not what CDS Hooks asks of one for this hook."""

    status = 400
    title = "Not a CDS Hooks call"


class Authorization(msgspec.Struct, frozen=True):
    """What the EHR gives us to fetch more with. Its repr shows no token."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str
    subject: str
    patient: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return "Authorization(...)"


class Context(msgspec.Struct, frozen=True, rename="camel"):
    """What the user is doing, as both of our hooks have it."""

    user_id: str
    patient_id: str
    encounter_id: str | None = None


class HookCall(msgspec.Struct, frozen=True, rename="camel"):
    """A call, its prefetched records still as they came."""

    hook: str
    hook_instance: str
    context: Context
    fhir_server: str | None = None
    fhir_authorization: Authorization | None = None
    prefetch: dict[str, Raw] | None = None


def read_call(body: bytes, service: Service) -> HookCall:
    """Read a call to one service.

    Raises:
        HookCallError: naming the element that is missing or wrong; no value is quoted.
    """
    try:
        call = msgspec.json.decode(body, type=HookCall)
    except msgspec.ValidationError as error:
        raise HookCallError(element_at_fault(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise HookCallError("the body is not JSON") from None
    _check(call, service)
    return call


def _check(call: HookCall, service: Service) -> None:
    if call.hook != service.description.hook:
        raise HookCallError(f"hook: this service answers {service.description.hook}")
    try:
        UUID(call.hook_instance)
    except ValueError:
        raise HookCallError("hookInstance: not a UUID") from None
    user_type, _, user = call.context.user_id.partition("/")
    if user_type not in service.users or _ID.fullmatch(user) is None:
        raise HookCallError(f"context.userId: must be one of {', '.join(service.users)} and an id")
    if _ID.fullmatch(call.context.patient_id) is None:
        raise HookCallError("context.patientId: not a FHIR id")
    encounter = call.context.encounter_id
    if encounter is None and service.encounter_required:
        raise HookCallError("context.encounterId: missing")
    if encounter is not None and _ID.fullmatch(encounter) is None:
        raise HookCallError("context.encounterId: not a FHIR id")
    authorization = call.fhir_authorization
    if authorization is None:
        return
    if call.fhir_server is None:
        raise HookCallError("fhirServer: required where fhirAuthorization is given")
    if authorization.token_type != "Bearer":  # noqa: S105  a kind, no secret
        raise HookCallError("fhirAuthorization.token_type: must be Bearer")


def element_at_fault(error: msgspec.ValidationError) -> str:
    """The element at fault, without what was found there."""
    text = str(error)
    missing = re.search(r"missing required field `(\w+)`", text)
    place = re.search(r"`\$\.?([\w.\[\]]*)`$", text)
    where = place[1] if place else ""
    if missing:
        return f"{where}.{missing[1]}: missing".lstrip(".")
    return f"{where or 'the body'}: not of the right type"


def tokens(call: HookCall) -> dict[str, str]:
    """What the prefetch templates are filled in with."""
    found: dict[str, Any] = {"context.patientId": call.context.patient_id}
    if call.context.encounter_id is not None:
        found["context.encounterId"] = call.context.encounter_id
    return found
