"""What the SQLite store does with runs and rules beyond the contract: depth, plans, ways in."""

from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import replace as with_

from tests.contract.test_sqlite import SqliteWorld
from windlass.model.jobs import JobFilter, JobRequest, Reason, Rule, RunKind, State, StepOf
from windlass.model.once import once_by_key
from windlass.model.outcomes import Continued, Failed, Succeeded
from windlass.model.schedules import SchedulePlan
from windlass.stores.sqlite import sql
from windlass.stores.sqlite.joining import SqliteJoiner
from windlass.testing.contracts.edges import after, states
from windlass.testing.contracts.runs import go_on
from windlass.testing.contracts.schedules import make_backfill, make_plan, make_row, now_of
from windlass.testing.contracts.world import (
    BOOM,
    begin,
    claim_all,
    finish,
    make_request,
    nth_id,
    opened,
    row,
)

DEPTH = 3_000  # beyond where a recursion would end


@pytest.fixture
def world(tmp_path: Path) -> SqliteWorld:
    """A file of its own for each test."""
    return SqliteWorld(tmp_path / "a.db")


async def test_a_long_chain_is_skipped_at_once(world: SqliteWorld) -> None:
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


async def test_who_waits_for_an_end_in_several_ways_is_given_up_once(world: SqliteWorld) -> None:
    async with opened(world) as store:
        [claim] = await begin(store, make_request(1))
        await store.enqueue([after(2, 1), after(3, 1, 2), after(4, 1, 2, 3, rule=Rule.ALL_SUCCESS)])
        assert await finish(store, claim, Failed(BOOM))

        assert await states(store, 2, 3, 4) == [State.FAILED] * 3
        for n in (2, 3, 4):
            assert len(await store.events(nth_id(n))) == 1


async def test_a_job_that_waited_by_a_rule_may_go_on_as_others(world: SqliteWorld) -> None:
    async with opened(world) as store:
        [claim] = await begin(store, make_request(1))
        await store.enqueue([after(2, 1, rule=Rule.ALL_SUCCESS)])
        await finish(store, claim, Succeeded(None))
        [claim] = await claim_all(store)
        await go_on(store, claim, Continued((make_request(3), make_request(4)), (nth_id(4),)))
        third, fourth = await claim_all(store)
        await finish(store, third, Succeeded(None))
        assert await states(store, 2) == [State.WAITING]
        await finish(store, fourth, Succeeded(None))

        assert await states(store, 2) == [State.QUEUED]


async def test_nothing_of_a_deleted_job_is_left(world: SqliteWorld) -> None:
    async with opened(world) as store:
        [claim] = await begin(store, make_request(1))
        step = StepOf(nth_id(1), "ship")
        await store.enqueue([after(2, 1, rule=Rule.ONE_FAILED, step=step)])
        await finish(store, claim, Succeeded(None))
        assert await store.runs.tally(nth_id(1)) == {State.SKIPPED: 1}
        assert await store.delete([nth_id(1), nth_id(2)]) == 2

        tables = ("windlass_jobs", "windlass_edges", "windlass_waits", "windlass_steps")
        reader = apsw.Connection(str(world.path))
        left = {table: reader.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
        reader.close()
        assert left == {table: [] for table in tables}


async def test_runs_are_listed_by_their_index(world: SqliteWorld) -> None:
    async with opened(world):
        reader = apsw.Connection(str(world.path))
        names = ("before", "kinds", "states", "task", "queue", "error_type", "unresolved")
        facts: dict[str, Any] = dict.fromkeys((*names, "by_fingerprint", "fingerprint", "limit"))
        plan = reader.execute(f"EXPLAIN QUERY PLAN {sql.LIST_RUNS}", facts).fetchall()
        reader.close()
        steps = [str(step[3]) for step in plan]

        assert "SCAN windlass_jobs USING INDEX windlass_jobs_runs" in steps
        assert not [step for step in steps if "ORDER BY" in step]


async def test_a_run_is_one_whichever_way_it_comes_in(world: SqliteWorld) -> None:
    async with opened(world) as store:

        def run(n: int, **fields: Any) -> JobRequest:
            return make_request(n, kind=RunKind.DAG, **fields)

        await store.enqueue([run(1, once=once_by_key("shop.ship", "k"))])
        now = await now_of(store)
        schedule, tick = make_row(now), make_plan(make_row(now), now, 2)
        await store.schedules.save([SchedulePlan(schedule)])
        await store.schedules.lead("one", 5.0)
        await store.schedules.fire([with_(tick, requests=(run(2),))], leader="one", term=1)
        await store.schedules.add_backfill(make_backfill(), [(now, run(3))])
        caller = apsw.Connection(str(world.path))
        caller.execute("BEGIN")
        await SqliteJoiner(world.path).enqueue(caller, [run(4)])
        caller.execute("COMMIT")
        caller.close()

        found = await store.jobs(JobFilter(kinds=(RunKind.DAG,)), limit=9)
        assert [job.id for job in found] == [nth_id(n) for n in (4, 3, 2, 1)]
