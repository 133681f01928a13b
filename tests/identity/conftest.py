"""Each kind of database, for the modules that ask for it."""

from each_database import each_database
from postgresql import postgresql

__all__ = ["each_database", "postgresql"]
