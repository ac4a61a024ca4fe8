"""Observers, on both stores: told everything in order, unable to harm anything."""

import asyncio

import pytest

from tests.app.live import WAIT_S, ended, quick_app, until, working
from windlass import Cancel, JobFailed, Notice, NoticeKind, Retry, Snooze, context
from windlass.errors import BadOption
from windlass.model.jobs import WorkerId
from windlass.model.workers import WorkerInfo
from windlass.plugins import make_store

K = NoticeKind


def kinds_of(notices: list[Notice], job_id: str) -> list[NoticeKind]:
    return [notice.kind for notice in notices if notice.job_id == job_id]


async def told(notices: list[Notice], kind: NoticeKind, count: int = 1) -> None:
    """Wait for notices: they come after the write that waiters already know of."""
    async with asyncio.timeout(WAIT_S):
        while sum(notice.kind is kind for notice in notices) < count:
            await asyncio.sleep(0.005)


async def test_a_jobs_whole_life_is_told_in_order(store_url: str) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []
    app.observe(notices.append)

    @app.task(name="t", queue="q", retry=Retry(2, delay=0.01))
    async def task(how: str) -> None:
        if how == "snooze" and context().attempt == 1:
            raise Snooze(0.01)
        if how == "cancel":
            raise Cancel
        if how == "fail" or (how == "retry" and context().attempt == 1):
            raise OSError

    ways = ["succeed", "snooze", "cancel", "fail", "retry"]
    async with working(app):
        jobs = {how: (await task.aenqueue(how)) for how in ways}
        for job in jobs.values():
            await ended(job)
        await told(notices, K.SUCCEEDED, 3)
        await told(notices, K.FAILED)
        await told(notices, K.CANCELLED)

    attempt = [K.CLAIMED, K.STARTED]
    assert {how: kinds_of(notices, job.id) for how, job in jobs.items()} == {
        "succeed": [K.ENQUEUED, *attempt, K.SUCCEEDED],
        "snooze": [K.ENQUEUED, *attempt, K.SNOOZED, *attempt, K.SUCCEEDED],
        "cancel": [K.ENQUEUED, *attempt, K.CANCELLED],
        "fail": [K.ENQUEUED, *attempt, K.RETRIED, *attempt, K.FAILED],
        "retry": [K.ENQUEUED, *attempt, K.RETRIED, *attempt, K.SUCCEEDED],
    }
    assert [notices[0].kind, notices[-1].kind] == [K.WORKER_STARTED, K.WORKER_STOPPED]
    [failed] = [notice for notice in notices if notice.kind is K.FAILED]
    assert (failed.task, failed.queue, failed.attempt) == ("t", "q", 2)
    assert (failed.reason, failed.error_type) == ("error", "OSError")
    assert failed.seconds is not None
    assert 0 <= failed.seconds < 5


