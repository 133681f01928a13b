"""A score in the words of a card: a line for a glance, and a page in Markdown for who asks."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from fhir_mappings.clinical_scores import ClinicalScore
from service.cards.card import SUMMARY_CHARACTERS
from service.score import Reason, Scored
from service.wording import number

_DATED: Final = re.compile(r",? (?:last recorded|on) (?:\d{4}-\d{2}-\d{2}|an unknown date)$")
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")
_COUNTS: Final = {2: "twice", 3: "three times", 4: "four times"}


def percent(probability: float) -> str:
    """A risk as people say it: whole per cent, but never 0 % and never 100 %."""
    whole = round(probability * 100)
    if whole < 1:
        return "under 1 %"
    if whole > 99:
        return "over 99 %"
    return f"{whole} %"


def summary(score: Scored, average: str = "the average") -> str:
    """The line that is read in passing: the risk, the comparison, and what raises it most.

    Args:
        score: the score.
        average: what the site calls the stays that the risk is compared with (``the ward
            average``).

    Returns: fewer than 140 characters. A reason that does not fit is left out whole: half a finding
    misleads.
    """
    line = f"Readmission risk {percent(score.probability)}{_compared(score, average)}"
    mark = ": "
    for reason in score.reasons:
        if reason.direction != "raises":
            continue
        longer = f"{line}{mark}{_short(reason)}"
        if len(longer) > SUMMARY_CHARACTERS:
            break
        line, mark = longer, ", "
    return line[:SUMMARY_CHARACTERS]


def _compared(score: Scored, average: str) -> str:
    ratio = None if score.comparison is None else score.comparison.ratio
    if ratio is None:
        return ""
    if 0.9 <= ratio <= 1.1:
        return f", about {average}"
    if ratio < 0.9:
        return f", below {average}"
    rounded = round(ratio)
    if rounded in _COUNTS and abs(ratio - rounded) <= 0.1:
        return f", {_COUNTS[rounded]} {average}"
    return f", {number(ratio)} times {average}"


def _short(reason: Reason) -> str:
    """A reason without its date: the detail has it."""
    return _DATED.sub("", reason.phrase)


def detail(score: Scored) -> str:
    """The card's page in GitHub-flavoured Markdown: reasons by what can be done, scores, gaps."""
    changeable = [reason for reason in score.reasons if reason.changeable]
    given = [reason for reason in score.reasons if not reason.changeable]
    return "\n".join(
        [
            f"**{percent(score.probability)}** risk of an unplanned readmission within "
            f"{score.horizon_days} days of discharge; band **{_escaped(score.band)}**."
            + ("" if score.comparison is None else f" {_sentence(score.comparison.phrase)}"),
            *_reasons("What a care team can change", changeable),
            *_reasons("What it has to reckon with", given),
            "",
            f"**{_escaped(score.lace.name)} {_points(score.lace)}**, "
            f"**{_escaped(score.hospital.name)} {_points(score.hospital)}**",
            *_gaps(score),
            "",
            "A reason says what the model went by, not what would change if it were treated. "
            f"Model {_escaped(score.model.name)}, version {_escaped(score.model.version)}; as of "
            f"{score.as_of}.",
        ]
    )


def _reasons(heading: str, reasons: Sequence[Reason]) -> list[str]:
    if not reasons:
        return []
    return ["", f"**{heading}**", "", *(_reason(reason) for reason in reasons)]


def _reason(reason: Reason) -> str:
    shown = f"- {_escaped(reason.phrase)}: {reason.direction} the risk"
    if reason.date is not None and reason.date not in reason.phrase:
        shown += f", {reason.date}"
    if reason.evidence:
        more = reason.evidence_count - 1
        others = f" and {more} more" if more > 0 else ""
        shown += f" ({_escaped(reason.evidence[0])}{others})"
    return shown


def _points(score: ClinicalScore) -> str:
    return f"{score.points} ({_escaped(score.band)})"


def _gaps(score: Scored) -> list[str]:
    missing = [_escaped(one.phrase) for one in score.missing_inputs]
    stale = [f"{_escaped(one.phrase)} ({one.days} days old)" for one in score.stale_inputs]
    left_out = [_escaped(one.consequence) for one in score.not_sent]
    if score.unread:
        left_out.append(f"{len(score.unread)} parts of the record could not be read.")
    lines = [*_listed("Not on record", missing), *_listed("Old", stale)]
    return [*lines, *_listed("Not sent", left_out)]


def _listed(heading: str, items: Iterable[str]) -> list[str]:
    joined = "; ".join(items)
    return ["", f"**{heading}:** {joined}"] if joined else []


def _sentence(words: str) -> str:
    escaped = _escaped(words)
    return f"{escaped[:1].upper()}{escaped[1:]}."


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is: nothing in a record becomes a link or a script."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))
