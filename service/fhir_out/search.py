"""What a search of RiskAssessments may be asked: the parameters, declared once, and read strictly.

Source: FHIR R4, Search. A parameter that is not known is passed over, unless the caller says
``Prefer: handling=strict``. One that is known and asked in a way that is not supported (a modifier,
a chain, a prefix, two values) is always refused: the answer would be another than was asked for.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from fhir_mappings.events import SECOND
from fhir_mappings.records.instants import parse_instant
from service.kept_search import Search, SearchParameterError


class SearchParameter(NamedTuple):
    """One parameter of the search."""

    name: str
    type: str | None
    """Of R4's SearchParamType; None for one that shapes the result."""
    documentation: str
    example: str


SEARCH_PARAMETERS: Final = (
    SearchParameter(
        "patient",
        "reference",
        "The patient: `Patient/id`, or the id alone; without identity, the pseudonym.",
        "Patient/example-patient",
    ),
    SearchParameter(
        "encounter",
        "reference",
        "The stay: `Encounter/id`, or the id alone; without identity, the pseudonym.",
        "Encounter/example-stay",
    ),
    SearchParameter(
        "date",
        "date",
        "When the assessment was made, with the prefixes eq, ge, gt, le and lt; twice for a range. "
        "Without a zone, UTC. Without identity, years alone.",
        "ge2026-03-01",
    ),
    SearchParameter(
        "_id", "token", "The id of the assessment.", "4f1c2d7ab0e95c3388d6a1f07e52b94c"
    ),
    SearchParameter("_sort", None, "`-date` alone, which is also the order without it.", "-date"),
    SearchParameter("_count", None, "At most so many on a page, 100 at most; 0 only counts.", "20"),
    SearchParameter(
        "_summary", None, "`true`, `false`, `data` (there is no narrative) or `count`.", "true"
    ),
    SearchParameter("_page", None, "Where a page begins: as the `next` link says it.", "0" * 32),
)
"""Every parameter, beside ``_format``, which every path below ``/fhir`` takes."""

NAMES: Final = frozenset(parameter.name for parameter in SEARCH_PARAMETERS) | {"_format"}

MOST: Final = 100
"""How many assessments one page may hold. Who asks for more gets so many, as R4 allows."""

_SUMMARIES: Final = frozenset({"true", "false", "data", "count"})
_ID: Final = re.compile(r"[0-9a-f]{32}")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_COUNT: Final = re.compile(r"[0-9]{1,9}")
_MOMENT: Final = re.compile(
    r"(?P<prefix>eq|ge|gt|le|lt)?(?P<moment>[0-9]{4}(-[0-9]{2}(-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?)?)?)"
)
_WITH_SECONDS: Final = re.compile(r".*T[0-9]{2}:[0-9]{2}:.*?")
_STRICT: Final = re.compile(r"(^|[,;\s])handling\s*=\s*\"?strict\"?\s*($|[,;\s])")


class Asked(NamedTuple):
    """A search as it was understood."""

    search: Search
    summary: str
    used: tuple[tuple[str, str], ...]
    """The parameters that were used, as they were sent."""
    passed_over: bool
    """Whether there was one that is not known."""


def parse_search(pairs: Sequence[tuple[str, str]], prefer: Sequence[str] = ()) -> Asked:
    """Read the parameters of a search.

    Args:
        pairs: the parameters in their order, decoded.
        prefer: the values of the ``Prefer`` header (RFC 7240).

    Raises:
        SearchParameterError: if one has a form or a value that is not supported, or if one is not
            known and the caller wants that refused.
    """
    unknown = [name for name, _ in pairs if name not in NAMES]
    if any(re.split(r"[:.]", name)[0] in NAMES for name in unknown):
        raise SearchParameterError("modifiers and chains are not supported")
    if unknown and any(_STRICT.search(value) for value in prefer):
        raise SearchParameterError("a parameter is not known; GET /fhir/metadata tells which are")
    used = tuple((name, value) for name, value in pairs if name in NAMES - {"_format"})
    single = [name for name, _ in used if name != "date"]
    if len(single) > len(set(single)):
        raise SearchParameterError("a parameter other than date is given twice")
    by_name: dict[str, Any] = dict(used)
    made_from, made_before, by_years = _dates([value for name, value in used if name == "date"])
    summary = _one_of(by_name, "_summary", _SUMMARIES, "false")
    _one_of(by_name, "_sort", frozenset({"-date"}), "-date")
    limit = min(int(_matching(by_name, "_count", _COUNT) or 20), MOST)
    return Asked(
        Search(
            patient=_reference(by_name, "patient", "Patient/"),
            encounter=_reference(by_name, "encounter", "Encounter/"),
            id=_matching(by_name, "_id", _ID, or_none="0" * 32),
            made_from=made_from,
            made_before=made_before,
            by_years=by_years,
            limit=0 if summary == "count" else limit,
            after=_matching(by_name, "_page", _ID),
        ),
        summary,
        used,
        bool(unknown),
    )


def _one_of(by_name: dict[str, str], name: str, allowed: frozenset[str], default: str) -> str:
    value = by_name.get(name, default)
    if value not in allowed:
        raise SearchParameterError(f"{name}: not one of {', '.join(sorted(allowed))}")
    return value


def _matching(
    by_name: dict[str, str], name: str, form: re.Pattern[str], or_none: str | None = None
) -> str | None:
    """A value of a form; what could be the id of another server's resource is simply not there."""
    value = by_name.get(name)
    if value is None or form.fullmatch(value):
        return value
    if or_none is not None and _NAME.fullmatch(value):
        return or_none
    raise SearchParameterError(f"{name}: not a value of its form")


def _reference(by_name: dict[str, str], name: str, kind: str) -> str | None:
    value = by_name.get(name)
    if value is None:
        return None
    found = value.removeprefix(kind)
    if not _NAME.fullmatch(found):
        raise SearchParameterError(f"{name}: not one reference of the form {kind}id")
    return found


def _dates(values: Sequence[str]) -> tuple[int | None, int | None, bool]:
    """The moments that all dates allow: from, before, and whether none is finer than a year."""
    begins: list[int] = []
    ends: list[int] = []
    for value in values:
        found = _MOMENT.fullmatch(value)
        instant = None if found is None else parse_instant(found["moment"], "UTC")
        if found is None or instant is None:
            raise SearchParameterError("date: not a date with one of the prefixes eq ge gt le lt")
        first, past = instant.at, _past(found["moment"], instant.at, instant.last)
        prefix = found["prefix"] or "eq"
        if prefix in ("eq", "ge", "gt"):
            begins.append(past if prefix == "gt" else first)
        if prefix in ("eq", "le", "lt"):
            ends.append(first if prefix == "lt" else past)
    by_years = all(len(value.lstrip("eqglt")) == len("2026") for value in values)
    return max(begins, default=None), min(ends, default=None), by_years


def _past(moment: str, at: int, latest: int) -> int:
    """The first moment after a date; a time of day stands for its whole second or minute."""
    if "T" not in moment:
        return latest + 1
    return at + (SECOND if _WITH_SECONDS.fullmatch(moment) else 60 * SECOND)
