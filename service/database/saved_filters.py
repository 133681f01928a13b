"""What each person looks at every morning, under names of theirs."""

import msgspec
from sqlalchemy import Connection, delete, insert, select

from service.database.tables import SAVED_FILTERS


class SavedFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A query of the list, under a name. ``changed_at`` is microseconds UTC."""

    id: str
    owner: str
    """``issuer|subject``."""
    name: str
    query: str
    changed_at: int


def of_owner(connection: Connection, owner: str) -> list[SavedFilter]:
    """Everything that somebody saved, by name."""
    found = connection.execute(
        select(SAVED_FILTERS).where(SAVED_FILTERS.c.owner == owner).order_by(SAVED_FILTERS.c.name)
    )
    return [SavedFilter(**row._mapping) for row in found]


def save(connection: Connection, saved: SavedFilter) -> None:
    """Save it, in place of the owner's other one of the same name."""
    connection.execute(
        delete(SAVED_FILTERS).where(
            SAVED_FILTERS.c.owner == saved.owner, SAVED_FILTERS.c.name == saved.name
        )
    )
    connection.execute(insert(SAVED_FILTERS).values(msgspec.structs.asdict(saved)))


def remove(connection: Connection, owner: str, identifier: str) -> None:
    """Delete one of the owner's; what is not there, or is somebody else's, stays as it is."""
    connection.execute(
        delete(SAVED_FILTERS).where(
            SAVED_FILTERS.c.owner == owner, SAVED_FILTERS.c.id == identifier
        )
    )
