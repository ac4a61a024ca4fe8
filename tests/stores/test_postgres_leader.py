"""Whoever stops inside a transaction of the leader's commits nothing and blocks nobody for long.

A connection of our own stands for the process that is stopped: it has sent the statements of the
store, and sends nothing more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace as with_

from tests.servers import PgBouncer, PostgresServer
from windlass.engine.scheduler import Scheduler, SchedulerOptions
from windlass.errors import StoreUnavailable
from windlass.model.jobs import JobId
from windlass.model.schedules import SchedulePlan, Status
from windlass.stores.postgres import PostgresStore, schedule_sql, schedules
from windlass.stores.postgres import sql as store_sql
from windlass.stores.postgres.sql import BEGIN
from windlass.testing.contracts.schedules import added, led, make_plan
from windlass.testing.contracts.world import make_request, nth_id

pytestmark = pytest.mark.postgres

IDLE_S = 2.0  # what the server allows
SLACK_S = 1.0
LEASE_S = 0.6


@pytest.fixture(params=["direct", "pooled"])
def url(
    request: pytest.FixtureRequest, postgres_server: PostgresServer, pgbouncer: PgBouncer
) -> str:
    """An empty database, reached directly and through a transaction pooler."""
    url = postgres_server.create_database("leader")
    return url if request.param == "direct" else pgbouncer.url("leader")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(url)
    await store.migrate()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def stopped_in_a_fire(url: str, term: int, plan: SchedulePlan, where: str) -> Any:
    """Send all of a leader's transaction but its COMMIT, or a part of it."""
    held = await asyncpg.connect(url, statement_cache_size=0)
    await held.execute(BEGIN)
    await held.execute(schedule_sql.PLAN_BY_NAME)
    assert await held.fetch(schedule_sql.LOCK_TERM, "old", term)
    if where == "before the arguments of a statement":
        await held.prepare(schedule_sql.ADVANCE_SCHEDULES)
        return held
    columns = schedules.moved_columns([plan.row])
    assert await held.fetch(schedule_sql.ADVANCE_SCHEDULES, *columns)
    await schedules._record(held, [plan])
    return held


@pytest.mark.parametrize("where", ["before the arguments of a statement", "before COMMIT"])
async def test_a_leader_stopped_inside_its_transaction_is_replaced_and_commits_nothing(
    where: str, url: str
) -> None:
    """I15."""
    async with opened(url) as store:
        [row] = await added(store, "nightly")
        await store.schedules.lead("old", LEASE_S)
        term = 1
        held = await stopped_in_a_fire(url, term, make_plan(row, row.cursor_at), where)
        since = time.monotonic()
        scheduler = Scheduler(
            store,
            SchedulerOptions(lease_s=5.0),
            leader="new",
            new_job_id=lambda: JobId("unused"),
            knows=lambda task: False,  # it holds what it plans for, and so writes
        )
        running = asyncio.create_task(scheduler.run())
        await store.enqueue([make_request(7)])  # others are not held up at all
        assert time.monotonic() - since < 1.0
        async with asyncio.timeout(10):
            while (await store.schedules.find(["nightly"])).rows[0].status is not Status.HELD:
                await asyncio.sleep(0.02)
        taken_s = time.monotonic() - since

        assert taken_s < LEASE_S + IDLE_S + SLACK_S
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await held.execute("COMMIT")
        held.terminate()
        assert await store.schedules.fires("nightly", limit=9) == []
        assert await store.get(nth_id(1)) is None
        leads = await store.schedules.leader()
        assert leads is not None
        assert (leads.leader, leads.term) == ("new", 2)
        scheduler.stop()
        await running


