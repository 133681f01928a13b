"""Commands about the service's own database."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import JsonOption, plain, print_json

database = typer.Typer(name="database", help="The service's own database.")


@database.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist.")],
    as_json: JsonOption = False,
) -> None:
    """Copy the database as of one moment, while the service goes on. Keep the keys elsewhere."""
    from service.keeping import open_keeping
    from service.restore import save
    from service.settings import load_settings

    keeping = open_keeping(load_settings())
    try:
        saved = save(keeping.audit, file)
    finally:
        keeping.close()
    if as_json:
        print_json(plain(saved))
        return
    from service.tables import show
    from service.terminal import results

    show(results, f"{saved.file}: {saved.bytes:,} bytes")


@database.command()
def restore(
    file: Annotated[Path, typer.Argument(help="What readmit database backup wrote.")],
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss-after-anchor",
            help="Restore although the audit's anchor vouches for entries that the backup lacks.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the database's place, once its audit, keys and version have been checked.

    Stop the service first. What was there is put aside.
    """
    from service.keeping import anchor_of, keys_of, open_database
    from service.restore import restore as run
    from service.settings import load_settings

    settings = load_settings()
    opened = open_database(settings)
    try:
        keys, anchor = keys_of(settings, opened), anchor_of(settings, opened)
        restored = run(opened, keys, anchor, file, accept_loss=accept_loss)
    finally:
        opened.close()
    if as_json:
        print_json(plain(restored))
        return
    from service.tables import show
    from service.terminal import results

    lost = "the audit is another one" if restored.lost is None else f"{restored.lost:,} were lost"
    show(
        results,
        f"The audit ends with entry {restored.number:,} of the backup; {lost}.",
        *(f"Put aside: {name}" for name in restored.aside),
    )
