"""What operators do, on both stores, with a worker beside them."""

import asyncio
import inspect
import logging
import threading
from datetime import timedelta

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, until, working
from windlass import App, Changes, Concurrency, JobFilter, JobHandle, State
from windlass.engine.client import Client
from windlass.errors import (
    BadOption,
    HoldNotFound,
    JobNotFailed,
    JobNotWaiting,
    WorkerNotFound,
)
from windlass.model.holds import HoldId
from windlass.model.jobs import Reason, WorkerId
from windlass.operations import Operations


class Shop:
    """An app with a task that can be told to fail."""

    def __init__(self, store_url: str) -> None:
        self.app = quick_app(store_url)
        self.done: list[str] = []
        self.closed = False

        @self.app.task(name="ship", limits=[Concurrency(9, key="customer")])
        async def ship(customer: str, copies: int = 1) -> int:
            if self.closed:
                raise OSError("closed")
            self.done.append(customer)
            return copies

        self.ship = ship


async def held(job: "JobHandle[int]") -> None:
    await until(job, lambda found: found.state is State.HELD)


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(store_url: str) -> None:
    shop = Shop(store_url)
    async with working(shop.app):
        client = await shop.app.client()
        hold = await client.pause(HoldId("h"), queue="default", why="no paper")
        job = await shop.ship.aenqueue("ann")
        await asyncio.sleep(0.3)
        assert (await job.ajob()).state is State.QUEUED
        assert [(h.id, h.why) for h in await client.holds()] == [(hold.id, "no paper")]
        await client.resume(hold.id)

        assert await job.aresult(timeout=WAIT_S) == 1


async def test_a_hold_that_is_over_at_once_is_not_found(store_url: str) -> None:
    shop = Shop(store_url)
    client = await shop.app.client()
    with pytest.raises(HoldNotFound):
        await client.pause(HoldId("h"), queue="default", expires=0)
    await shop.app.aclose()


@pytest.mark.parametrize(
    "what", [{"task": "ship"}, {"key": "ann"}, {"arguments": {"customer": "ann"}}], ids=str
)
async def test_what_is_paused_steps_aside_and_the_rest_goes_on(
    store_url: str, what: dict[str, str]
) -> None:
    shop = Shop(store_url)
    async with working(shop.app):
        client = await shop.app.client()
        await client.pause(HoldId("h"), **what)  # type: ignore[arg-type]
        paused, other = await shop.ship.aenqueue("ann"), await shop.ship.aenqueue("bob")
        await held(paused)
        if what != {"task": "ship"}:
            await other.aresult(timeout=WAIT_S)
        await client.resume(HoldId("h"))

        assert await shop.app.agather([paused, other], timeout=WAIT_S) == [1, 1]


async def test_a_quarantine_ends_by_itself(store_url: str) -> None:
    shop = Shop(store_url)
    async with working(shop.app):
        client = await shop.app.client()
        await client.pause(
            HoldId("h"), task="ship", expires=timedelta(seconds=0.5), reason=Reason.QUARANTINED
        )
        job = await shop.ship.aenqueue("ann")
        await held(job)

        assert await job.aresult(timeout=WAIT_S) == 1


async def test_a_drained_worker_ends_what_it_runs_and_stops(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "windlass.worker")
    app, gate = quick_app(store_url), asyncio.Event()

    @app.task()
    async def wait() -> str:
        await gate.wait()
        return "ended"

    async with app.session() as client:
        running_worker = asyncio.create_task(app.run_worker())
        job = await wait.aenqueue()
        await running(job)
        [worker] = await client.workers()
        await client.drain(worker.id)
        async with asyncio.timeout(WAIT_S):
            while "drains this worker" not in caplog.text:  # it is told with its next renewal
                await asyncio.sleep(0.005)
        later = await wait.aenqueue()
        gate.set()
        await asyncio.wait_for(running_worker, WAIT_S)

        assert await job.aresult(timeout=WAIT_S) == "ended"
        assert (await later.ajob()).state is State.QUEUED
        with pytest.raises(WorkerNotFound):
            await client.drain(worker.id)


async def test_a_cancel_asked_for_again_does_not_wait_for_the_end(store_url: str) -> None:
    shop = Shop(store_url)
    gate = threading.Event()

    @shop.app.task(name="deaf")
    def deaf() -> bool:
        return gate.wait(WAIT_S)

    async with working(shop.app):
        job = await deaf.aenqueue()
        await running(job)
        try:
            async with asyncio.timeout(WAIT_S / 2):
                assert [await job.acancel() for _ in range(2)] == [State.RUNNING] * 2
        finally:
            gate.set()


async def test_many_jobs_are_cancelled_by_a_filter(store_url: str) -> None:
    shop = Shop(store_url)
    async with shop.app.session() as client:
        await shop.app.aenqueue_many([shop.ship.prepare("ann") for _ in range(2_500)])
        kept = await shop.ship.using(queue="other").aenqueue("bob")

        assert await client.cancel_all(JobFilter(queue="default")) == 2_500
        assert await client.cancel_all(JobFilter(queue="default")) == 0
        assert (await kept.ajob()).state is State.QUEUED


