"""Durable workflows, on both stores, with a worker in the same loop."""

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.app.live import WAIT_S, ended, quick_app, until, working
from tests.app.test_schedules import scheduling
from windlass import (
    App,
    Cancel,
    Concurrency,
    JobCancelled,
    JobFailed,
    JobFilter,
    JobHandle,
    Retry,
    Schedule,
    Snooze,
    State,
    chain,
    context,
    every,
)
from windlass.core.lifecycle import after_attempt
from windlass.core.why import Cause
from windlass.errors import BadTask, NotInRun, RefusedInWorkflow
from windlass.model.jobs import Reason, RunKind, WorkerId
from windlass.model.outcomes import Succeeded
from windlass.plugins import make_store
from windlass.testing.contracts.world import make_worker
from windlass.workflows import now, random, uuid4


class Shop:
    """An app whose tasks say what they did."""

    def __init__(self, store_url: str, **settings: object) -> None:
        self.app = quick_app(store_url, **settings)
        self.said: list[str] = []
        self.gate = asyncio.Event()

        @self.app.task(name="charge")
        async def charge(order: int, cents: int = 100) -> str:
            self.said.append(f"charge {order}")
            if order == 13:
                raise ValueError("no credit")
            return f"receipt {order}: {cents}"

        @self.app.task(name="pack", queue="yard")
        def pack(order: int) -> int:
            self.said.append(f"pack {order}")
            return order * 10

        @self.app.task(name="hold")
        async def hold() -> str:
            self.said.append("hold")
            await self.gate.wait()
            return "held"

        self.charge, self.pack, self.hold = charge, pack, hold


@pytest.fixture
def shop(store_url: str) -> Shop:
    return Shop(store_url)


async def steps_of(app: App, run: "JobHandle[Any]") -> dict[str, State]:
    """Return the state of each step of a run, by its name."""
    client = await app.client()
    return {f"{s.name}{s.nth or ''}": s.state async for s in client.runs.steps(run.id)}


async def test_a_workflow_awaits_its_steps_and_each_is_made_once(shop: Shop) -> None:
    begun: list[int] = []

    @shop.app.workflow(name="order")
    async def order(number: int, *, gift: bool = False) -> tuple[str, int, bool]:
        begun.append(number)
        receipt = await shop.charge(number, cents=5)
        boxes = await shop.pack.astep(number)
        return receipt, boxes, gift

    async with working(shop.app):
        run = await order.aenqueue(7, gift=True)
        result = await run.aresult(WAIT_S)
        job = await run.ajob()

        assert result == ("receipt 7: 5", 70, True)
        assert shop.said == ["charge 7", "pack 7"]
        assert begun == [7, 7, 7]  # from its start, each time that it goes on
        assert (job.kind, job.attempt) == (RunKind.WORKFLOW, 3)
        assert await steps_of(shop.app, run) == dict.fromkeys(["charge", "pack"], State.SUCCEEDED)


async def test_what_is_gathered_runs_side_by_side(shop: Shop) -> None:
    @shop.app.workflow(name="many")
    async def many(count: int) -> list[int]:
        return await asyncio.gather(*(shop.pack.astep(n) for n in range(count)))

    async with working(shop.app):
        run = await many.aenqueue(50)

        assert await run.aresult(WAIT_S) == [n * 10 for n in range(50)]
        assert sorted(shop.said) == sorted(f"pack {n}" for n in range(50))
        assert len(await steps_of(shop.app, run)) == 50


async def test_a_sleep_holds_no_worker_and_outlives_it(shop: Shop) -> None:
    @shop.app.workflow(name="slow")
    async def slow() -> float:
        before = now()
        await asyncio.sleep(1.0)
        await shop.charge(1)
        return (now() - before).total_seconds()

    async with working(shop.app):
        run = await slow.aenqueue()
        waiting = await until(run, lambda job: job.state is State.WAITING)
    async with working(shop.app):  # another one
        slept_s = await run.aresult(WAIT_S)
        job = await run.ajob()

    assert waiting.worker is None
    assert slept_s >= 1.0
    assert job.ended_at is not None
    assert job.ended_at - job.created_at >= timedelta(seconds=1)
    assert shop.said == ["charge 1"]


