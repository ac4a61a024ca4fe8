"""The PostgreSQL store keeps the contract of every store."""

import asyncio

import asyncpg
import pytest

from tests.servers import PostgresServer
from windlass.ports import Store
from windlass.stores.postgres import PostgresStore
from windlass.testing.contracts import StoreContract

pytestmark = pytest.mark.postgres

# The server's clock cannot be moved, so all that it holds is made older: as the
# owner of the tables, past the triggers which guard them.
GROW_OLDER = """
DO $$
DECLARE
    age text := {seconds} || ' seconds';
    one record;
BEGIN
    SET LOCAL session_replication_role = replica;
    FOR one IN
        SELECT table_name, string_agg(
                   format('%1$I = %1$I - interval %2$L', column_name, age), ', ') AS columns
          FROM information_schema.columns
         WHERE table_name IN ('windlass_jobs', 'windlass_workers', 'windlass_events',
                              'windlass_holds', 'windlass_progress', 'windlass_schedules',
                              'windlass_fires', 'windlass_leaders', 'windlass_backfills',
                              'windlass_backfill_items')
           AND data_type = 'timestamp with time zone'
         GROUP BY table_name
    LOOP
        EXECUTE format('UPDATE %I SET %s', one.table_name, one.columns);
    END LOOP;
    UPDATE windlass_marks SET since_us = since_us - ({seconds} * 1000000::bigint)::bigint,
                              until_us = until_us - ({seconds} * 1000000::bigint)::bigint;
    UPDATE windlass_paces SET full_at_us = full_at_us - ({seconds} * 1000000::bigint)::bigint;
END
$$
"""

TABLES = (
    *("jobs", "workers", "events", "paces", "holds", "edges", "marks", "progress", "schedules"),
    *("fires", "leaders", "backfills", "backfill_items", "waits", "steps"),
)
# TRUNCATE would make the files of all tables and indexes anew, each of which is synced.
CLEAR = "; ".join(f"DELETE FROM windlass_{table}" for table in TABLES)


class PostgresWorld:
    """Stores of one database, whose rows grow older."""

    def __init__(self, url: str) -> None:
        self.url = url

    def make_store(self) -> Store:
        """Return one more store of the same database."""
        return PostgresStore(self.url)

    async def advance(self, seconds: float) -> None:
        """Make all rows that much older."""
        await self.execute(GROW_OLDER.format(seconds=seconds))

    async def execute(self, statement: str) -> None:
        """Run a statement on a connection of its own."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    async def migrate(self) -> None:
        """Make the tables."""
        store = self.make_store()
        await store.migrate()
        await store.close()


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> PostgresWorld:
    """One database for all the tests."""
    world = PostgresWorld(postgres_server.create_database("contract"))
    asyncio.run(world.migrate())
    return world


class TestPostgresStore(StoreContract):
    """``PostgresStore`` under the contract."""

    @pytest.fixture
    def world(self, database: PostgresWorld) -> PostgresWorld:
        """The database, empty."""
        asyncio.run(database.execute(CLEAR))
        return database
