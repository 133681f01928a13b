"""Keyed names instead of ids, and a keyed number of weeks for each patient's dates."""

import hashlib
import hmac
from functools import lru_cache
from typing import Final

LENGTH: Final = 32
"""Letters of a pseudonym, four bits each: 128 bits, so that no two ids ever share one."""

MOST_WEEKS: Final = 52
"""Dates move by 1 to 52 weeks, back or forth. By whole weeks, because a discharge on a Saturday
should remain one: 104 possible moves for each patient, which is one reason more why shifted dates
are not Safe Harbor."""

_AS_LETTERS: Final = bytes.maketrans(b"0123456789", b"ghijklmnop")
"""Digits become letters: no pseudonym looks like a date, a telephone or a record number."""


class Pseudonyms:
    """The names of one export.

    Args:
        key: the operator's key for exports.
        salt: with a fresh random one, which nobody keeps, no two exports can be joined and nobody,
            the operator included, can name a patient's pseudonym again. Empty for names that stay
            (45 CFR 164.514(c): the key is the means of re-identification, and is not disclosed).

    Raises:
        ValueError: if the key is shorter than 32 bytes.
    """

    def __init__(self, key: bytes, salt: bytes) -> None:
        if len(key) < 32:
            raise ValueError("a key for exports has 32 bytes at least")
        self._key = hmac.new(key, b"export\0" + salt, hashlib.sha256).digest()
        self.of = lru_cache(maxsize=100_000)(self._of)
        """The name for ``(resource type, id)``; equal ids of two types get different names."""
        self.weeks = lru_cache(maxsize=100_000)(self._weeks)
        """By how many weeks the dates of a patient move; never 0."""

    def _of(self, resource_type: str, identifier: str) -> str:
        digest = self._digest(f"id\0{resource_type}\0{identifier}")
        return digest.hex()[:LENGTH].encode().translate(_AS_LETTERS).decode()

    def _weeks(self, patient: str) -> int:
        number = int.from_bytes(self._digest(f"weeks\0{patient}")[:8]) % (2 * MOST_WEEKS)
        return number - MOST_WEEKS if number < MOST_WEEKS else number - MOST_WEEKS + 1

    def _digest(self, text: str) -> bytes:
        # JSON may hold half of a surrogate pair, which is no text to UTF-8.
        return hmac.new(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
