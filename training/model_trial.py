"""A risk model's trial, in a process of its own: what would crash or hang ends here and not there.

    python -m training.model_trial --folder FOLDER
    python -m training.model_trial --champion MLRUNS [--public-key FILE]

The model's files are checked against its manifest, loaded, and one stay is explained. Of the model
in use the signed record of promotions is verified first: it, and not the note beside the registry,
says which model that is. One line of JSON on standard output says what was found.

The service starts this (``service.model_trial``), and imports none of it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from fhir_mappings.errors import PromotionError, ReadmitError

if TYPE_CHECKING:
    from training.promotion.record import Entry
    from training.risk_model import Champion, RiskModel


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial found: a model to be loaded just so, or why it must not be."""

    folder: str = ""
    version: str = ""
    run_id: str | None = None
    manifest_sha256: str = ""
    refusal: str = ""


def try_folder(folder: Path) -> Found:
    """Try a risk model that a folder holds.

    Raises:
        RiskModelError: if it is not what its manifest describes.
    """
    from training.risk_model import load_risk_model

    return _found(load_risk_model(folder), folder)


def try_champion(mlruns: Path, public_key: Path | None = None) -> Found:
    """Try the model in use.

    Raises:
        PromotionError: if the record does not verify, or names another model than the registry.
        RiskModelError: if there is none, or it is not what its manifest describes.
    """
    from training.promotion.record import in_use, verify
    from training.risk_model import champion, read_champion

    note = read_champion(mlruns)
    decided = in_use(verify(mlruns, public_key).entries)
    if note is not None and (decided is None or _differs(note, decided)):
        raise PromotionError(
            "the model in use is not the one that the signed record of promotions names; "
            "`readmit models` finishes a promotion that was interrupted"
        )
    # Without a note it says itself what to do.
    model = champion(mlruns)
    assert note is not None  # noqa: S101  champion has raised
    return _found(model, mlruns / note.folder)


def _differs(note: "Champion", decided: "Entry") -> bool:
    return (note.version, note.manifest_sha256) != (decided.version, decided.manifest_sha256)


def _found(model: "RiskModel", folder: Path) -> Found:
    # Loading has explained a stay without any value already; one with a value takes other branches.
    model.explain([0.0] * len(model.features))
    return Found(
        folder=str(folder),
        version=model.version,
        run_id=model.run_id,
        manifest_sha256=model.fingerprint,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Try what the arguments name and print what was found."""
    parser = argparse.ArgumentParser(prog="training.model_trial")
    named = parser.add_mutually_exclusive_group(required=True)
    named.add_argument("--folder", type=Path)
    named.add_argument("--champion", type=Path)
    parser.add_argument("--public-key", type=Path)
    asked = parser.parse_args(arguments)
    try:
        if asked.folder is not None:
            found = try_folder(asked.folder)
        else:
            found = try_champion(asked.champion, asked.public_key)
    except ReadmitError as error:
        found = Found(refusal=str(error))
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")


if __name__ == "__main__":
    main()
