"""Repeated calls become one, on both stores, with a worker in the same loop."""

import asyncio
from itertools import pairwise

import pytest

from tests.app.live import WAIT_S, quick_app, running, working
from windlass import Debounce, JobFailed, Throttle, Unique, continue_as


async def test_a_debounced_task_runs_the_last_call(store_url: str) -> None:
    app = quick_app(store_url)
    ran: list[int] = []

    @app.task(once=Debounce(0.5, key="doc"))
    async def index(doc: str, version: int) -> int:
        ran.append(version)
        return version

    async with working(app):
        jobs = [await index.aenqueue("a", version) for version in range(5)]
        other = await index.aenqueue("b", 100)

        assert len({job.id for job in jobs}) == 1
        assert await jobs[0].aresult(timeout=WAIT_S) == 4
        assert await other.aresult(timeout=WAIT_S) == 100
    assert sorted(ran) == [4, 100]


async def test_a_throttled_task_starts_once_in_each_span(store_url: str) -> None:
    app = quick_app(store_url)
    loop = asyncio.get_running_loop()
    starts: list[float] = []
    ran: list[int] = []

    @app.task(once=Throttle(0.5))
    async def refresh(n: int) -> None:
        starts.append(loop.time())
        ran.append(n)

    async with working(app):
        for n in range(12):
            job = await refresh.aenqueue(n)
            await asyncio.sleep(0.1)
        await job.aresult(timeout=WAIT_S)

    assert (ran[0], ran[-1]) == (0, 11)
    assert len(ran) <= 4
    assert all(b - a > 0.3 for a, b in pairwise(starts))


async def test_a_job_cannot_go_on_as_a_task_whose_calls_become_one(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(once=Throttle(per=60))
    def index() -> None: ...

    @app.task
    def publish() -> None:
        return continue_as(index.bind())

    job = await publish.aenqueue()
    async with working(app):
        with pytest.raises(JobFailed, match="enqueue it inside of the job"):
            await job.aresult(timeout=WAIT_S)
        jobs = await (await app.client()).jobs()

    assert [each.task for each in jobs] == [publish.name]


async def test_a_unique_task_has_one_live_job_for_each_key(store_url: str) -> None:
    app, gate = quick_app(store_url), asyncio.Event()

    @app.task(once=Unique("customer"))
    async def bill(customer: str) -> str:
        await gate.wait()
        return customer

    async with working(app):
        first = await bill.aenqueue("ann")
        await running(first)
        second, other = await bill.aenqueue("ann"), await bill.aenqueue("bob")
        gate.set()
        await app.agather([first, other], timeout=WAIT_S)
        third = await bill.aenqueue("ann")

        assert second.id == first.id
        assert third.id not in (first.id, other.id)
        assert await third.aresult(timeout=WAIT_S) == "ann"


async def test_unique_until_start_keeps_one_waiting(store_url: str) -> None:
    app, gate = quick_app(store_url), asyncio.Event()

    @app.task(once=Unique(until="start"))
    async def sync() -> None:
        await gate.wait()

    async with working(app, concurrency=1):
        first = await sync.aenqueue()
        await running(first)
        second, third = await sync.aenqueue(), await sync.aenqueue()
        gate.set()
        await app.agather([first, second], timeout=WAIT_S)

        assert first.id != second.id == third.id
