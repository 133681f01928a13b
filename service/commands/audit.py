"""Commands about the audit: is it what was written, and what does it say."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.commands.options import JsonOption, plain, print_json

group = typer.Typer(
    name="audit", help="The audit: is it whole, and what does it say.", no_args_is_help=True
)


class Why(StrEnum):
    """Why the audit is anchored anew."""

    MOVED = "moved"
    LOST = "lost"
    RESTORED = "restored"


@group.command()
def verify(as_json: JsonOption = False) -> None:
    """Look for an edit, a deletion, a reordering or a cut. Fails (exit code 9) if there is one."""
    from service.audit.anchor import AuditError
    from service.audit.verify import verify as run
    from service.keeping import open_existing
    from service.settings import load_settings
    from service.terminal import progress

    with (
        closing(open_existing(load_settings())) as keeping,
        progress(quiet=as_json) as report,
    ):
        seen = run(
            keeping.database,
            keeping.keys,
            keeping.audit.anchor,
            lambda done, whole: report("verify (entries)", done, whole),
        )
    if as_json:
        print_json(
            {"whole": seen.finding is None, **plain(seen), "after_anchor": seen.after_anchor}
        )
    if seen.finding is not None:
        raise AuditError(seen.finding.message)
    if not as_json:
        from service.terminal import results

        anchored = "nothing was recorded yet" if seen.anchored is None else seen.anchored
        results.print(
            f"{seen.entries:,} entries, each as it was written.\n"
            f"Anchored: {anchored}; committed after it: {seen.after_anchor}.\n"
            f"Last hash: {seen.last_hash}",
            soft_wrap=True,
        )


@group.command()
def export(
    out: Annotated[Path, typer.Option("--out", help="NDJSON file. It names patients.")],
    since: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC."),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="Last day, UTC, whole."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the audit as FHIR R4 AuditEvents (IHE BALP). The export is entered in the audit."""
    from fhir_mappings.records.instants import from_datetime
    from service.audit.fhir_export import export as run
    from service.keeping import open_existing
    from service.settings import load_settings
    from service.terminal import progress

    with (
        closing(open_existing(load_settings())) as keeping,
        progress(quiet=as_json) as report,
    ):
        count = run(
            keeping.audit,
            out,
            since=None if since is None else from_datetime(since.replace(tzinfo=UTC)),
            until=None
            if until is None
            else from_datetime(until.replace(tzinfo=UTC) + timedelta(days=1)),
            report=lambda done, whole: report("export (entries)", done, whole),
        )
    if as_json:
        print_json({"out": str(out), "count": count})
        return
    from service.terminal import results

    results.print(f"{count:,} AuditEvents in {out}", soft_wrap=True)


@group.command()
def anchor(
    why: Annotated[Why, typer.Option("--why", help="What happened to the anchor.")],
    as_json: JsonOption = False,
) -> None:
    """Anchor the audit anew, where it ends now; the entry of it stays.

    Look with [bold]verify[/] first: what was cut before is not found afterwards.
    """
    from service.audit.ledger import Entry
    from service.audit.vocabulary import Event
    from service.keeping import open_existing
    from service.settings import load_settings

    entry = Entry(event=Event.AUDIT_ANCHORED, caller=None, details={"why": why.value})
    with closing(open_existing(load_settings())) as keeping:
        number = keeping.audit.anchor_anew(entry)
    if as_json:
        print_json({"number": number})
        return
    from service.terminal import results

    results.print(f"Anchored at entry {number}.")