async def test_whoever_stops_with_the_gate_of_limits_is_thrown_out_by_a_sweep(url: str) -> None:
    """Before the arguments of a statement, where the server's own limit does not count."""
    async with opened(url) as store:
        held = await asyncpg.connect(url, statement_cache_size=0)
        await held.execute(store_sql.BEGIN_GATED_CLAIM)
        await held.prepare(store_sql.COUNT_IN_LANES)
        since = time.monotonic()

        async def pass_the_gate(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute(store_sql.LOCK_GATE)

        passing = asyncio.create_task(store._pool.run(pass_the_gate))
        async with asyncio.timeout(IDLE_S + 2 * SLACK_S):
            while not passing.done():
                await store.sweep(100, 3)
                await asyncio.sleep(0.05)

        assert time.monotonic() - since >= IDLE_S
        await passing
        held.terminate()


async def test_every_transaction_of_a_store_is_under_the_limit(url: str) -> None:
    async def limit(connection: Any) -> Any:
        async with connection.transaction(), connection.transaction():  # nested too
            return await connection.fetchval("SHOW idle_in_transaction_session_timeout")

    async with opened(url) as store:
        assert await store._pool.run(limit) == f"{IDLE_S:g}s"
        outside = await store._pool.run(
            lambda connection: connection.fetchval("SHOW idle_in_transaction_session_timeout")
        )
        assert outside == "0"


async def test_a_program_stopped_while_it_enqueues_holds_up_the_leader_for_two_seconds(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job has the unique key of one that a schedule is to start."""
    async with opened(url) as store, opened(url) as stopped:
        [row] = await added(store, "nightly")
        term = await led(store, "one")
        await stopped.schedules.fires("nightly", limit=1)  # connected
        reached = _stopped_before_its_commit(monkeypatch)
        enqueueing = asyncio.create_task(stopped.enqueue([make_request(7, unique_key="k")]))
        await reached.wait()
        since = time.monotonic()
        plan = make_plan(row, row.cursor_at)
        requests = tuple(with_(each, unique_key="k") for each in plan.requests)
        keyed = with_(plan, requests=requests)
        fired = await store.schedules.fire([keyed], leader="one", term=term)

        assert fired == [True]
        assert time.monotonic() - since < IDLE_S + SLACK_S
        assert await enqueueing == [nth_id(1)]  # repeated, it meets the job of the schedule


@pytest.mark.parametrize("verb", ["save", "resign"])
async def test_whoever_stops_inside_another_write_holds_up_the_leader_for_two_seconds(
    url: str, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(url) as store, opened(url) as stopped:
        [row] = await added(store, "nightly")
        await led(store, "old")
        await stopped.schedules.fires("nightly", limit=1)  # connected
        reached = _stopped_before_its_commit(monkeypatch)
        edit = with_(row, revision=2, why="edited by who is stopped")
        saving, resigning = stopped.schedules.save, stopped.schedules.resign
        call: Any = saving([SchedulePlan(edit)]) if verb == "save" else resigning("old")
        waiting = asyncio.create_task(call)
        await reached.wait()
        since = time.monotonic()
        again = await store.schedules.lead("old", 5.0)
        plan = make_plan(row, row.cursor_at)
        fired = await store.schedules.fire([plan], leader="old", term=again.term)

        assert again.is_led
        assert fired == [True]
        assert time.monotonic() - since < IDLE_S + SLACK_S
        # Nothing of what it had written stands; the same again meets the newer row.
        await asyncio.wait([waiting])
        error = waiting.exception()
        assert isinstance(error, StoreUnavailable) or waiting.result() in (None, [False])
        assert (await store.schedules.find(["nightly"])).rows == (plan.row,)


def _stopped_before_its_commit(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Have the first write transaction stand still after its statements, as under SIGSTOP."""
    reached = asyncio.Event()
    commit = asyncpg.transaction.Transaction.__aexit__
    writes = {"UPDATE", "DELETE", "INSERT"}
    fetch = asyncpg.Connection.fetch
    wrote: set[int] = set()

    async def watched(self: Any, statement: str, *values: Any, **options: Any) -> Any:
        if not reached.is_set() and any(word in statement for word in writes):
            wrote.add(id(self))
        return await fetch(self, statement, *values, **options)

    async def stands_still(self: Any, kind: Any, error: Any, trace: Any) -> None:
        if id(self._connection) in wrote and not reached.is_set():
            reached.set()
            await asyncio.sleep(IDLE_S + SLACK_S)
        await commit(self, kind, error, trace)

    monkeypatch.setattr(asyncpg.Connection, "fetch", watched)
    monkeypatch.setattr(asyncpg.transaction.Transaction, "__aexit__", stands_still)
    return reached


async def test_who_gives_up_inside_a_transaction_does_not_wait_for_a_server_that_hangs() -> None:
    async def work(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("SELECT 1")
            await connection.execute("SELECT pg_sleep(60)")

    with PostgresServer() as server:
        async with opened(server.create_database("hangs")) as store:
            calls: Sequence[asyncio.Task[None]] = [
                asyncio.create_task(_given_up_after(0.5, store._pool.run(work))) for _ in range(4)
            ]
            await asyncio.sleep(0.3)
            server.pause()
            since = time.monotonic()
            await asyncio.wait(calls, timeout=20)
            waited_s = time.monotonic() - since
            server.resume()

            assert waited_s < 2
            assert {type(call.exception()) for call in calls} == {TimeoutError}
            # No connection of the pool was lost, and none is in the middle of anything.
            for n in range(20):
                assert await store.enqueue([make_request(n + 1)]) == [nth_id(n + 1)]


async def _given_up_after(seconds: float, call: Any) -> None:
    async with asyncio.timeout(seconds):
        await call
