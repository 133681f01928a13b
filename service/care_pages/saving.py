"""Saving what the list was asked for, to ask the same tomorrow."""

import secrets
from datetime import UTC, datetime
from typing import Final

from fhir_mappings.errors import ReadmitError
from fhir_mappings.records.instants import from_datetime
from service.care_pages.asked import parse_query
from service.database import saved_filters
from service.database.saved_filters import SavedFilter
from service.follow_ups.follow_up import person_of
from service.identity.caller import Caller
from service.keeping import Keeping

LONGEST_NAME: Final = 60
MOST_SAVED: Final = 30


class SavedFilterError(ReadmitError):
    """A filter cannot be saved like this. Its name is not quoted."""

    status = 422
    title = "The filter cannot be saved"


def save_filter(keeping: Keeping, caller: Caller, name: str, query: str) -> str:
    """Save a query of the list under a name, in place of the one that had it; the query as kept.

    Raises:
        SavedFilterError: if the name is empty, too long or no text, or if there are too many.
        UnprocessableError: if the list cannot be asked that.
        DatabaseError: if it cannot be written.
    """
    named = " ".join(name.split())
    if not named or len(named) > LONGEST_NAME or not named.isprintable():
        raise SavedFilterError(f"A name has 1 to {LONGEST_NAME} characters.")
    kept = parse_query(query, caller).query
    owner = person_of(caller)
    with keeping.database.writing() as connection:
        others = [one for one in saved_filters.of_owner(connection, owner) if one.name != named]
        if len(others) >= MOST_SAVED:
            raise SavedFilterError(f"There are {MOST_SAVED} already: delete one first.")
        saved_filters.save(
            connection,
            SavedFilter(
                id=secrets.token_hex(16),
                owner=owner,
                name=named,
                query=kept,
                changed_at=from_datetime(datetime.now(UTC)),
            ),
        )
    return kept


def delete_filter(keeping: Keeping, caller: Caller, identifier: str) -> None:
    """Delete a filter of the caller's; one that is not there, or not theirs, changes nothing.

    Raises:
        DatabaseError: if it cannot be written.
    """
    with keeping.database.writing() as connection:
        saved_filters.remove(connection, person_of(caller), identifier)
