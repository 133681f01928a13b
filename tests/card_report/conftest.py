"""Both databases, by one name."""

from postgresql import (
    database,
    database_url,
    postgresql,
    postgresql_url,
    private_postgresql,
    sqlite_url,
)

__all__ = [
    "database",
    "database_url",
    "postgresql",
    "postgresql_url",
    "private_postgresql",
    "sqlite_url",
]