async def test_a_timeout_is_counted_from_when_the_run_comes_to_it(shop: Shop) -> None:
    @shop.app.workflow(name="late")
    async def late() -> str:
        async with asyncio.timeout(1.0):
            return await shop.charge(1)

    run = await late.using(delay=1.5).aenqueue()
    async with working(shop.app):
        assert await run.aresult(WAIT_S) == "receipt 1: 100"


async def test_a_step_that_fails_raises_where_it_is_awaited(shop: Shop) -> None:
    @shop.app.workflow(name="careful")
    async def careful(order: int) -> str:
        try:
            return await shop.charge(order)
        except JobFailed as error:
            await shop.pack.astep(0)
            return error.error_type

    @shop.app.workflow(name="careless")
    async def careless(order: int) -> str:
        return await shop.charge(order)

    async with working(shop.app):
        assert await (await careful.aenqueue(13)).aresult(WAIT_S) == "ValueError"
        run = await careless.aenqueue(13)
        with pytest.raises(JobFailed) as caught:
            await run.aresult(WAIT_S)

        assert caught.value.error_type == "windlass.errors.JobFailed"
        assert "no credit" in str(caught.value)
        assert await steps_of(shop.app, run) == {"charge": State.FAILED}


async def test_a_step_has_the_retries_of_its_task(shop: Shop) -> None:
    tries: list[int] = []

    @shop.app.task(name="flaky", retry=Retry(3, delay=0.01))
    def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("again")
        return len(tries)

    @shop.app.workflow(name="patient")
    async def patient() -> int:
        return await flaky.astep()

    async with working(shop.app):
        assert await (await patient.aenqueue()).aresult(WAIT_S) == 3


async def test_a_timeout_gives_up_a_step_and_cancels_it(shop: Shop) -> None:
    @shop.app.workflow(name="hasty")
    async def hasty() -> str:
        try:
            async with asyncio.timeout(0.3):
                return await shop.hold()
        except TimeoutError:
            return await shop.charge(1)

    async with working(shop.app):
        run = await hasty.aenqueue()
        assert await run.aresult(WAIT_S) == "receipt 1: 100"
        states = await steps_of(shop.app, run)

    assert states["hold"] is State.CANCELLED
    assert set(states.values()) == {State.CANCELLED, State.SUCCEEDED}


async def test_a_workflow_that_kills_its_workers_ends_with_its_steps(store_url: str) -> None:
    """I22: a sweep alone would leave them behind."""
    shop = Shop(store_url, lease_s=60.0)
    begun: list[int] = []

    @shop.app.workflow(name="two", queue="runs")
    async def two() -> tuple[str, str]:
        begun.append(1)
        return await asyncio.gather(shop.hold(), shop.hold())

    async with working(shop.app):
        run = await two.aenqueue()
        await until(run, lambda job: job.state is State.WAITING)
    store = make_store(store_url, shop.app.settings)
    await store.open()
    losses_max = shop.app.settings.losses_max
    for n in range(losses_max + 1):
        worker = make_worker(WorkerId(f"lost-{n}"))
        await store.renew(worker, 60.0)
        claims = await store.claim(worker.id, ["runs" if n else "default"], 4)
        if n == 0:  # one step ends, so that the run goes on: from now on it kills who runs it
            await store.settle([after_attempt(claims[0], Succeeded(b'"held"'), None)])
        await store.leave(worker.id)
        await store.sweep(10, losses_max)
    async with working(shop.app):
        await ended(run)
        job = await run.ajob()
        async with asyncio.timeout(WAIT_S):  # one that runs is asked to stop
            while State.RUNNING in (states := await steps_of(shop.app, run)).values():
                await asyncio.sleep(0.005)
    await store.close()

    assert (job.state, job.reason) == (State.FAILED, Reason.POISON)
    assert job.error_type == "windlass.errors.WorkersLost"
    assert sorted(states.values()) == [State.CANCELLED, State.SUCCEEDED]
    assert begun == [1]


