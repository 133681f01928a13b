"""Options and habits that the commands share.

Every import of ours inside a command is there because ``readmit --help`` must not wait for MLflow.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_mappings.errors import SiteProfileError

if TYPE_CHECKING:
    from fhir_mappings.consent import OptOuts
    from fhir_mappings.profiles import SiteProfile
    from fhir_mappings.store import Store

StoreOption = Annotated[
    Path, typer.Option("--store", envvar="READMIT_STORE", help="Folder of the event store.")
]
MlrunsOption = Annotated[
    Path, typer.Option("--mlruns", envvar="READMIT_MLRUNS", help="MLflow's home.")
]
ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        envvar="READMIT_PROFILE",
        help="Site profile: default, mimic, synthea, clinosim, simulated, or a .toml file. "
        "Where a store exists, the one that it was written with.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, nothing else.")
]
StudyOption = Annotated[
    Path | None,
    typer.Option(
        "--study", envvar="READMIT_STUDY", help="Study file (TOML); the defaults without one."
    ),
]
OptOutOption = Annotated[
    Path | None,
    typer.Option(
        "--opt-out",
        envvar="READMIT_OPT_OUT",
        help="File of the patients who opted out, one id a line: neither scored nor learned from.",
    ),
]
DEFAULT_STORE = Path("store")
DEFAULT_MLRUNS = Path("mlruns")


def profile_for(store: Path, name: str | None) -> "SiteProfile":
    """The profile asked for, else the one that the store was written with, else the default."""
    from fhir_mappings.profiles import SHIPPED, load_profile

    recorded = _recorded_profile(store)
    if name is None:
        if recorded is not None and recorded not in SHIPPED:
            raise SiteProfileError(
                f"{store} was written with the site profile '{recorded}'; "
                "name its file with --profile"
            )
        return load_profile(recorded or "default")
    chosen = load_profile(name)
    if recorded is not None and recorded != chosen.name:
        raise SiteProfileError(
            f"{store} was written with the site profile '{recorded}', not '{chosen.name}'; "
            "use another --store"
        )
    return chosen


def _recorded_profile(store: Path) -> str | None:
    from fhir_mappings.store import open_store

    if not (store / "current").exists():
        return None
    opened: Store
    with open_store(store) as opened:
        recorded = opened.information.details.get("profile")
    return None if recorded is None else str(recorded)


def opt_outs_of(path: Path | None, profile: "SiteProfile") -> "OptOuts":
    """Who has opted out, for records of this site that are used now.

    Raises:
        OptOutError: if a list is named and cannot be read.
    """
    from fhir_mappings.consent import used_now
    from fhir_mappings.opt_out import OptOutList

    return used_now(profile, OptOutList(path).patients())


def plain(value: Any) -> Any:
    """Structs, dataclasses and paths as what JSON has; not-a-number is null, as JSON wants it."""
    import msgspec

    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))


def print_json(answer: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output, for scripts."""
    sys.stdout.write(json.dumps(answer, ensure_ascii=False, allow_nan=False) + "\n")
