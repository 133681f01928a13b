"""The errors of this project: few, typed, and silent about patients.

A message names the file, the line and the element at fault. It never quotes the value that was
found there, because messages end up in logs, terminals and HTTP answers.
"""


class ReadmitError(Exception):
    """Base of every error that a user can cause and can put right.

    The command prints its message without a traceback and exits with ``exit_code``; the service
    answers with ``status`` and ``title`` as problem+json (RFC 9457).
    """

    exit_code = 1
    status = 500
    title = "Something went wrong"


class NotFHIRError(ReadmitError):
    """The input is not JSON, or not the FHIR R4 resource that it should be."""

    exit_code = 2
    status = 400
    title = "Not a FHIR R4 resource"


class UnprocessableError(ReadmitError):
    """The input is FHIR, but cannot be answered: two patients in one Bundle, say."""

    exit_code = 2
    status = 422
    title = "The records do not fit the request"


class SiteProfileError(ReadmitError):
    """A site profile is unknown, malformed, or plainly not that of the data it was used on."""

    exit_code = 2
    title = "Site profile"


class DeclarationError(ReadmitError):
    """A feature, concept table, unit or window is declared wrongly."""

    exit_code = 3
    title = "Declaration"


class StoreError(ReadmitError):
    """The event store is absent, locked by another process, or not one of ours."""

    exit_code = 4
    title = "Event store"


class StudyError(ReadmitError):
    """A study cannot be run on these data: no index stays, say, or a single outcome class."""

    exit_code = 5
    title = "Study"


class NoStaysError(StudyError):
    """The cohort's rules leave no index stay: of a short period that is no failure."""


class RiskModelError(ReadmitError):
    """A risk model is absent, incomplete, or not the one that its manifest describes."""

    exit_code = 6
    status = 503
    title = "Risk model"


class PromotionError(ReadmitError):
    """A model may not be put into use, or the record of promotions is not what was signed."""

    exit_code = 7
    title = "Promotion"


class OptOutError(ReadmitError):
    """A list of patients who opted out was named and cannot be read."""

    exit_code = 2
    status = 503
    title = "Opt-out list"


class PseudonymError(ReadmitError):
    """The key of the pseudonyms cannot be read, or could not be made."""

    exit_code = 4
    title = "Pseudonyms"


class ExportError(ReadmitError):
    """Records cannot be exported to where, or in the way, that was asked for."""

    exit_code = 2
    title = "Export"
