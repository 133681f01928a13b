"""Drugs that are named by reference, and the codes that they stand for.

The one rule is here because two doors use it: a Bundle in memory and the store.
"""

from collections.abc import Mapping

REFERENCE = "Medication/"
"""What the code of an event begins with while its drug is known by reference only."""


def drug_codes(code: str, medications: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The codes that ``Medication/<id>`` stands for; itself where it is unknown or has none.

    A mixture names its ingredients by reference once more, so a second step is taken; there is no
    third, since an ingredient that is a mixture of mixtures does not occur.
    """
    found: list[str] = []
    for first in medications.get(code) or (code,):
        found += medications.get(first) or (first,)
    return tuple(dict.fromkeys(found))
