"""Waiting for many jobs at once, on both stores."""

import asyncio
import time

import pytest

from tests.app.live import WAIT_S, quick_app, working
from tests.app.test_blocking import worker_thread
from windlass import App, JobCancelled, JobFailed, ResultTimeout, Task


def sleeping(app: App) -> "Task[[float], object, float]":
    @app.task
    async def sleep(seconds: float) -> float:
        await asyncio.sleep(seconds)
        if seconds == 0.02:
            raise OSError("not this one")
        return seconds

    return sleep  # type: ignore[return-value]  # its plain call is of no interest here


async def test_all_values_come_in_the_order_of_the_jobs(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    async with working(app, concurrency=50):
        jobs = await app.aenqueue_many([sleep.prepare(s) for s in (0.2, 0.0, 0.1)])

        assert await app.agather(jobs, timeout=WAIT_S) == [0.2, 0.0, 0.1]
        assert await app.agather([jobs[1], jobs[1]]) == [0.0, 0.0]
        assert await app.agather([]) == []


async def test_they_are_told_as_they_end(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    async with working(app, concurrency=50):
        jobs = await app.aenqueue_many([sleep.prepare(s) for s in (0.6, 0.0, 0.3)])
        seconds = [await job.aresult() async for job in app.aas_completed(jobs, timeout=WAIT_S)]

        assert seconds == [0.0, 0.3, 0.6]
        assert await anext(app.aas_completed([]), None) is None


async def test_a_failure_is_raised_by_one_and_handed_out_by_the_other(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    async with working(app, concurrency=50):
        jobs = await app.aenqueue_many([sleep.prepare(s) for s in (0.0, 0.02)])
        later = await sleep.using(delay=60).aenqueue(0.0)
        await later.acancel()
        with pytest.raises(JobFailed, match="not this one"):
            await app.agather([*jobs, later], timeout=WAIT_S)
        with pytest.raises(JobCancelled):
            await app.agather([jobs[0], later], timeout=WAIT_S)

        handed_out = {job.id async for job in app.aas_completed([*jobs, later], timeout=WAIT_S)}
        assert handed_out == {jobs[0].id, jobs[1].id, later.id}


async def test_the_time_limit_is_for_all_together(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    async with working(app, concurrency=50):
        jobs = await app.aenqueue_many([sleep.prepare(s) for s in (0.0, 0.1, 60.0)])
        start = time.monotonic()
        with pytest.raises(ResultTimeout) as late:
            await app.agather(jobs, timeout=0.5)
        assert late.value.job_id == jobs[2].id
        each = app.aas_completed(jobs, timeout=0.5)
        assert [(await anext(each)).id, (await anext(each)).id] == [jobs[0].id, jobs[1].id]
        with pytest.raises(ResultTimeout):
            await anext(each)

        assert 1.0 <= time.monotonic() - start < 5


async def test_what_has_ended_is_in_time_however_short_the_time(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    async with working(app):
        jobs = await app.aenqueue_many([sleep.prepare(s) for s in (0.0, 0.01)])
        await app.agather(jobs, timeout=WAIT_S)
        late = await sleep.aenqueue(60.0)

        assert await jobs[0].aresult(timeout=0) == 0.0
        assert await app.agather(jobs, timeout=0) == [0.0, 0.01]
        told = [await job.aresult() async for job in app.aas_completed(jobs, timeout=0)]
        assert sorted(told) == [0.0, 0.01]
        with pytest.raises(ResultTimeout):
            await app.agather([*jobs, late], timeout=0)


async def test_who_stops_listening_leaves_nothing_behind(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    async with working(app, concurrency=50):
        jobs = await app.aenqueue_many([sleep.prepare(s) for s in (0.0, 60.0)])
        each = app.aas_completed(jobs)
        assert (await anext(each)).id == jobs[0].id
        await each.aclose()

        waiter = (await app.client())._waiter
        assert (waiter._futures, waiter._waiting) == ({}, {})


async def test_thousands_are_waited_for_by_one_waiter(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def double(n: int) -> int:
        return n * 2

    async with working(app, concurrency=200):
        jobs = await app.aenqueue_many([double.prepare(n) for n in range(3_000)])
        told = [await job.aresult() async for job in app.aas_completed(jobs, timeout=60)]

        assert sorted(told) == [n * 2 for n in range(3_000)]
        assert await app.agather(jobs, timeout=60) == [n * 2 for n in range(3_000)]


def test_the_blocking_face(store_url: str) -> None:
    app = quick_app(store_url)
    sleep = sleeping(app)
    with worker_thread(app):
        jobs = app.enqueue_many([sleep.prepare(s) for s in (0.3, 0.0)])

        assert [job.result() for job in app.as_completed(jobs, timeout=WAIT_S)] == [0.0, 0.3]
        assert app.gather(jobs, timeout=WAIT_S) == [0.3, 0.0]
        assert next(app.as_completed(jobs)).id in {job.id for job in jobs}
        with pytest.raises(ResultTimeout):
            list(app.as_completed([sleep.enqueue(60.0)], timeout=0.1))
    app.close()
