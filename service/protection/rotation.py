"""The file of keys while they are rotated: a new key beside the old ones, then the new one alone.

What goes on in the database between the two is in ``service.key_rotation``.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.protection.keys import KEY_BYTES, Keys, KeysError, read_keys, write_keys


@contextmanager
def rotating(file: Path) -> Iterator[None]:
    """Be the only one who rotates the keys of ``file``; the kernel frees the place at a kill.

    Raises:
        KeysError: if somebody is at it already, or there is no such folder.
    """
    try:
        folder = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise KeysError(f"{file}: {error.strerror or 'cannot be read'}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise KeysError(f"{file}: these keys are being rotated already") from None
    finally:
        os.close(folder)


def with_new_key(file: Path) -> Keys:
    """Add a new sealing key and make it the current one; a rotation that was begun is taken up.

    The old keys stay in the file, so that what they sealed is read meanwhile.

    Raises:
        KeysError: if the file cannot be read or written.
    """
    keys = read_keys(file)
    sealing, _ = keys.present()
    if len(sealing) > 1:
        return keys
    name = _next_name(sealing)
    grown = Keys(
        index=keys.index,
        anchor=keys.anchor,
        sealing={**sealing, name: secrets.token_bytes(KEY_BYTES)},
        current=name,
    )
    write_keys(file, grown, replace=True)
    return read_keys(file)


def without_old_keys(file: Path) -> Path | None:
    """Leave the current key alone in the file, and put the file as it was aside.

    A backup of the database from before the rotation is sealed with the old key: with the file put
    aside it can still be read.

    Returns: the file put aside; None where there was no old key.

    Raises:
        KeysError: if a file cannot be read or written.
    """
    keys = read_keys(file)
    sealing, current = keys.present()
    old = sorted(set(sealing) - {current})
    if not old:
        return None
    aside = file.with_name(f"{file.name}.with-{'-'.join(old)}")
    write_keys(aside, keys, replace=True)
    alone = Keys(
        index=keys.index, anchor=keys.anchor, sealing={current: sealing[current]}, current=current
    )
    write_keys(file, alone, replace=True)
    return aside


def _next_name(present: Iterable[str]) -> str:
    """``k2`` after ``k1``: never an id that sealed something before, as long as one is left."""
    numbers = [int(found[1]) for name in present if (found := re.fullmatch(r"k(\d+)", name))]
    return f"k{max(numbers, default=0) + 1}"
