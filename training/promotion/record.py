"""The record of promotions: every decision about which model is in use, signed and in a chain.

``promotions.jsonl`` holds an entry a line, ``{"content": {...}, "signature": "..."}``. Each entry
names the SHA-256 of the line before it, so that none can be changed, left out or moved without
breaking every later one. ``promotions.head.json`` names, signed too, how many entries there are and
the last one's SHA-256: a record that was cut short is shorter than its head. The head is written
after the line; of a process killed between the two there is one entry more than the head says.

What this cannot show: somebody who puts back an old record together with the old head of that time,
or who holds the private key. Keep a copy of the head, or of the public key, elsewhere.
"""

import base64
import binascii
import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fhir_mappings.errors import PromotionError
from training.findings import GateResult
from training.promotion.files import append_whole, cut, write_whole
from training.promotion.keys import (
    PUBLIC_KEY,
    fingerprint,
    read_public_key,
    signing_key,
    write_public_key,
)

RECORD = "promotions.jsonl"
HEAD = "promotions.head.json"
BEFORE_THE_FIRST = hashlib.sha256(b"readmit: no promotion yet").hexdigest()
"""What the first entry names as the one before it."""
_ENTRY, _HEAD = b"readmit promotion entry\n", b"readmit promotion head\n"
"""Signed before the content, so that a head can never be passed off as an entry."""

Action = Literal["first", "promote", "refuse", "rollback"]


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, before it is entered."""

    action: Action
    """``first``: the first model ever trained, put into use because nothing could be scored
    without; ``refuse``: a promotion that the gates did not allow."""
    version: str
    run_id: str
    manifest_sha256: str
    """Of the model's manifest, and so of all that the model is."""
    study_sha256: str | None
    """Of the study whose gates were applied; None for a rollback."""
    data_fingerprint: str | None
    """Of the data that the model was trained on."""
    gates: tuple[GateResult, ...]
    provisional: bool
    """In use although not every gate was passed or waived."""
    reasons: tuple[str, ...]
    by: str
    """The person who decided."""


