"""Commands about the keys that identifiers are sealed with."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import JsonOption, plain, print_json

group = typer.Typer(
    name="keys", help="The keys that identifiers are sealed with.", no_args_is_help=True
)


@group.command()
def new(
    file: Annotated[Path, typer.Argument(help="Where they go; its owner alone may read it.")],
) -> None:
    """Make the keys of a new installation. Keep a copy apart: without them nothing is read."""
    from service.protection.keys import new_keys, write_keys

    write_keys(file, new_keys())


@group.command()
def rotate(as_json: JsonOption = False) -> None:
    """Seal everything with a new key, and take the old one out of READMIT_KEY_FILE.

    The service may run meanwhile if it reads the same file. Run it again after a kill or a failure:
    it goes on.
    """
    from service.keeping import key_file, open_existing
    from service.key_rotation import UNDER_WAY_SECONDS
    from service.key_rotation import rotate as run
    from service.settings import load_settings
    from service.terminal import errors

    settings = load_settings()
    keeping = open_existing(settings)
    try:
        file = key_file(settings, keeping.database)
        errors.print(f"Sealing anew; requests under way are waited for, {UNDER_WAY_SECONDS} s.")
        rotated = run(file, keeping.database, keeping.audit.anchor)
    finally:
        keeping.close()
    if as_json:
        print_json(plain(rotated))
        return
    from service.tables import show
    from service.terminal import results

    show(results, f"{rotated.count:,} values are sealed with the key {rotated.key} alone.")
    if rotated.aside is not None:
        show(
            results,
            f"{rotated.aside}: the keys as they were. Backups from before are read with them; "
            "delete the file with the last of those.",
        )
