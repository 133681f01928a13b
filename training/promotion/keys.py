"""The key that decisions are signed with: Ed25519 (RFC 8032), kept as PKCS #8 in PEM.

A hospital keeps the private key where the people who train have no access, and names it with
``READMIT_SIGNING_KEY``. Where none is named, one is made in ``keys/`` below MLflow's home: a
convenience for one machine, which proves that the record was not damaged or edited by mistake, and
nothing against somebody who may read that folder.
"""

import hashlib
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fhir_mappings.errors import PromotionError
from training.promotion.files import write_whole

VARIABLE = "READMIT_SIGNING_KEY"
PUBLIC_KEY = "promotions.pub.pem"
"""Beside the record: the key that its signatures are checked with."""
_OWN_KEY = Path("keys") / "promotions.pem"


def make_key(path: Path) -> str:
    """Make a private key that its owner alone may read, and return its fingerprint.

    Raises:
        PromotionError: if the file exists: a key is never overwritten.
    """
    if path.exists():
        raise PromotionError(f"{path} is there already; a key is never overwritten")
    key = Ed25519PrivateKey.generate()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    content = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_whole(path, content, mode=0o600)
    return fingerprint(key.public_key())


def signing_key(mlruns: Path, path: Path | None = None) -> Ed25519PrivateKey:
    """The key at ``path``, else the one that the environment names, else this machine's own.

    Raises:
        PromotionError: if it is absent, readable by others than its owner, or no Ed25519 key.
    """
    named = path or (Path(value) if (value := os.environ.get(VARIABLE)) else None)
    if named is None:
        named = mlruns / _OWN_KEY
        if not named.exists():
            make_key(named)
    try:
        content = named.read_bytes()
    except OSError:
        raise PromotionError(f"{named}: the signing key cannot be read") from None
    if named.stat().st_mode & 0o077:
        raise PromotionError(f"{named}: others than its owner may read the signing key")
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PromotionError(f"{named} is not a private key in PEM without password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PromotionError(f"{named} is not an Ed25519 key")
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """A public key in PEM.

    Raises:
        PromotionError: if it is absent or no Ed25519 key.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError:
        raise PromotionError(f"{path.name}: the public key of the record is absent") from None
    except (ValueError, UnsupportedAlgorithm):
        raise PromotionError(f"{path.name} is not a public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise PromotionError(f"{path.name} is not an Ed25519 key")
    return key


def write_public_key(path: Path, key: Ed25519PublicKey) -> None:
    """Write a public key in PEM."""
    content = key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    write_whole(path, content)


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw public key, hexadecimal."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()