class Entry(Decided, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision as it is entered."""

    number: int
    """From 1."""
    time: str
    """ISO 8601, UTC."""
    key: str
    """Fingerprint of the key that it is signed with."""
    previous: str
    """SHA-256 of the line before it."""


class _Signed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    content: msgspec.Raw
    signature: str


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    sha256: str


@dataclass(frozen=True)
class Verified:
    """The record after every signature and every link was checked."""

    entries: tuple[Entry, ...]
    head: str
    """SHA-256 of the last entry's line."""
    whole: int
    """Length in bytes of the lines that are whole."""
    torn: bytes
    """What a process that was killed while writing left of a line; never trusted."""
    anchored: int
    """How many entries the head vouches for."""


def verify(mlruns: Path, public_key: Path | None = None) -> Verified:
    """Check the whole record and return it; empty where no decision was ever made.

    Args:
        mlruns: the folder of MLflow.
        public_key: what the signatures must be of, where somebody has kept it elsewhere; else the
            key beside the record.

    Raises:
        PromotionError: if an entry was changed, removed, moved or added, or the key is another.
    """
    # The head first: a decision that is entered in between is then one more than it counts.
    head_content = _read(mlruns / HEAD)
    content = _read(mlruns / RECORD)
    if content is None and head_content is None:
        return Verified((), BEFORE_THE_FIRST, 0, b"", 0)
    if head_content is None:
        raise PromotionError(f"{HEAD} is absent: nobody can say whether entries were removed")
    beside = read_public_key(mlruns / PUBLIC_KEY)
    key = beside if public_key is None else read_public_key(public_key)
    if fingerprint(key) != fingerprint(beside):
        raise PromotionError(f"{PUBLIC_KEY} is not the key that this record must be signed with")
    *lines, torn = (content or b"").split(b"\n")
    entries: list[Entry] = []
    links = [BEFORE_THE_FIRST]
    for line in lines:
        entries.append(_checked(line, len(entries) + 1, links[-1], key))
        links.append(hashlib.sha256(line).hexdigest())
    head = _head(head_content, key)
    if len(entries) < head.number:
        raise PromotionError(
            f"{RECORD} was cut short: it has {len(entries)} entries where {HEAD} "
            f"counts {head.number}"
        )
    if len(entries) > head.number + 1 or links[head.number] != head.sha256:
        raise PromotionError(f"{HEAD} is not that of this record")
    whole = sum(len(line) + 1 for line in lines)
    return Verified(tuple(entries), links[-1], whole, torn, head.number)


def append(mlruns: Path, decided: Decided, *, key: Path | None = None) -> Entry:
    """Sign a decision and enter it, for the holder of ``tracking.locked``.

    What a killed process left of a line is put aside in a file of its own first.

    Raises:
        PromotionError: if the record does not verify, or the key is not the record's.
    """
    verified = verify(mlruns)
    private = signing_key(mlruns, key)
    _begin(mlruns, private, fresh=not verified.entries and not (mlruns / HEAD).exists())
    if verified.torn:
        aside = f"{RECORD}.torn-{len(verified.entries) + 1}-{_sha256(verified.torn)[:8]}"
        write_whole(mlruns / aside, verified.torn)
        cut(mlruns / RECORD, verified.whole)
    if verified.anchored < len(verified.entries):
        _write_head(mlruns, _Head(len(verified.entries), verified.head), private)
    entry = Entry(
        **{name: getattr(decided, name) for name in Decided.__struct_fields__},
        number=len(verified.entries) + 1,
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        key=fingerprint(private.public_key()),
        previous=verified.head,
    )
    line = _signed(_canonical(entry), _ENTRY, private)
    append_whole(mlruns / RECORD, line + b"\n")
    _write_head(mlruns, _Head(entry.number, _sha256(line)), private)
    return entry


def in_use(entries: tuple[Entry, ...]) -> Entry | None:
    """The entry by which the present model came into use."""
    return next((entry for entry in reversed(entries) if entry.action != "refuse"), None)


def _begin(mlruns: Path, private: Ed25519PrivateKey, *, fresh: bool) -> None:
    """Lay down public key and head before the first entry; afterwards the key must stay."""
    public = private.public_key()
    if fresh:
        write_public_key(mlruns / PUBLIC_KEY, public)
        _write_head(mlruns, _Head(0, BEFORE_THE_FIRST), private)
    elif fingerprint(read_public_key(mlruns / PUBLIC_KEY)) != fingerprint(public):
        raise PromotionError("the signing key is not the one that this record is signed with")


def _checked(line: bytes, number: int, previous: str, key: Ed25519PublicKey) -> Entry:
    content = _opened(line, _ENTRY, key, f"entry {number} of {RECORD}")
    try:
        entry = msgspec.json.decode(content, type=Entry)
    except msgspec.DecodeError:
        raise PromotionError(f"entry {number} of {RECORD} is not of this form") from None
    if entry.number != number or entry.previous != previous:
        raise PromotionError(
            f"entry {number} of {RECORD} is not the one that follows: entries were removed, moved "
            "or changed"
        )
    return entry


def _head(content: bytes, key: Ed25519PublicKey) -> _Head:
    try:
        return msgspec.json.decode(_opened(content, _HEAD, key, HEAD), type=_Head)
    except msgspec.DecodeError:
        raise PromotionError(f"{HEAD} is not of this form") from None


def _write_head(mlruns: Path, head: _Head, private: Ed25519PrivateKey) -> None:
    write_whole(mlruns / HEAD, _signed(_canonical(head), _HEAD, private))


def _signed(content: bytes, purpose: bytes, private: Ed25519PrivateKey) -> bytes:
    signature = base64.b64encode(private.sign(purpose + content)).decode("ascii")
    return msgspec.json.encode(_Signed(msgspec.Raw(content), signature))


def _opened(line: bytes, purpose: bytes, key: Ed25519PublicKey, what: str) -> bytes:
    """The signed content, once its signature has been checked."""
    try:
        signed = msgspec.json.decode(line, type=_Signed)
        content = bytes(signed.content)
        key.verify(base64.b64decode(signed.signature, validate=True), purpose + content)
    except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error, ValueError):
        raise PromotionError(f"{what} is not of this form") from None
    except InvalidSignature:
        raise PromotionError(f"{what} was changed, or signed with another key") from None
    return content


def _canonical(value: Entry | _Head) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
