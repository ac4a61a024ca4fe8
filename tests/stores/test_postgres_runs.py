"""What the PostgreSQL store does with runs and rules beyond the contract: depth, races, ways in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace as with_

from tests.contract.test_postgres import CLEAR, PostgresWorld
from tests.servers import PostgresServer
from windlass.model.jobs import JobFilter, JobRequest, Reason, Rule, RunKind, State, StepOf
from windlass.model.once import once_by_key
from windlass.model.outcomes import Cancelled, Continued, Failed, Succeeded
from windlass.model.schedules import SchedulePlan
from windlass.stores.postgres.joining import PostgresJoiner
from windlass.testing.contracts.edges import after, states
from windlass.testing.contracts.runs import begin_run, go_on, step
from windlass.testing.contracts.schedules import make_backfill, make_plan, make_row, now_of
from windlass.testing.contracts.world import (
    BOB,
    BOOM,
    begin,
    claim_all,
    finish,
    make_request,
    nth_id,
    opened,
    row,
)

pytestmark = pytest.mark.postgres

DEPTH = 500
HOLD_WAIT = "SELECT 1 FROM windlass_waits WHERE job_id = $1 FOR UPDATE"
BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def database(postgres_server: PostgresServer) -> PostgresWorld:
    """One database for all the tests."""
    world = PostgresWorld(postgres_server.create_database("runs"))
    asyncio.run(world.migrate())
    return world


@pytest.fixture
def world(database: PostgresWorld) -> PostgresWorld:
    """The database, empty."""
    asyncio.run(database.execute(CLEAR))
    return database


@asynccontextmanager
async def connected(world: PostgresWorld) -> AsyncIterator[Any]:
    """A connection beside the store."""
    connection = await asyncpg.connect(world.url)
    try:
        yield connection
    finally:
        await connection.close()


async def until_blocked(connection: Any, count: int) -> None:
    """Wait until so many sessions wait for a lock."""
    async with asyncio.timeout(10):
        while await connection.fetchval(BLOCKED) < count:
            await asyncio.sleep(0.01)


async def test_a_long_chain_is_skipped_at_once(world: PostgresWorld) -> None:
    async with opened(world) as store:
        [claim] = await begin(store, make_request(1))
        chain = [after(n, n - 1, rule=Rule.ALL_SUCCESS) for n in range(3, DEPTH)]
        await store.enqueue([after(2, 1, rule=Rule.ONE_FAILED), *chain])
        assert await finish(store, claim, Succeeded(None))

        assert await store.counts() == {
            ("default", State.SUCCEEDED): 1,
            ("default", State.SKIPPED): DEPTH - 2,
        }
        assert (await row(store, nth_id(DEPTH - 1))).reason is Reason.RULE
        assert len(await store.events(nth_id(DEPTH - 1))) == 1


@pytest.mark.parametrize("first", ["the end", "the run"])
@pytest.mark.parametrize("is_awaited", [True, False], ids=["awaited again", "awaited no more"])
async def test_an_end_while_its_run_waits_anew_counts_once_or_not_at_all(
    world: PostgresWorld, first: str, is_awaited: bool
) -> None:
    """Whichever comes first, the other waits for it at the lock of the wait, and then looks."""
    async with opened(world) as store, opened(world) as other, connected(world) as beside:
        claim = await begin_run(store, kind=RunKind.WORKFLOW)
        ids = (nth_id(2), nth_id(3), nth_id(4))
        steps = (step(2, 1), step(3, 1), step(4, 1))
        await go_on(store, claim, Continued(steps, (), waits=ids, rule=Rule.ONE_DONE))
        second, third, fourth = await claim_all(store)
        await finish(store, second, Succeeded(None))
        [claim] = await claim_all(store, worker=BOB)
        await beside.execute("BEGIN")
        await beside.execute(HOLD_WAIT, nth_id(1))
        waits = Continued((), (), waits=ids[1:] if is_awaited else ids[2:], rule=Rule.ALL_DONE)
        ends = (finish(other, third, Cancelled()), go_on(store, claim, waits))
        tasks: list[asyncio.Task[Any]] = []
        async with connected(world) as looking:
            for move in ends if first == "the end" else reversed(ends):
                tasks.append(asyncio.ensure_future(move))
                await until_blocked(looking, len(tasks))
        await beside.execute("COMMIT")
        await asyncio.gather(*tasks)
        assert await states(store, 1, 3) == [State.WAITING, State.CANCELLED]
        await finish(store, fourth, Succeeded(None))

        assert await states(store, 1) == [State.QUEUED]


@pytest.mark.parametrize("rule", [None, Rule.ALL_SUCCESS], ids=["plain", "by a rule"])
async def test_who_is_linked_to_a_job_while_that_is_given_up_is_given_up_too(
    world: PostgresWorld, rule: Rule | None
) -> None:
    async with opened(world) as store, connected(world) as beside:
        [claim] = await begin(store, make_request(1))
        await store.enqueue([after(2, 1), after(3, 2)])
        await beside.execute("BEGIN")
        await beside.execute("SELECT 1 FROM windlass_jobs WHERE id = $1 FOR UPDATE", nth_id(3))
        linking = asyncio.ensure_future(store.enqueue([after(4, 2, 3, rule=rule)]))
        async with connected(world) as looking:
            await until_blocked(looking, 1)  # it has locked the second, and waits for the third
            ending = asyncio.ensure_future(finish(store, claim, Failed(BOOM)))
            await until_blocked(looking, 2)
        await beside.execute("COMMIT")
        await asyncio.gather(linking, ending)

        assert await states(store, 2, 3, 4) == [State.FAILED] * 3


async def test_nothing_of_a_deleted_job_is_left(world: PostgresWorld) -> None:
    async with opened(world) as store, connected(world) as beside:
        [claim] = await begin(store, make_request(1))
        of = StepOf(nth_id(1), "ship")
        await store.enqueue([after(2, 1, rule=Rule.ONE_FAILED, step=of)])
        await finish(store, claim, Succeeded(None))
        assert await store.runs.tally(nth_id(1)) == {State.SKIPPED: 1}
        assert await store.delete([nth_id(1), nth_id(2)]) == 2

        for table in ("jobs", "edges", "waits", "steps", "events"):
            assert await beside.fetch(f"SELECT * FROM windlass_{table}") == []


async def test_a_run_is_one_whichever_way_it_comes_in(world: PostgresWorld) -> None:
    def run(n: int, **fields: Any) -> JobRequest:
        return make_request(n, kind=RunKind.DAG, **fields)

    async with opened(world) as store, connected(world) as caller:
        await store.enqueue([run(1, once=once_by_key("shop.ship", "k"))])
        now = await now_of(store)
        schedule, tick = make_row(now), make_plan(make_row(now), now, 2)
        await store.schedules.save([SchedulePlan(schedule)])
        await store.schedules.lead("one", 5.0)
        await store.schedules.fire([with_(tick, requests=(run(2),))], leader="one", term=1)
        await store.schedules.add_backfill(make_backfill(), [(now, run(3))])
        joiner = PostgresJoiner(world.url)
        await joiner.open()
        async with caller.transaction():
            await joiner.enqueue(caller, [run(4)])

        found = await store.jobs(JobFilter(kinds=(RunKind.DAG,)), limit=9)
        assert [job.id for job in found] == [nth_id(n) for n in (4, 3, 2, 1)]
