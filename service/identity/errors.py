"""Refusals of identity and authorisation. None says which check failed: a probe learns nothing."""

from typing import Final, Literal

from fhir_mappings.errors import ReadmitError

WhyRefused = Literal["scope", "purpose", "patient", "unit", "unknown", "program", "opted_out"]
"""Why a known caller was turned away: what they lack, whom it was about, or that there is no such
thing (``unknown``)."""


class UnauthenticatedError(ReadmitError):
    """Nobody is identified by what came with the request. The message never says why."""

    status = 401
    title = "Not identified"

    def __init__(self, message: str = "Send a valid access token, or sign in.") -> None:
        super().__init__(message)


class ForbiddenError(ReadmitError):
    """The caller is known and may not do this.

    Args:
        message: what the caller is told.
        why: a code for the audit.
        patient: whom they asked for, where that is known; for the audit alone.
    """

    status = 403
    title = "Not allowed"

    def __init__(
        self, message: str, *, why: WhyRefused = "scope", patient: str | None = None
    ) -> None:
        super().__init__(message)
        self.why: Final = why
        self.patient: Final = patient
