"""What an attempt that failed leads to: another one after a while, or none.

Waiting doubles with each attempt and varies by half, so that what failed together does not come
back together. What an EHR says of itself (Retry-After) counts, up to an hour.
"""

import random
from typing import Final, Literal, NamedTuple

from fhir_mappings.errors import OptOutError, ReadmitError, RiskModelError
from service.database.leases import FAILED, WAITING
from service.fhir_servers.addresses import FHIRServerError
from service.identity.ehr_tokens import EHRTokenError

Why = Literal[
    "answered",
    "away",
    "no_access",
    "no_model",
    "unreadable",
    "unexpected",
    "not_recovered",
    "score_gone",
    "server_unknown",
]
"""Why something failed, in a word: for the log, the audit and the operator."""

LONGEST_WAIT_SECONDS: Final = 900.0
LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
"""Servers in the field ask for absurd times."""
ATTEMPTS: Final = 300
"""At a quarter of an hour each, some three days: an EHR that is away longer needs a person."""
ATTEMPTS_AT_OUR_OWN_ERRORS: Final = 5
MENDS_ITSELF: Final = frozenset({401, 408, 409, 425, 429})
"""Statuses that another attempt may not meet: a token that ended, an edit conflict, too much at
once. So are all of 500 and above; of what else is refused, no repetition makes it right."""


class Verdict(NamedTuple):
    """What becomes of a row."""

    state: str
    why: Why
    status: int | None
    """What the EHR answered."""
    wait_seconds: float

    @property
    def problem(self) -> str:
        """What the operator is told."""
        return self.why if self.status is None else f"{self.why} {self.status}"


class GivenUpError(ReadmitError):
    """What no further attempt can mend."""

    title = "Given up"

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Final[Why] = why


def verdict(error: Exception, attempts: int) -> Verdict:
    """Judge a failed attempt.

    Args:
        error: what it ended with.
        attempts: how many there were, this one included.
    """
    why, status, asked = _why(error)
    final = (status is not None and status < 500 and status not in MENDS_ITSELF) or isinstance(
        error, GivenUpError
    )
    most = ATTEMPTS_AT_OUR_OWN_ERRORS if why in ("unexpected", "unreadable") else ATTEMPTS
    if final or attempts >= most:
        return Verdict(FAILED, why, status, 0.0)
    wait = min(LONGEST_WAIT_SECONDS, 2.0 ** min(attempts, 12)) * random.uniform(0.5, 1.0)  # noqa: S311  no secret
    return Verdict(WAITING, why, status, max(wait, min(asked, LONGEST_RETRY_AFTER_SECONDS)))


def _why(error: Exception) -> tuple[Why, int | None, float]:
    if isinstance(error, GivenUpError):
        return error.why, None, 0.0
    if isinstance(error, FHIRServerError):
        word: Why = "away" if error.answered is None else "answered"
        return word, error.answered, error.retry_after or 0.0
    if isinstance(error, EHRTokenError):
        return "no_access", None, 0.0
    if isinstance(error, TimeoutError):
        return "away", None, 0.0
    if isinstance(error, RiskModelError | OptOutError):
        return "no_model", None, 0.0
    return ("unreadable" if isinstance(error, ReadmitError) else "unexpected"), None, 0.0
