"""Enqueue over a connection of the caller's, inside of the caller's transaction."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakSet

from windlass.errors import CannotJoin, SchemaMissing
from windlass.model.jobs import JobId, JobRequest
from windlass.stores.caller_kinds import caller_of
from windlass.stores.callers import PostgresCaller
from windlass.stores.postgres import migrations
from windlass.stores.postgres.connection import Connection, Pool, masked
from windlass.stores.postgres.marks import insert_any

# Asked first, because an error would end the caller's transaction.
LOOK_FOR_STORE = "SELECT current_database()::text, to_regclass('windlass_migrations') IS NOT NULL"

# When its tables were made tells a database from another of the same name.
IDENTIFY_STORE = """
SELECT (extract(epoch FROM min(applied_at)) * 1000000)::bigint,
       coalesce(max(number), 0)
  FROM windlass_migrations
"""


class PostgresJoiner:
    """Enqueues into one database over other connections to it."""

    def __init__(self, url: str) -> None:
        self._dsn = url
        self._url = masked(url)
        self._store: tuple[Any, ...] | None = None
        self._known: WeakSet[Any] = WeakSet()  # sessions that were found to be the store's

    @property
    def is_open(self) -> bool:
        """Whether it knows its database."""
        return self._store is not None

    async def open(self) -> None:
        """Look once, over a connection of our own, which database is the store's."""
        pool = Pool(self._dsn, 1)
        try:
            await pool.open()
            self._store = await pool.run(self._identify)
        finally:
            await pool.close()

    async def enqueue(self, connection: object, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs with the caller's next commit; return the id of each."""
        caller = await caller_of(connection)
        if not isinstance(caller, PostgresCaller):
            raise CannotJoin(caller.name, f"the store is {self._url}; pass a connection to it")
        await self._check(caller)
        return await insert_any(caller, requests)

    async def _check(self, caller: PostgresCaller) -> None:
        if caller.session in self._known:
            return
        [[database, has_tables]] = await caller.fetch(LOOK_FOR_STORE)
        if not has_tables:
            why = (
                f"it is connected to the database {database!r}, where its search_path shows no "
                f"tables of Windlass; the store is {self._url}: pass a connection to it"
            )
            raise CannotJoin(caller.name, why)
        if await self._identify(caller) != self._store:
            why = (
                f"it is connected to the database {database!r}, which has jobs of its own; the "
                f"store is {self._url}: pass a connection to it"
            )
            raise CannotJoin(caller.name, why)
        try:
            self._known.add(caller.session)
        except TypeError:  # it cannot be remembered: it is asked again
            return

    async def _identify(self, connection: Connection) -> tuple[Any, ...]:
        [[database, has_tables]] = await connection.fetch(LOOK_FOR_STORE)
        if not has_tables:
            raise SchemaMissing(self._url, 0, migrations.NEWEST)
        [[made_us, version]] = await connection.fetch(IDENTIFY_STORE)
        if version < migrations.NEWEST:
            raise SchemaMissing(self._url, version, migrations.NEWEST)
        return database, made_us
