"""Commands about the service's own database."""

from contextlib import closing

import typer

from service.commands.options import JsonOption, print_json

group = typer.Typer(
    name="database", help="The service's own database: its version.", no_args_is_help=True
)


@group.command()
def upgrade(as_json: JsonOption = False) -> None:
    """Make the tables, or change them to the version that this code needs."""
    from service.database.engine import Database
    from service.database.migrate import upgrade as run
    from service.database.migrate import version
    from service.settings import load_settings

    with closing(Database(load_settings().database)) as database:
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


def _say(answer: dict[str, str | None], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [(name, value or "none") for name, value in answer.items()]
    show(results, table("Database", ("", ""), rows))
