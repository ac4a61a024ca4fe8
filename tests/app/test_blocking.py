"""The blocking face: from threads, from forked processes, from inside and outside event loops."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date

import pytest

from tests.app.live import WAIT_S, quick_app, working
from tests.forks import in_a_fork
from tests.servers import PostgresServer
from windlass import App, JobFailed, State
from windlass.errors import JobNotFound, StoreUnavailable


@contextmanager
def worker_thread(app: App) -> Iterator[None]:
    """Run a worker of the app on a thread, in an event loop of its own."""
    loop_and_stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
    ready = threading.Event()

    async def work() -> None:
        stop = asyncio.Event()
        loop_and_stop.append((asyncio.get_running_loop(), stop))
        async with working(app):
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield
    finally:
        [(loop, stop)] = loop_and_stop
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)


def double(n: int) -> int:
    return n * 2


def birthday(on: date) -> date:
    return on


def broken() -> None:
    raise ValueError("broken")


def test_code_without_an_event_loop_enqueues_and_waits(store_url: str) -> None:
    app = quick_app(store_url)
    task, fails = app.task(double), app.task(broken)
    with worker_thread(app):
        assert task(4) == 8
        assert task.enqueue(21).result(WAIT_S) == 42
        assert task.enqueue(n=21).job().state in State
        assert [job.result(WAIT_S) for job in app.enqueue_many([task.prepare(1)])] == [2]
        with pytest.raises(JobFailed, match="broken"):
            fails.enqueue().result(WAIT_S)
    app.close()
    app.close()  # nothing is left to close


def test_many_threads_share_an_app(store_url: str) -> None:
    app = quick_app(store_url)
    task = app.task(double)

    def enqueue(n: int) -> tuple[str, int]:
        job = task.enqueue(n)
        return job.id, job.result(WAIT_S)

    with worker_thread(app), ThreadPoolExecutor(8) as threads:
        told = list(threads.map(enqueue, range(200)))
    app.close()

    assert [value for _, value in told] == [n * 2 for n in range(200)]
    assert len({job_id for job_id, _ in told}) == 200


def test_one_app_serves_one_event_loop_after_another(store_url: str) -> None:
    app = quick_app(store_url)
    task = app.task(double)

    async def enqueue() -> str:
        return (await task.aenqueue(1)).id

    async def enqueue_and_close() -> str:
        async with app.session():
            return await enqueue()

    ids = {asyncio.run(enqueue_and_close()), asyncio.run(enqueue_and_close()), task.enqueue(1).id}
    app.close()
    ids.add(task.enqueue(1).id)  # opens anew

    assert len(ids) == 4
    assert all(app.job(job_id).job().state is State.QUEUED for job_id in ids)
    app.close()


async def test_a_blocking_call_works_inside_an_event_loop_too(store_url: str) -> None:
    app = quick_app(store_url)
    task = app.task(double)
    async with working(app):
        job = task.enqueue(3)

        assert await job.aresult(WAIT_S) == 6
    app.close()


def test_a_job_may_enqueue_another(store_url: str) -> None:
    app = quick_app(store_url)
    child = app.task(double)

    @app.task
    def plain(n: int) -> str:
        return child.enqueue(n).id

    @app.task
    async def asynchronous(n: int) -> str:
        return (await child.aenqueue(n)).id

    with worker_thread(app):
        for parent in (plain, asynchronous):
            child_id = parent.enqueue(5).result(WAIT_S)
            assert app.job(child_id).result(WAIT_S) == 10
    app.close()


def test_a_job_is_found_by_its_id_in_another_program(store_url: str) -> None:
    app, elsewhere = quick_app(store_url), quick_app(store_url)
    job = app.task(birthday).enqueue(date(2026, 1, 2))
    with worker_thread(app):
        assert job.result(WAIT_S) == date(2026, 1, 2)
        # Where its task is not known, neither is the type of its result.
        assert elsewhere.job(job.id).result(WAIT_S) == "2026-01-02"
        with pytest.raises(JobNotFound):
            elsewhere.job("nothing")
    app.close()
    elsewhere.close()


def test_an_app_that_was_used_before_a_fork_works_on_both_sides(store_url: str) -> None:
    app = quick_app(store_url)
    task = app.task(double)
    ids: list[str] = [task.enqueue(1).id]
    for _ in range(3):
        ids.append(in_a_fork(lambda: task.enqueue(2).id))
        ids.append(task.enqueue(3).id)

    assert len(set(ids)) == 7
    assert all(app.job(job_id).job().state is State.QUEUED for job_id in ids)
    with worker_thread(app):
        values = [app.job(job_id).result(WAIT_S) for job_id in ids]
        forked = in_a_fork(lambda: str(task.enqueue(4).result(WAIT_S)))
    app.close()

    assert values == [2, 4, 6, 4, 6, 4, 6]
    assert forked == "8"


@pytest.mark.postgres
def test_a_store_that_was_away_at_the_first_call_is_tried_again_at_the_next() -> None:
    with PostgresServer() as server:
        url = server.create_database("late")
        app = quick_app(url)
        app.migrate()
        app.close()
        task = app.task(double)
        server.kill()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            task.enqueue(1)

        server.start()

        assert task.enqueue(1).job().state is State.QUEUED
        app.close()
