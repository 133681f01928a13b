"""Refusals of identity and authorisation. None says which check failed: a probe learns nothing."""

from fhir_mappings.errors import ReadmitError


class UnauthenticatedError(ReadmitError):
    """Nobody is identified by what came with the request. The message never says why."""

    status = 401
    title = "Not identified"

    def __init__(self, message: str = "Send a valid access token, or sign in.") -> None:
        super().__init__(message)


class ForbiddenError(ReadmitError):
    """The caller is known and may not do this."""

    status = 403
    title = "Not allowed"
