"""The command ``readmit``: its commands by name, and how it ends.

The commands themselves are in ``service.commands``; together with them this is the only place that
sees the whole house, and it looks only when asked.
"""

import sys

import typer

from fhir_mappings.errors import ReadmitError
from service.commands import (
    assistants,
    audit,
    clinic,
    database,
    events,
    export,
    feedback,
    keys,
    models,
    monitoring,
    month,
    planning,
    purge,
    records,
    reports,
    study,
)

app = typer.Typer(
    name="readmit",
    help="From FHIR R4 records to an explained risk of unplanned readmission within 30 days.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for command in (
    records.simulate,
    records.ingest,
    records.coverage,
    export.export,
    study.cohort,
    study.train,
    reports.report,
    reports.card,
    models.models,
    models.promote,
    models.rollback,
    models.keygen,
    clinic.score,
    models.replay,
    monitoring.monitor,
    monitoring.transparency,
    planning.forecast,
    clinic.serve,
    assistants.mcp,
    feedback.feedback,
    month.month,
    purge.purge,
    clinic.demo,
):
    app.command()(command)

for group in (audit.group, database.group, events.group, keys.group):
    app.add_typer(group)


def main() -> None:
    """Run the command; an error of ours or the system's is one line on standard error."""
    try:
        app(standalone_mode=True)
    except ReadmitError as error:
        sys.stderr.write(f"readmit: {error}\n")
        raise SystemExit(error.exit_code) from None
    except OSError as error:
        # A folder that may not be written, a full disk: the system says which and why.
        named = "" if error.filename is None else f"{error.filename}: "
        sys.stderr.write(f"readmit: {named}{error.strerror or error}\n")
        raise SystemExit(ReadmitError.exit_code) from None