async def test_a_run_ends_only_when_no_step_of_it_is_left(shop: Shop) -> None:
    """What nobody waits for any more is cancelled, and the run waits for that (I22)."""

    @shop.app.workflow(name="race")
    async def race() -> str:
        both = [asyncio.ensure_future(one) for one in (shop.hold(), shop.charge(2))]
        done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    async with working(shop.app):
        run = await race.aenqueue()
        assert await run.aresult(WAIT_S) == "receipt 2: 100"

        assert await steps_of(shop.app, run) == {
            "0/hold": State.CANCELLED,
            "1/charge": State.SUCCEEDED,
        }


async def test_workflows_and_dags_are_steps_of_workflows(shop: Shop) -> None:
    @shop.app.dag(name="graph")
    def graph(order: int) -> int:
        return shop.pack(shop.pack(order))

    @shop.app.workflow(name="child")
    async def child(order: int) -> str:
        return await shop.charge(order)

    @shop.app.workflow(name="parent")
    async def parent() -> list[Any]:
        return [await child(3), await graph.astep(2)]

    @shop.app.dag(name="outer")
    def outer() -> str:
        return child.step()(4)

    async with working(shop.app):
        assert await (await parent.aenqueue()).aresult(WAIT_S) == ["receipt 3: 100", 200]
        assert await (await outer.aenqueue()).aresult(WAIT_S) == "receipt 4: 100"


async def test_a_cancel_ends_a_workflow_and_its_steps(shop: Shop) -> None:
    @shop.app.workflow(name="long")
    async def long() -> None:
        await asyncio.gather(asyncio.sleep(3600), shop.hold())
        await shop.charge(1)

    async with working(shop.app):
        run = await long.aenqueue()
        async with asyncio.timeout(WAIT_S):
            while shop.said != ["hold"]:
                await asyncio.sleep(0.005)
        await run.acancel()
        with pytest.raises(JobCancelled):
            await run.aresult(WAIT_S)
        async with asyncio.timeout(WAIT_S):
            while set((await steps_of(shop.app, run)).values()) != {State.CANCELLED}:
                await asyncio.sleep(0.005)

    assert shop.said == ["hold"]


async def test_a_run_that_is_cancelled_does_not_go_on_as_its_steps_end(shop: Shop) -> None:
    @shop.app.workflow(name="stubborn")
    async def stubborn() -> str:
        for _ in range(100):
            with suppress(JobCancelled):
                return await shop.hold()
        return "went on"

    async with working(shop.app):
        client = await shop.app.client()
        for is_alone in True, False:
            shop.said.clear()
            run = await stubborn.aenqueue()
            async with asyncio.timeout(WAIT_S):
                while shop.said != ["hold"]:
                    await asyncio.sleep(0.005)
            if is_alone:
                assert await run.acancel() is State.CANCELLED
            else:
                assert await client.cancel_all(JobFilter()) == 2
            async with asyncio.timeout(WAIT_S):
                while await steps_of(shop.app, run) != {"hold": State.CANCELLED}:
                    await asyncio.sleep(0.005)

            assert (await run.ajob()).state is State.CANCELLED


async def test_a_step_that_is_cancelled_cancels_who_does_not_look(shop: Shop) -> None:
    @shop.app.task(name="off")
    def off() -> None:
        raise Cancel

    @shop.app.workflow(name="stops")
    async def stops() -> None:
        await off.astep()

    @shop.app.workflow(name="grouped")
    async def grouped() -> None:
        async with asyncio.TaskGroup() as together:
            together.create_task(off.astep())

    async with working(shop.app):
        for workflow in stops, grouped:
            with pytest.raises(JobCancelled):
                await (await workflow.aenqueue()).aresult(WAIT_S)


