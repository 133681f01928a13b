"""The command that lets records out, without identifiers."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.options import JsonOption, plain, print_json

if TYPE_CHECKING:
    from fhir_mappings.deidentification.tally import Summary
    from service.keeping import Keeping
    from service.protection.keys import Keys
    from service.settings import Settings


class Method(StrEnum):
    """How identifiers are removed."""

    SAFE_HARBOR = "safe-harbor"


class DateChoice(StrEnum):
    """What becomes of dates; the words are those of ``deidentification.dates.Dates``."""

    YEAR = "year"
    SHIFTED = "shifted-not-safe-harbor"


def export(
    sources: Annotated[
        list[Path], typer.Argument(help="Files or folders of FHIR R4 NDJSON or Bundles.")
    ],
    deidentify: Annotated[  # noqa: ARG001  one rule so far, and who exports has to name it
        Method, typer.Option(help="The rule to follow: 45 CFR 164.514(b)(2).")
    ],
    out: Annotated[Path, typer.Option(help="A new or empty folder, apart from the records.")],
    dates: Annotated[
        DateChoice,
        typer.Option(
            help="Safe Harbor asks for years. Shifted dates keep intervals within a patient."
        ),
    ] = DateChoice.YEAR,
    profile: Annotated[
        str, typer.Option(envvar="READMIT_PROFILE", help="Site profile, for its local codes.")
    ] = "default",
    keep_pseudonyms: Annotated[
        bool,
        typer.Option(
            "--keep-pseudonyms",
            help="Use the same pseudonyms in every such export, so that they can be joined.",
        ),
    ] = False,
    zipped: Annotated[bool, typer.Option("--gzip", help="Write gzipped files.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write records [bold]without identifiers[/] for others, and report what was removed.

    Needs the operator's keys. Where READMIT_DATABASE is set, the export is entered in the audit.
    """
    from fhir_mappings.deidentification.dates import Dates
    from fhir_mappings.deidentification.export import export as run
    from fhir_mappings.profiles import load_profile
    from service.audit.ledger import Entry
    from service.audit.vocabulary import Event
    from service.settings import load_settings
    from service.terminal import errors, progress

    keys, keeping = _keys_and_keeping(load_settings())

    def enter(summary: "Summary") -> None:
        if keeping is not None:
            details: dict[str, str | int | None] = {
                "count": summary.resources,
                "method": summary.method,
            }
            keeping.audit.record(Entry(event=Event.RECORDS_EXPORTED, caller=None, details=details))

    try:
        with progress(quiet=as_json) as report:
            summary = run(
                sources,
                out,
                _export_key(keys),
                load_profile(profile),
                dates=Dates(dates.value),
                keep_pseudonyms=keep_pseudonyms,
                zipped=zipped,
                progress=report,
                before_release=enter,
            )
    finally:
        if keeping is not None:
            keeping.close()
    if keeping is None:
        errors.print("READMIT_DATABASE is not set: this export is in no audit.")
    if as_json:
        print_json(plain(summary))
        return
    from service.tables import export_tables, show
    from service.terminal import results

    show(results, export_tables(summary, out))


def _keys_and_keeping(settings: "Settings") -> "tuple[Keys, Keeping | None]":
    """The operator's keys; and what is kept, where a database is named, not merely the default.

    Raises:
        SettingsError: if no keys are named.
    """
    from service.keeping import named_keys, open_keeping
    from service.settings import SettingsError

    keys = named_keys(settings)
    if keys is None:
        raise SettingsError(
            "READMIT_KEY_FILE: pseudonyms are made with the operator's keys; make some with "
            "`readmit keys new FILE` and name the file"
        )
    if "database" not in settings.model_fields_set:
        return keys, None
    return keys, open_keeping(settings)


def _export_key(keys: "Keys") -> bytes:
    """A key of its own: what an export's pseudonyms tell nobody, the database's do not either."""
    from service.protection.sealing import index_of

    return bytes.fromhex(index_of(keys, "export", "deidentification"))
