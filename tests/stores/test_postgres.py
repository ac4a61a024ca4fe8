"""What the PostgreSQL store does beyond the contract: outages, schema, the hint of a death."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import asyncpg
import pytest

from tests.servers import PgBouncer, PostgresServer, free_port
from windlass.errors import BadStoreUrl, SchemaMissing, SchemaTooNew, StoreUnavailable
from windlass.model.jobs import State
from windlass.model.progress import ProgressReport
from windlass.stores.postgres import PostgresStore, connection
from windlass.stores.postgres.migrations import MIGRATIONS, NEWEST
from windlass.testing.contracts.world import (
    ALICE,
    LEASE_S,
    begin,
    make_request,
    make_requests,
    make_worker,
    move,
    nth_id,
    row,
)

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """A fresh database without tables."""
    return postgres_server.create_database("one")


async def migrated(url: str) -> PostgresStore:
    """Return an open store."""
    store = PostgresStore(url)
    await store.migrate()
    await store.open()
    return store


# -- the schema --------------------------------------------------------------


async def test_a_database_without_tables_is_told_with_the_way_out(url: str) -> None:
    with pytest.raises(SchemaMissing, match="windlass migrate"):
        await PostgresStore(url).open()


async def test_a_schema_of_a_newer_release_is_refused(url: str) -> None:
    store = await migrated(url)
    await store.close()
    direct = await asyncpg.connect(url)
    await direct.execute("INSERT INTO windlass_migrations VALUES ($1 + 1, 'later')", NEWEST)
    await direct.close()

    with pytest.raises(SchemaTooNew):
        await PostgresStore(url).open()
    with pytest.raises(SchemaTooNew):
        await PostgresStore(url).migrate()


async def test_many_processes_may_migrate_at_once(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(8)]
    applied = await asyncio.gather(*(store.migrate() for store in stores))
    for store in stores:
        await store.close()

    assert sorted(number for numbers in applied for number in numbers) == [
        migration.number for migration in MIGRATIONS
    ]


# -- outages -----------------------------------------------------------------


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await PostgresStore(f"postgresql://u:secret@127.0.0.1:{free_port()}/x").open()


async def test_an_error_never_shows_the_password() -> None:
    with pytest.raises(StoreUnavailable) as told:
        await PostgresStore(f"postgresql://u:secret@127.0.0.1:{free_port()}/x").open()

    assert "secret" not in str(told.value)


async def test_a_database_that_does_not_exist_is_a_wrong_url(
    postgres_server: PostgresServer,
) -> None:
    with pytest.raises(BadStoreUrl, match="does not exist"):
        await PostgresStore(postgres_server.url("nowhere")).open()


async def test_after_a_restart_the_first_request_is_answered() -> None:
    with PostgresServer() as server:
        store = await migrated(server.create_database("one"))
        await asyncio.gather(*(store.enqueue([make_request(n)]) for n in range(20)))
        server.kill()
        with pytest.raises(StoreUnavailable):
            await store.enqueue([make_request(50)])
        server.start()

        assert await store.enqueue([make_request(50)]) == [nth_id(50)]
        assert await store.counts() == {("default", State.QUEUED): 21}
        await store.close()


async def test_a_server_that_hangs_is_an_outage_within_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "COMMAND_TIMEOUT_S", 0.5)
    with PostgresServer() as server:
        store = await migrated(server.create_database("one"))
        await store.enqueue([make_request(1)])
        server.pause()
        start = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.enqueue([make_request(2)])
        waited_s = time.monotonic() - start
        server.resume()

        assert waited_s < 5
        assert await store.enqueue([make_request(3)]) == [nth_id(3)]
        await store.close()


async def test_a_caller_that_is_cancelled_leaves_no_broken_connection(url: str) -> None:
    store = await migrated(url)
    await store.renew(make_worker(), LEASE_S)
    for delay_s in (0.0, 0.0005, 0.001, 0.002, 0.004):
        for claim in (True, False):
            work = store.claim(ALICE, ["default"], 10) if claim else store.counts()
            task: asyncio.Task[object] = asyncio.ensure_future(work)
            await asyncio.sleep(delay_s)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    await store.enqueue(make_requests(3))

    assert len(await store.claim(ALICE, ["default"], 10)) == 3
    await store.close()


async def test_two_batches_that_settle_the_same_rows_in_other_orders_both_end(url: str) -> None:
    store = await migrated(url)
    for n in range(10):
        claims = await begin(store, *make_requests(200, start=n * 200 + 1))
        steps = [move(claim, State.SUCCEEDED) for claim in claims]
        one, other = await asyncio.gather(store.settle(steps), store.settle(steps[::-1]))

        assert [a != b for a, b in zip(one, other[::-1], strict=True)] == [True] * 200
    await store.close()


# -- the pooler --------------------------------------------------------------


async def test_a_transaction_pooler_is_noticed(
    url: str, postgres_server: PostgresServer, pgbouncer: PgBouncer
) -> None:
    direct, pooled = PostgresStore(url), PostgresStore(pgbouncer.url("one"))
    await direct.migrate()
    await pooled.open()

    assert not direct._pool.is_pooled
    assert pooled._pool.is_pooled
    await direct.close()
    await pooled.close()


# -- the hint of a death -----------------------------------------------------

HOLDER = """
import asyncio, sys
from windlass.stores.postgres import PostgresStore
from windlass.testing.contracts.world import make_worker
async def main():
    store = PostgresStore(sys.argv[1])
    await store.open()
    store.listen(["done"])
    for _ in range(100):
        await store.renew(make_worker(), 60.0)
        if (await store._listener.hold_lock("alice")) is not None:
            break
        await asyncio.sleep(0.02)
    await store.renew(make_worker(), 60.0)
    await store.claim("alice", ["default"], 1)
    print("holds", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def _sweep_until_rescued(store: PostgresStore, limit_s: float) -> float | None:
    """Sweep as upkeep does; return after how long the job was queued again."""
    start = time.monotonic()
    while (waited_s := time.monotonic() - start) < limit_s:
        swept = await store.sweep(10, 3)
        if swept.rescued:
            return waited_s
        await asyncio.sleep(min(1.0, 1.0 if swept.next_due_s is None else swept.next_due_s))
    return None


async def test_a_worker_killed_with_sigkill_is_noticed_within_two_seconds(url: str) -> None:
    store = await migrated(url)
    await store.enqueue([make_request(1)])
    await asyncio.sleep(5)  # the hint is silent while the server is young
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert await asyncio.to_thread(holder.stdout.readline) == b"holds\n"
    alive = await _sweep_until_rescued(store, 2.5)
    os.kill(holder.pid, signal.SIGKILL)
    waited_s = await _sweep_until_rescued(store, 10)
    holder.wait()
    holder.stdout.close()

    assert alive is None
    assert waited_s is not None
    assert waited_s < 2
    job = await row(store, nth_id(1))
    assert (job.state, job.losses, job.failures) == (State.QUEUED, 1, 0)
    await store.close()


# -- progress ----------------------------------------------------------------


async def _report_beside(url: str, *statements: str) -> tuple[list[bool], list[tuple[object, ...]]]:
    """Report for two running jobs while a transaction does something to the first of them.

    Returns what the report was answered, and which progress is kept.
    """
    store = await migrated(url)
    claims = await begin(store, *make_requests(2))
    other = await asyncpg.connect(url)
    try:
        await other.execute("BEGIN; " + "; ".join(statements).format(id=claims[0].job_id))
        reports = [ProgressReport(claim.job_id, claim.fence, 0.5, "old") for claim in claims]
        reporting = asyncio.create_task(store.report_progress(reports))
        async with asyncio.timeout(10):
            while not await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        await other.execute("COMMIT")
        answer = await asyncio.wait_for(reporting, 10)
        kept = await other.fetch("SELECT job_id, message FROM windlass_progress ORDER BY job_id")
    finally:
        await other.close()
        await store.close()
    return answer, [tuple(each) for each in kept]


async def test_a_report_which_waited_for_a_newer_holder_is_refused(url: str) -> None:
    answer, kept = await _report_beside(
        url,
        "UPDATE windlass_jobs SET fence = 2 WHERE id = '{id}'",
        "INSERT INTO windlass_progress VALUES ('{id}', 2, 0.1, 'new', now())",
    )

    assert answer == [False, True]
    assert kept == [(nth_id(1), "new"), (nth_id(2), "old")]


async def test_a_report_leaves_nothing_of_a_job_that_is_deleted_meanwhile(url: str) -> None:
    answer, kept = await _report_beside(
        url,
        "UPDATE windlass_jobs SET state = 'succeeded', worker = NULL, ended_at = now() "
        "WHERE id = '{id}'",
        "DELETE FROM windlass_jobs WHERE id = '{id}'",
    )

    assert answer == [False, True]
    assert kept == [(nth_id(2), "old")]