async def test_code_that_does_something_else_than_before_is_held(shop: Shop) -> None:
    """I24: it does not go on, and says what it did and what it would do now."""
    orders = iter([1, 2, 1])

    @shop.app.workflow(name="fickle")
    async def fickle() -> str:
        first = await shop.charge(next(orders))
        return first + await shop.charge(5)

    async with working(shop.app):
        run = await fickle.aenqueue()
        job = await until(run, lambda found: found.state is State.HELD)
        client = await shop.app.client()
        why = await client.why(run.id, datetime.now(UTC))
        assert (job.reason, job.error_type) == (Reason.DIVERGED, "windlass.errors.WorkflowDiverged")
        assert why.cause is Cause.HELD
        assert "does not do any more what it did" in why.because
        await client.reschedule(run.id)  # the code fits again

        assert await until(run, lambda found: found.state in (State.HELD, State.SUCCEEDED))


class Salted:
    """A format that writes the same in another way each time."""

    name = "salted"

    def dumps(self, value: object) -> bytes:
        return os.urandom(4) + msgspec.json.encode(value)

    def loads(self, data: bytes) -> object:
        return msgspec.json.decode(data[4:])


async def test_a_call_is_the_same_however_its_format_writes_it(shop: Shop) -> None:
    shop.app.add_serializer(Salted())
    attempts: list[int] = []

    @shop.app.task(name="count", serializer="salted")
    def count(names: set[int]) -> int:
        return len(names)

    @shop.app.workflow(name="counts")
    async def counts() -> int:
        attempts.append(1)
        eights = range(0, 64, 8)  # a set has them in the order in which they came
        return await count.astep(set(eights if len(attempts) == 1 else reversed(eights)))

    async with working(shop.app):
        assert await (await counts.aenqueue()).aresult(WAIT_S) == 8
        assert len(attempts) == 2


async def test_a_step_that_is_not_asked_for_any_more_holds_the_run(shop: Shop) -> None:
    asks = iter([True, False])

    @shop.app.workflow(name="forgets")
    async def forgets() -> str:
        if next(asks):
            await shop.charge(1)
        return "done"

    async with working(shop.app):
        run = await forgets.aenqueue()
        job = await until(run, lambda found: found.state is State.HELD)

    assert job.error is not None
    assert b"not asked for any more" in job.error


async def test_a_workflow_that_can_never_go_on_fails_and_says_so(shop: Shop) -> None:
    @shop.app.workflow(name="stuck")
    async def stuck() -> None:
        waiting = asyncio.create_task(shop.hold())
        await shop.charge(1)
        waiting.cancel()
        await asyncio.Event().wait()

    async with working(shop.app):
        run = await stuck.aenqueue()
        with pytest.raises(JobFailed) as caught:
            await run.aresult(WAIT_S)
        async with asyncio.timeout(WAIT_S):
            while (await steps_of(shop.app, run))["0/hold"] is not State.CANCELLED:
                await asyncio.sleep(0.005)

    assert caught.value.error_type == "windlass.errors.WorkflowStuck"


async def test_random_numbers_and_the_time_are_the_same_each_time(shop: Shop) -> None:
    seen: list[tuple[float, str, datetime]] = []

    @shop.app.workflow(name="dice")
    async def dice() -> None:
        seen.append((random().random(), str(uuid4()), now()))
        await shop.charge(1)
        await shop.charge(2)

    async with working(shop.app):
        run = await dice.aenqueue()
        await run.aresult(WAIT_S)
        created_at = (await run.ajob()).created_at

    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert seen[0][2] == created_at