async def test_a_job_is_rescheduled_to_now_and_to_later(store_url: str) -> None:
    shop = Shop(store_url)
    async with shop.app.session() as client:
        job = await shop.ship.using(delay=3600).aenqueue("ann")
        assert await client.reschedule(job.id) is State.QUEUED
        assert await client.reschedule(job.id) is State.QUEUED
        assert await client.reschedule(job.id, timedelta(minutes=5)) is State.SCHEDULED
        found = await job.ajob()
        assert 290 < (found.due_at - found.created_at).total_seconds() < 310
        assert await client.reschedule_all(JobFilter(task="ship"), 0) == 1
    async with working(shop.app):
        await job.aresult(timeout=WAIT_S)
        with pytest.raises(JobNotWaiting, match="is succeeded"):
            await (await shop.app.client()).reschedule(job.id)


async def test_dead_letters_are_replayed_with_changes(store_url: str) -> None:
    shop = Shop(store_url)
    shop.closed = True
    async with working(shop.app):
        client = await shop.app.client()
        dead = [await ended(await shop.ship.aenqueue(name)) for name in ("ann", "bob", "cy")]
        shop.closed = False
        changes = Changes(priority=7, arguments={"copies": 3})
        one = await client.retry(dead[0].id, shop.app.new_job_id(), changes=changes)
        again = await client.get(one)
        assert (again.priority, again.retry_of) == (7, dead[0].id)
        where = JobFilter(task="ship")
        assert await client.retry_all(where, shop.app.new_job_id, changes=changes) == 2
        jobs: list[JobHandle[int]] = [
            JobHandle(shop.app, job.id, shop.ship.spec) for job in await client.jobs(where)
        ]
        live = [job for job in jobs if job.id not in {one.id for one in dead}]

        assert await shop.app.agather(live, timeout=WAIT_S) == [3, 3, 3]
        assert await client.dead_letters() == []
        with pytest.raises(JobNotFailed):
            await client.retry(one, shop.app.new_job_id())


async def test_changes_that_cannot_be_made_store_nothing(store_url: str) -> None:
    shop = Shop(store_url)
    shop.closed = True
    async with working(shop.app):
        client = await shop.app.client()
        dead = await ended(await shop.ship.aenqueue("ann"))
        for wrong in (
            Changes(priority=1_000),
            Changes(queue=""),
            Changes(arguments={"copies": object()}),
        ):
            with pytest.raises(BadOption):
                await client.retry(dead.id, shop.app.new_job_id(), changes=wrong)

        assert len(await client.dead_letters()) == 1


async def test_discarding_and_purging_take_only_what_fits(store_url: str) -> None:
    shop = Shop(store_url)
    async with working(shop.app):
        client = await shop.app.client()
        await ended(await shop.ship.aenqueue("ann"))
        shop.closed = True
        dead = await ended(await shop.ship.aenqueue("bob"))
        waiting = await shop.ship.using(delay=3600).aenqueue("cy")
        assert await client.discard_all(JobFilter(task="other")) == 0
        assert await client.purge(JobFilter(states=(State.SUCCEEDED,))) == 1
        assert await client.discard_all(JobFilter()) == 1
        assert await client.dead_letters() == []
        assert (await dead.ajob()).resolved_at is not None
        assert await client.purge(JobFilter()) == 1

        assert [job.id for job in await client.jobs()] == [waiting.id]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"queue": "\n"},
        {"arguments": {}},
        {"task": "t", "why": "x" * 501},
        {"task": "t", "expires": -1},
    ],
    ids=str,
)
async def test_a_hold_that_says_nothing_is_refused(store_url: str, options: dict[str, str]) -> None:
    app = quick_app(store_url)
    async with app.session() as client:
        with pytest.raises(BadOption):
            await client.pause(HoldId("h"), **options)  # type: ignore[arg-type]
        with pytest.raises(HoldNotFound):
            await client.resume(HoldId("h"))

        assert await client.holds() == []


def test_the_blocking_face_does_the_same(store_url: str) -> None:
    app: App = quick_app(store_url)
    task = app.task(name="noop")(lambda: None)
    operations = app.operations
    job = task.enqueue()
    hold = operations.pause(task="noop", why="a test")
    assert operations.holds() == [hold]
    operations.resume(hold.id)
    assert operations.get(job.id).state is State.QUEUED
    assert operations.why(job.id).cause == "no_worker"
    assert operations.reschedule(job.id, 60) is State.SCHEDULED
    assert operations.reschedule_all(JobFilter()) == 1
    assert operations.counts() == {("default", State.QUEUED): 1}
    assert operations.cancel(job.id) is State.CANCELLED
    assert operations.cancel_all(JobFilter()) == 0
    assert [event.actor for event in operations.events(job.id)] == ["operator"] * 3
    assert operations.dead_letters() == []
    assert operations.retry_all(JobFilter()) == operations.discard_all(JobFilter()) == 0
    assert operations.discard([job.id]) == [False]
    with pytest.raises(JobNotFailed):
        operations.retry(job.id)
    assert operations.workers() == []
    with pytest.raises(WorkerNotFound):
        operations.drain(WorkerId("w"))
    assert [found.id for found in operations.jobs()] == [job.id]
    assert operations.purge(JobFilter()) == 1
    app.close()


def test_the_blocking_face_takes_what_the_client_takes() -> None:
    own = {"actor", "new_id", "hold_id", "now", "self"}
    for name, blocking in inspect.getmembers(Operations, inspect.isfunction):
        if name.startswith("_"):
            continue
        wanted = set(inspect.signature(getattr(Client, name)).parameters) - own
        told = set(inspect.signature(blocking).parameters) - {"self"}
        told.discard("hold_id")

        assert told == wanted, name
