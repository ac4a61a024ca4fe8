"""Opening the file, and its troubles in the words of ``errors.py``."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from windlass.errors import (
    BadStoreUrl,
    SchemaTooNew,
    SqliteTooOld,
    StoreCorrupt,
    StoreReadOnly,
    StoreUnavailable,
    WindlassError,
)
from windlass.stores.callers import SqliteCaller
from windlass.stores.sqlite.migrations import APPLIED, JOURNAL, MIGRATIONS, NEWEST, RECORD

# Before this release a reset of the write-ahead log could lose a commit.
LIBRARY_LEAST = (3, 51, 3)
OPEN_TIMEOUT_MS = 30_000
CHECKPOINT_PAGES = 1_000
PAGE_BYTES = 4_096
CACHE_KIB = 16_384


def open_connection(path: Path, url: str, synchronous: str) -> apsw.Connection:
    """Open the file, make it if there is none, in the journal mode that Windlass needs.

    Raises: StoreCorrupt, StoreReadOnly, StoreUnavailable, BadStoreUrl, SqliteTooOld.
    """
    version = apsw.sqlite_lib_version()
    if tuple(map(int, version.split("."))) < LIBRARY_LEAST:
        raise SqliteTooOld(version, ".".join(map(str, LIBRARY_LEAST)))
    if not path.parent.is_dir():
        raise BadStoreUrl(url, f"there is no folder {str(path.parent)!r}")
    with translated(url):
        connection = apsw.Connection(str(path))
        try:
            connection.set_busy_timeout(OPEN_TIMEOUT_MS)
            connection.execute("PRAGMA journal_mode = wal").fetchall()
            connection.execute(f"PRAGMA synchronous = {synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}").fetchall()
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
    return connection


def migrate(connection: apsw.Connection, url: str) -> list[int]:
    """Bring the schema to this version; return the numbers of the migrations applied.

    Raises: SchemaTooNew, StoreReadOnly, StoreUnavailable, StoreCorrupt.
    """
    applied = []
    with translated(url):
        version = schema_version(connection, url)
        if version == NEWEST:
            return []
        if version == 0:
            _lengthen_log(connection)
        for migration in MIGRATIONS:
            connection.execute("BEGIN IMMEDIATE")
            with rolled_back_on_error(connection):
                connection.execute(JOURNAL)
                # Looked up under the lock: another process may have been quicker.
                if schema_version(connection, url) < migration.number:
                    connection.execute(migration.script)
                    now = time.time_ns() // 1000
                    connection.execute(RECORD, (migration.number, migration.name, now))
                    applied.append(migration.number)
                connection.execute("COMMIT")
    return applied


def _lengthen_log(connection: apsw.Connection) -> None:
    """Give a new file, and its log, their length before the first job comes.

    To append to a log takes the disk twice as long as to write over it: the first few
    hundred commits would be the slowest.  Safe in many processes at once, and if killed.
    """
    connection.execute("BEGIN IMMEDIATE")
    with rolled_back_on_error(connection):
        connection.execute("CREATE TABLE IF NOT EXISTS windlass_blank (bytes BLOB)")
        blank = "INSERT INTO windlass_blank VALUES (zeroblob(?))"
        connection.execute(blank, (CHECKPOINT_PAGES * PAGE_BYTES,))
        connection.execute("COMMIT")
    connection.execute("DROP TABLE IF EXISTS windlass_blank")


def schema_version(connection: "apsw.Connection | SqliteCaller", url: str) -> int:
    """Return the number of the newest migration applied; 0 for a file without any.

    Raises: SchemaTooNew.
    """
    known = "SELECT 1 FROM sqlite_schema WHERE name = 'windlass_migrations'"
    if not connection.execute(known).fetchall():
        return 0
    version: Any = connection.execute(APPLIED).fetchall()[0][0]
    if version > NEWEST:
        raise SchemaTooNew(url, version, NEWEST)
    return int(version)


@contextmanager
def rolled_back_on_error(connection: apsw.Connection) -> Iterator[None]:
    """Leave no transaction open behind an error."""
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn the library's errors into Windlass's own."""
    try:
        yield
    except apsw.Error as error:
        known = known_trouble(error, url)
        if known is None:
            raise
        raise known from error


def known_trouble(error: apsw.Error, url: str) -> WindlassError | None:
    """Say what an error of the library means for the operator; None for a defect of ours."""
    match error:
        case apsw.CorruptError() | apsw.NotADBError():
            return StoreCorrupt(url, str(error))
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            return StoreReadOnly(url, str(error))
        case apsw.CantOpenError():
            return StoreReadOnly(url, f"{error}: may this user write the folder?")
        case apsw.BusyError() | apsw.LockedError():
            return StoreUnavailable(url, "another process holds its lock for too long")
        case apsw.FullError():
            return StoreUnavailable(url, "the disk is full; free some space")
        case apsw.IOError() | apsw.ProtocolError() | apsw.ConnectionClosedError():
            return StoreUnavailable(url, str(error))
    return None
