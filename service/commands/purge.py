"""Deleting what was kept long enough."""

from typing import Annotated

import typer

from service.commands.options import JsonOption, plain, print_json


def purge(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be deleted, and delete nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete scores, sessions and the like that were kept as long as the settings say.

    The audit says what was deleted, and is never deleted from itself.
    """
    from datetime import UTC, datetime

    from service.keeping import open_existing
    from service.retention import Policy
    from service.retention import purge as run
    from service.settings import load_settings

    settings = load_settings()
    policy = Policy(
        settings.keep_scores_days, settings.keep_broken_glass_days, settings.keep_follow_ups_days
    )
    keeping = open_existing(settings)
    try:
        purged = run(keeping.audit, settings.store, policy, now=datetime.now(UTC), dry_run=dry_run)
    finally:
        keeping.close()
    if as_json:
        print_json({"dry_run": dry_run, "purged": plain(purged)})
        return
    from service.tables import show, table
    from service.terminal import results

    title = "Would be deleted" if dry_run else "Deleted"
    rows = [(one.what, one.before, one.count) for one in purged]
    show(results, table(title, ("what", "before (UTC)", "count"), rows))