async def test_what_an_observer_raises_is_logged_and_harms_nothing(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []

    @app.observe
    def broken(notice: Notice) -> None:
        raise RuntimeError(notice.kind)

    app.observe(notices.append)

    @app.task
    async def fail() -> None:
        raise OSError

    async with working(app):
        job = await fail.aenqueue()
        with pytest.raises(JobFailed):
            await job.aresult(WAIT_S)
        await told(notices, K.FAILED)

    assert kinds_of(notices, job.id) == [K.ENQUEUED, K.CLAIMED, K.STARTED, K.FAILED]
    assert caplog.text.count("an observer of failed broke") == 1


async def test_an_observer_is_told_only_the_kinds_that_it_wants(store_url: str) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []

    class Alarm:
        kinds = frozenset({K.FAILED, K.WORKER_STOPPED})

        def __call__(self, notice: Notice) -> None:
            notices.append(notice)

    app.observe(Alarm())

    @app.task
    async def task(fails: bool) -> None:
        if fails:
            raise OSError

    async with working(app):
        await ended(await task.aenqueue(False))
        failed = await ended(await task.aenqueue(True))
        await told(notices, K.FAILED)

    assert [notice.kind for notice in notices] == [K.FAILED, K.WORKER_STOPPED]
    assert kinds_of(notices, failed.id) == [K.FAILED]
    assert notices[0].seconds is not None


async def test_an_observer_of_starts_alone_is_told_of_starts(store_url: str) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []

    class Starts:
        kinds = ("started",)

        def __call__(self, notice: Notice) -> None:
            notices.append(notice)

    app.observe(Starts())
    job = await app.task(_noop).aenqueue()
    async with working(app):
        await ended(job)

    assert [(notice.kind, notice.job_id) for notice in notices] == [(K.STARTED, job.id)]


@pytest.mark.parametrize("kinds", [["finished"], 5, "failed"])
def test_an_observer_of_what_is_no_kind_is_refused(kinds: object) -> None:
    class Observer:
        def __call__(self, notice: Notice) -> None: ...

    observer = Observer()
    vars(observer)["kinds"] = kinds

    with pytest.raises(BadOption, match="kinds"):
        quick_app("sqlite:///x.db").observe(observer)


async def test_an_enqueue_that_made_no_job_is_not_told(store_url: str) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []
    app.observe(notices.append)

    @app.task
    async def noop() -> None: ...

    async with app.session():
        once = noop.using(unique_key="k")
        first, _ = await once.aenqueue(), await once.aenqueue()
        await app.aenqueue_many([noop.prepare(), noop.prepare()])

    assert [notice.kind for notice in notices] == [K.ENQUEUED] * 3
    assert kinds_of(notices, first.id) == [K.ENQUEUED]


def test_blocking_enqueues_are_told_too(store_url: str) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []
    app.observe(notices.append)
    job = app.task(_noop).enqueue()
    app.close()

    assert kinds_of(notices, job.id) == [K.ENQUEUED]


def _noop() -> None: ...


async def test_a_job_that_is_given_back_is_told(store_url: str) -> None:
    app, other = quick_app(store_url), quick_app(store_url)
    notices: list[Notice] = []
    app.observe(notices.append)

    @app.task
    async def endless() -> None:
        await asyncio.sleep(60)

    unknown = await other.task(name="unknown")(_noop).aenqueue()
    async with working(app):
        job = await endless.aenqueue()
        await told(notices, K.STARTED)
        await told(notices, K.RELEASED)

    assert kinds_of(notices, unknown.id)[:2] == [K.CLAIMED, K.RELEASED]
    assert kinds_of(notices, job.id) == [K.ENQUEUED, K.CLAIMED, K.STARTED, K.RELEASED]
    await other.aclose()


async def test_jobs_taken_back_from_a_lost_worker_are_told(store_url: str) -> None:
    app = quick_app(store_url)
    notices: list[Notice] = []
    app.observe(notices.append)
    noop = app.task(_noop)
    jobs = await app.aenqueue_many([noop.prepare() for _ in range(3)])
    store = make_store(store_url, app.settings)
    await store.open()
    lost = WorkerInfo(id=WorkerId("lost"), host="h", pid=1, queues=("default",), slots=3)
    await store.renew(lost, 0.3)
    assert len(await store.claim(lost.id, ["default"], 3)) == 3
    await store.close()  # and nobody renews

    async with working(app):
        await told(notices, K.LOST)
        for job in jobs:
            await job.aresult(WAIT_S)

    assert sum(notice.count for notice in notices if notice.kind is K.LOST) == 3


async def test_an_outcome_that_comes_too_late_is_told_as_refused(store_url: str) -> None:
    app = quick_app(store_url, lease_s=10.0, renew_s=3.0)
    notices: list[Notice] = []
    app.observe(notices.append)
    gate = asyncio.Event()

    @app.task
    async def task() -> None:
        await gate.wait()

    store = make_store(store_url, app.settings)
    await store.open()
    async with working(app):
        job = await task.aenqueue()
        await told(notices, K.STARTED)
        worker = notices[0].worker
        assert worker is not None
        await store.leave(worker)  # as if its lease had run out
        await until(job, lambda found: found.losses > 0)
        gate.set()
        await told(notices, K.REFUSED)
        await job.aresult(WAIT_S)
        await told(notices, K.SUCCEEDED)

    assert kinds_of(notices, job.id) == [
        *(K.ENQUEUED, K.CLAIMED, K.STARTED, K.REFUSED),
        *(K.CLAIMED, K.STARTED, K.SUCCEEDED),
    ]
    await store.close()
