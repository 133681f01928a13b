"""Both databases, by one name."""

from each_database import each_database
from postgresql import postgresql

__all__ = ["each_database", "postgresql"]
