"""The PostgreSQL store keeps the contract behind a transaction pooler (I17)."""

import asyncio

import pytest

from tests.contract.test_postgres import CLEAR, PostgresWorld
from tests.servers import PgBouncer, PostgresServer
from windlass.ports import Store
from windlass.stores.postgres import PostgresStore
from windlass.testing.contracts import StoreContract

pytestmark = pytest.mark.postgres


class PooledWorld(PostgresWorld):
    """Stores that reach their database through the pooler; time is moved directly."""

    def __init__(self, url: str, pooled_url: str) -> None:
        super().__init__(url)
        self.pooled_url = pooled_url

    def make_store(self) -> Store:
        """Return one more store of the same database."""
        return PostgresStore(self.pooled_url)


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer, pgbouncer: PgBouncer) -> PooledWorld:
    """One database for all the tests."""
    url = postgres_server.create_database("pooled")
    world = PooledWorld(url, pgbouncer.url("pooled"))
    asyncio.run(world.migrate())
    return world


class TestPooledPostgresStore(StoreContract):
    """``PostgresStore`` under the contract, through the pooler; without it, bells are polled."""

    @pytest.fixture
    def world(self, database: PooledWorld) -> PooledWorld:
        """The database, empty."""
        asyncio.run(database.execute(CLEAR))
        return database

    # A pooler carries no LISTEN: bells never ring here, and everybody polls.
    test_a_bell_rings_in_the_same_store = None  # type: ignore[assignment]
    test_a_bell_rings_in_another_store_of_the_same_data = None  # type: ignore[assignment]
    test_a_ring_before_the_wait_is_kept_and_rings_are_merged = None  # type: ignore[assignment]
    test_a_bell_may_listen_to_several_topics = None  # type: ignore[assignment]
    test_bells_are_rung_each_for_itself = None  # type: ignore[assignment]
    test_letting_go_rings_the_queue_of_the_child = None  # type: ignore[assignment]
    test_edits_fires_and_resigning_ring = None  # type: ignore[assignment]
    test_lifting_rings_the_sweep_and_the_queue = None  # type: ignore[assignment]
