"""Commands about events: what waits, what was given up, and working through it."""

from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import JsonOption, print_json

if TYPE_CHECKING:
    from service.database.leases import Group

group = typer.Typer(
    name="events",
    help="Events that EHRs told of, and what is written back to them.",
    no_args_is_help=True,
)


@group.command()
def status(as_json: JsonOption = False) -> None:
    """Show what waits, what was given up and why, and what is done."""
    from service.keeping import open_existing
    from service.settings import load_settings

    keeping = open_existing(load_settings())
    try:
        from service.database.leases import counted

        with keeping.database.reading() as connection:
            groups = counted(connection)
    finally:
        keeping.close()
    _show(groups, as_json=as_json)


@group.command()
def work(
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until it is stopped, as the service does.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Work through what is due: fetch, score, write back. The service does the same by itself.

    Any number of these may run beside services on the same database.
    """
    import anyio

    from service.database.leases import counted
    from service.events.worker import Worker
    from service.serving import Serving
    from service.settings import load_settings

    async def run() -> "list[Group]":
        here = Serving(load_settings(), None)
        try:
            worker = Worker(here)
            await (worker.run(anyio.Event()) if follow else worker.until_nothing_is_due())
            with here.keeping.database.reading() as connection:
                return counted(connection)
        finally:
            here.keeping.close()

    _show(anyio.run(run), as_json=as_json)


@group.command()
def retry(as_json: JsonOption = False) -> None:
    """Have all that was given up tried again."""
    from service.events.retrying import retry as run
    from service.keeping import open_existing
    from service.settings import load_settings

    keeping = open_existing(load_settings())
    try:
        anew = run(keeping)
    finally:
        keeping.close()
    if as_json:
        print_json(anew)
        return
    from service.tables import show
    from service.terminal import results

    show(results, f"Tried again: {anew['events']} events, {anew['resources']} resources.")


def _show(groups: "list[Group]", *, as_json: bool) -> None:
    if as_json:
        print_json({"groups": [one._asdict() for one in groups]})
        return
    from service.tables import show, table
    from service.terminal import results

    rows = [(one.table, one.server, one.state, one.problem or "", one.rows) for one in groups]
    show(results, table("Events", ("of", "server", "state", "problem", "count"), rows))
