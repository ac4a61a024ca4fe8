"""Progress as users report and watch it, on both stores."""

import asyncio
import threading

import pytest

from tests.app.live import WAIT_S, quick_app, working
from tests.app.test_blocking import worker_thread
from windlass import (
    App,
    JobFailed,
    JobHandle,
    Notice,
    NoticeKind,
    Progress,
    ResultTimeout,
    Retry,
    Task,
    context,
)
from windlass.errors import JobNotFound


class Gate:
    """Lets a task go on when the test has seen what it said."""

    def __init__(self) -> None:
        self._steps = threading.Semaphore(0)

    def open(self) -> None:
        """Let it take one more step."""
        self._steps.release()

    def wait(self) -> None:
        """Wait for the next step."""
        assert self._steps.acquire(timeout=WAIT_S)


def painter(app: App, gate: Gate) -> "Task[[int], int, int]":
    @app.task
    def paint(walls: int) -> int:
        for n in range(walls):
            context().progress(n / walls, f"wall {n}")
            gate.wait()
        context().progress(1, "dry")
        return walls

    return paint


async def test_each_progress_is_seen_live(store_url: str) -> None:
    app, gate = quick_app(store_url, progress_interval_s=0.01), Gate()
    paint = painter(app, gate)
    async with working(app):
        job = await paint.aenqueue(4)
        seen = []
        async for progress in job.awatch(WAIT_S):
            seen.append((progress.fraction, progress.message))
            gate.open()

        assert seen == [(n / 4, f"wall {n}") for n in range(4)] + [(1.0, "dry")]
        assert await job.aresult(WAIT_S) == 4
        last = await job.aprogress()
        assert isinstance(last, Progress)
        ended_at = (await job.ajob()).ended_at
        assert ended_at is not None
        assert last.at <= ended_at
        assert [p.message async for p in job.awatch(WAIT_S)] == ["dry"]


async def test_several_watch_one_job_and_one_watches_several(store_url: str) -> None:
    app, gate = quick_app(store_url, progress_interval_s=0.01), Gate()
    paint = painter(app, gate)

    async def follow(job: JobHandle[int]) -> list[str]:
        return [p.message async for p in job.awatch(WAIT_S)]

    async with working(app, concurrency=4):
        jobs = [await paint.aenqueue(0) for _ in range(3)]
        seen = await asyncio.gather(*(follow(job) for job in [*jobs, jobs[0]]))

        assert seen == [["dry"]] * 4


async def test_a_job_that_says_nothing_is_watched_to_its_end(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def silent(wrong: bool) -> None:
        await asyncio.sleep(0.05)
        if wrong:
            raise ValueError("wrong")

    async with working(app):
        for wrong in (False, True):
            job = await silent.aenqueue(wrong)
            assert [p async for p in job.awatch(WAIT_S)] == []
            assert await job.aprogress() is None
        with pytest.raises(JobFailed):
            await job.aresult()


async def test_watching_ends_at_its_time_limit(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def sleeps() -> None:
        context().progress(0.1)
        await asyncio.sleep(60)

    async with working(app):
        job = await sleeps.aenqueue()
        first = job.awatch(WAIT_S)
        assert (await anext(first)).fraction == 0.1
        await first.aclose()
        each = job.awatch(0.5)
        assert (await anext(each)).fraction == 0.1
        with pytest.raises(ResultTimeout):
            await anext(each)


async def test_a_second_attempt_begins_anew(store_url: str) -> None:
    app = quick_app(store_url)
    go_on = asyncio.Event()

    @app.task(retry=Retry(2, delay=0.01))
    async def twice() -> None:
        context().progress(0.9 if context().attempt == 1 else 0.1)
        if context().attempt == 1:
            raise ConnectionError("once")
        await go_on.wait()

    async with working(app):
        job = await twice.aenqueue()
        seen = []
        async for progress in job.awatch(WAIT_S):
            seen.append(progress.fraction)
            if progress.fraction == 0.1:
                go_on.set()

        assert seen[-1] == 0.1


async def test_a_wrong_fraction_fails_the_attempt_and_says_why(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def percent() -> None:
        context().progress(40)

    async with working(app):
        with pytest.raises(JobFailed, match="fraction = 40: must be from 0 to 1"):
            await (await percent.aenqueue()).aresult(WAIT_S)


async def test_observers_are_told_before_the_end(store_url: str) -> None:
    app = quick_app(store_url)
    told: list[Notice] = []
    app.observe(told.append)

    @app.task
    async def works() -> None:
        context().progress(0.5, "half")

    async with working(app):
        await (await works.aenqueue()).aresult(WAIT_S)

    kinds = [notice.kind for notice in told]
    progressed = told[kinds.index(NoticeKind.PROGRESSED)]
    assert (progressed.fraction, progressed.message, progressed.attempt) == (0.5, "half", 1)
    assert kinds.index(NoticeKind.PROGRESSED) < kinds.index(NoticeKind.SUCCEEDED)


def test_the_blocking_face(store_url: str) -> None:
    app, gate = quick_app(store_url, progress_interval_s=0.01), Gate()
    paint = painter(app, gate)
    with worker_thread(app):
        job = paint.enqueue(2)
        seen = []
        for progress in job.watch(WAIT_S):
            seen.append(progress.message)
            gate.open()

        assert seen == ["wall 0", "wall 1", "dry"]
        last = job.progress()
        assert last is not None
        assert (last.fraction, last.message) == (1.0, "dry")
    app.close()


def test_a_job_that_is_gone_is_not_waited_for(store_url: str) -> None:
    app, gate = quick_app(store_url), Gate()
    paint = painter(app, gate)
    job = paint.enqueue(1)
    job.id = app.new_job_id()
    assert job.progress() is None
    with pytest.raises(JobNotFound):
        next(job.watch(WAIT_S))
    app.close()
