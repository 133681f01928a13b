"""A PostgreSQL server for a benchmark, from the installed programs; writes are really on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.database.engine import Database
from service.database.migrate import upgrade
from tests.fixtures.postgresql import Cluster, binaries


def is_installed() -> bool:
    """Whether there are programs to start one with."""
    return binaries() is not None


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """The URL of a database that is up to date, as long as it is used."""
    # The server runs as another user, who has to reach its folder.
    for one in (folder, *folder.parents[:1]):
        one.chmod(one.stat().st_mode | 0o011)
    cluster = Cluster(folder / "server")
    cluster.create()
    # The tests' server may lose what it wrote when the machine goes down. One that counts may not.
    cluster.start(fsync="on", full_page_writes="on", shared_buffers="128MB")
    try:
        url = cluster.url(cluster.create_database())
        database = Database(url)
        upgrade(database)
        database.close()
        yield url
    finally:
        cluster.stop()
