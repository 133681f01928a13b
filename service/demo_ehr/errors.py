"""What the EHR refuses, in FHIR's words and in OAuth's."""

from typing import Any, Final


class FHIRError(Exception):
    """A FHIR request that is refused: answered with an OperationOutcome."""

    def __init__(self, status: int, code: str, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.status: Final = status
        self.code: Final = code

    def outcome(self) -> dict[str, Any]:
        """The OperationOutcome of the answer."""
        issue = {"severity": "error", "code": self.code, "diagnostics": str(self)}
        return {"resourceType": "OperationOutcome", "issue": [issue]}


class OAuthError(Exception):
    """A token or an authorization that is refused (RFC 6749, section 5.2)."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.status: Final = status
        self.code: Final = code


class PageError(Exception):
    """A page that cannot be shown, or something that cannot be done from it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status: Final = status
