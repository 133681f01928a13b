"""Commands about the service's own database."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import JsonOption, plain, print_json

group = typer.Typer(
    name="database",
    help="The service's own database: its version, backup and restore.",
    no_args_is_help=True,
)


@group.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Make the tables, or change them to the version that this code needs."""
    from service.database.migrate import upgrade as run
    from service.database.migrate import version
    from service.keeping import open_database
    from service.settings import load_settings

    with closing(open_database(load_settings())) as database:
        before = version(database) if database.file is None or database.file.exists() else None
        run(database)
        _say({"from": before, "version": version(database)}, as_json=as_json)


@group.command()
def status(as_json: JsonOption = False) -> None:
    """Show at which version the database is, and which one this code needs.

    Fails (exit code 8) where they differ.
    """
    from service.database.migrate import check, newest, version
    from service.keeping import existing_database
    from service.settings import load_settings

    with closing(existing_database(load_settings())) as database:
        kind = database.url.get_backend_name()
        _say({"database": kind, "version": version(database), "needed": newest()}, as_json=as_json)
        check(database)


@group.command()
def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist.")],
    as_json: JsonOption = False,
) -> None:
    """Copy the database as of one moment, while the service goes on. Keep the keys elsewhere."""
    from service.keeping import open_existing
    from service.restore import save
    from service.settings import load_settings

    keeping = open_existing(load_settings())
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


@group.command()
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


def _say(answer: dict[str, str | None], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [(name, value or "none") for name, value in answer.items()]
    show(results, table("Database", ("", ""), rows))
