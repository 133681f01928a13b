"""Why a request asks: the purpose of use that it names, if its caller's roles ask for that at all.

Codes are those of HL7 v3 PurposeOfUse. A request names one in the header ``Purpose-Of-Use``, a
token in its claim ``purpose_of_use``; where both do, they must agree.
"""

from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from service.identity.caller import Caller
from service.identity.errors import ForbiddenError
from service.identity.roles import ROLES, Purpose, Role

HEADER: Final = "Purpose-Of-Use"


def with_purpose(caller: Caller, roles: Collection[Role], named: Iterable[str]) -> Caller:
    """The caller with the purpose that this request has.

    A purpose that no role has cannot be asked for: whoever keeps the service running has no
    treatment to give. A system has the purposes of whoever runs it, so it may name any.

    Args:
        caller: with the purpose that the token names, if it names one.
        roles: those of the caller's roles that grant the access that is asked for.
        named: what the request's headers name.

    Raises:
        ForbiddenError: if what is named is no purpose, is several, or is none of the roles'.
    """
    codes = {*named, *(() if caller.purpose is None else (caller.purpose.value,))}
    if len(codes) > 1:
        raise ForbiddenError(
            f"{HEADER}: one purpose, and the one that the token names", why="purpose"
        )
    allowed = tuple(Purpose) if caller.is_system else _purposes(roles)
    if not codes:
        return msgspec.structs.replace(caller, purpose=allowed[0])
    found = next((purpose for purpose in allowed if purpose.value in codes), None)
    if found is None:
        raise ForbiddenError(
            f"{HEADER}: none of the purposes that the caller's roles ask for", why="purpose"
        )
    return msgspec.structs.replace(caller, purpose=found)


def _purposes(roles: Collection[Role]) -> tuple[Purpose, ...]:
    """The purposes of some roles, the first role's first one first."""
    found = [purpose for role in Role if role in roles for purpose in ROLES[role].purposes]
    return tuple(dict.fromkeys(found))