async def test_a_schedule_starts_a_workflow(shop: Shop) -> None:
    seen: list[Any] = []

    @shop.app.task(name="look")
    def look() -> None:
        seen.append(context().occasion)

    @shop.app.workflow(name="ticking", schedule=Schedule(every(0.5), overlap="skip"))
    async def ticking() -> None:
        await look.astep()

    async with scheduling(shop.app) as client:
        async with asyncio.timeout(WAIT_S):
            while len(seen) < 2:
                await asyncio.sleep(0.01)
        runs = await client.runs.page(kind=RunKind.WORKFLOW)

    assert {occasion.schedule for occasion in seen} == {"ticking"}
    assert len({occasion.fire_at for occasion in seen}) == len(seen)
    assert len(runs) >= 2


async def test_an_overlap_waits_for_the_end_of_the_whole_run(shop: Shop) -> None:
    @shop.app.workflow(name="one", limits=[Concurrency(1)])
    async def one() -> str:
        return await shop.hold()

    async with working(shop.app):
        first, second = [await one.aenqueue() for _ in range(2)]
        await until(first, lambda job: job.state is State.WAITING)
        await asyncio.sleep(0.3)  # time in which a second one would start
        assert (await second.ajob()).state is State.QUEUED
        shop.gate.set()

        assert [await first.aresult(WAIT_S), await second.aresult(WAIT_S)] == ["held"] * 2


async def test_a_workflow_has_a_place_in_a_chain(shop: Shop) -> None:
    @shop.app.workflow(name="twice")
    async def twice(order: int) -> int:
        once = await shop.pack.astep(order)
        return await shop.pack.astep(once)

    async with working(shop.app):
        last = await chain(shop.pack.bind(1), twice.bind(), shop.pack.bind()).aenqueue()

        assert await last.aresult(WAIT_S) == 10_000


async def test_large_results_of_steps_are_brought(shop: Shop, tmp_path: Path) -> None:
    app = quick_app(shop.app.settings.store, large_results=tmp_path.as_uri())

    @app.task(name="large")
    def large() -> str:
        return "x" * 500_000

    @app.workflow(name="wide")
    async def wide() -> int:
        return len(await large.astep())

    async with working(app):
        assert await (await wide.aenqueue()).aresult(WAIT_S) == 500_000


async def test_a_workflow_is_plain_code_where_it_is_called(shop: Shop) -> None:
    @shop.app.workflow(name="order")
    async def order(number: int) -> str:
        assert now().tzinfo is not None
        assert uuid4() != uuid4()
        assert random().random() < 1
        return f"{await shop.charge(number)}, {await shop.pack.astep(number)}"

    assert await order(3) == "receipt 3: 100, 30"
    await shop.app.aclose()


async def test_a_workflow_refuses_what_each_replay_would_do_again(shop: Shop) -> None:
    @shop.app.workflow(name="enqueues")
    async def enqueues() -> None:
        shop.pack.enqueue(1)

    @shop.app.workflow(name="aenqueues")
    async def aenqueues() -> None:
        await shop.pack.aenqueue(1)

    @shop.app.workflow(name="looks")
    async def looks() -> None:
        shop.app.job("some").result()

    @shop.app.workflow(name="options")
    async def options() -> None:
        shop.pack.step(name="other")(1)

    @shop.app.workflow(name="snoozes")
    async def snoozes() -> None:
        raise Snooze(5.0)

    async with working(shop.app):
        for workflow in enqueues, aenqueues, looks, options, snoozes:
            run = await workflow.aenqueue()
            refused = NotInRun if workflow is options else RefusedInWorkflow
            with pytest.raises(JobFailed, match=refused.__name__):
                await run.aresult(WAIT_S)

    assert shop.said == []


async def test_what_is_no_workflow_is_refused(shop: Shop) -> None:
    def plain() -> None: ...

    with pytest.raises(BadTask, match="async"):
        shop.app.workflow(name="plain")(plain)  # type: ignore[arg-type]
    await shop.app.aclose()
