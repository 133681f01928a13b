"""The risk in a sentence that a patient could read.

People understand how many of so many better than a chance in per cent, and best when the same
number of people stays in view (Gigerenzer 2007, doi:10.1111/j.1539-6053.2008.00033.x).
"""

from math import floor
from typing import Final

_RARE: Final = 0.095
"""Below, of ten people less than one would come back: it is said of a hundred."""


def how_many(probability: float) -> tuple[str, str, str]:
    """A risk as people: how many of how many, and how many not.

    Returns: the number that come back, the number of all, and the number that do not.
    """
    of = 100 if probability < _RARE else 10
    count = floor(probability * of + 0.5)
    if count < 1:
        return "fewer than 1", str(of), "nearly all"
    if count >= of:
        return "nearly all", str(of), "fewer than 1"
    return f"about {count}", str(of), f"about {of - count}"


def plain_sentences(probability: float, days: int) -> tuple[str, ...]:
    """What a patient could be told, in short words.

    Args:
        probability: the risk, a fraction.
        days: after going home, that it covers.
    """
    back, of, rest = how_many(probability)
    return (
        f"Think of {of} people with a record like yours.",
        f"In the {days} days after they go home, {back} of them will need to come back to the "
        "hospital when they did not plan to.",
        f"The others, {rest} of the {of}, will not.",
        "No one can tell which of them you will be.",
        "This is a guess from your health record, and it does not know all about you.",
        "Ask your care team what would help you to stay well at home.",
    )
