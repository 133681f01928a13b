"""What a row of the list says of a patient in short."""

import msgspec


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a line of the list shows; it is kept sealed."""

    reasons: tuple[str, ...] = ()
    changeable: tuple[str, ...] = ()
    age: int | None = None
    sex: str | None = None
    missing: int = 0
