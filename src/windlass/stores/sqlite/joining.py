"""Enqueue over a connection of the caller's, inside of the caller's transaction."""

import os
from collections.abc import Sequence
from pathlib import Path

from windlass.errors import CannotJoin, SchemaMissing
from windlass.model.jobs import JobId, JobRequest
from windlass.stores.caller_kinds import caller_of
from windlass.stores.callers import SqliteCaller
from windlass.stores.sqlite.connection import schema_version
from windlass.stores.sqlite.copies import is_open_twice
from windlass.stores.sqlite.inserting import Writing
from windlass.stores.sqlite.marks import insert_once
from windlass.stores.sqlite.migrations import NEWEST
from windlass.stores.sqlite.rows import wall_clock_us

FIND_FILE = "SELECT file FROM pragma_database_list WHERE name = 'main'"


class SqliteJoiner:
    """Enqueues into one file over other connections to it."""

    is_open = True  # a path says all

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    async def open(self) -> None:
        """Do nothing."""

    async def enqueue(self, connection: object, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs with the caller's next commit; return the id of each."""
        caller = await caller_of(connection)
        if not isinstance(caller, SqliteCaller):
            raise CannotJoin(caller.name, f"the store is {self._url}; pass a connection to it")
        self._check(caller)
        borrowed: Writing = _Borrowed(caller, wall_clock_us())
        return [insert_once(request, borrowed) for request in requests]

    @property
    def _url(self) -> str:
        return f"sqlite:///{self._path}"

    def _check(self, caller: SqliteCaller) -> None:
        [[file]] = caller.execute(FIND_FILE).fetchall()
        if not file or not self._path.exists() or not os.path.samefile(file, self._path):
            where = f"the file {file!r}" if file else "a database in memory"
            why = f"it is connected to {where}; the store is {self._url}: pass a connection to it"
            raise CannotJoin(caller.name, why)
        version = schema_version(caller, self._url)
        if version < NEWEST:
            raise SchemaMissing(self._url, version, NEWEST)
        if caller.has_other_library and is_open_twice(self._path):
            why = (
                "the store is open in this process too, and two copies of SQLite in one process "
                "damage the file; use an apsw connection, or another process"
            )
            raise CannotJoin(caller.name, why)


class _Borrowed:
    """The caller's transaction, as an insert needs it; nobody rings its topics."""

    def __init__(self, caller: SqliteCaller, now: int) -> None:
        self.execute = caller.execute
        self.changes = caller.changes
        self.now = now
        self.topics: set[str] = set()
