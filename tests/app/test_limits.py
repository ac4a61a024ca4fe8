"""Limits as users meet them, on both stores, with workers in the same loop."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, working
from windlass import App, Concurrency, FairShare, JobFailed, Rate, Retry, Router
from windlass.errors import BadLimitKey


class Gauge:
    """How many are inside at once, by key, and the most there ever were."""

    def __init__(self) -> None:
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def stay(self, key: str, seconds: float = 0.01) -> None:
        self.inside[key] += 1
        self.most[key] = max(self.most[key], self.inside[key])
        try:
            await asyncio.sleep(seconds)
        finally:
            self.inside[key] -= 1


async def test_no_more_attempts_run_than_the_limit_lets_in_a_fleet(store_url: str) -> None:
    app, gauge = quick_app(store_url), Gauge()

    @app.task(limits=[Concurrency(2, key="customer")])
    async def ship(customer: str) -> None:
        await gauge.stay(customer)

    jobs = await app.aenqueue_many([ship.prepare("ab"[n % 2]) for n in range(40)])
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(working(app, concurrency=8))
        await app.agather(jobs, timeout=WAIT_S)

    assert gauge.most == {"a": 2, "b": 2}


async def test_what_a_limit_frees_is_taken_at_once_not_at_the_next_poll(store_url: str) -> None:
    app = quick_app(store_url, poll_interval_s=30.0, sweep_interval_s=30.0)

    @app.task(limits=[Concurrency(1)])
    async def one_by_one() -> None: ...

    jobs = await app.aenqueue_many([one_by_one.prepare() for _ in range(20)])
    async with working(app):
        await app.agather(jobs, timeout=WAIT_S)


async def test_a_rate_lets_the_next_one_start_when_its_time_has_come(store_url: str) -> None:
    app = quick_app(store_url, poll_interval_s=30.0, sweep_interval_s=30.0)
    loop = asyncio.get_running_loop()
    starts: list[float] = []

    @app.task(limits=[Rate(10, per=1.0)])
    async def paced() -> None:
        starts.append(loop.time())

    jobs = await app.aenqueue_many([paced.prepare() for _ in range(6)])
    async with working(app):
        await app.agather(jobs, timeout=WAIT_S)

    assert starts[-1] - starts[0] >= 0.45
    assert starts[-1] - starts[0] < 5.0


async def test_a_named_limit_is_shared_by_tasks(store_url: str) -> None:
    app, router, gauge = quick_app(store_url), Router(), Gauge()
    licence = Concurrency(1, name="licence")

    @app.task(limits=[licence])
    async def one() -> None:
        await gauge.stay("licence")

    @router.task(limits=[licence])
    async def other() -> None:
        await gauge.stay("licence")

    app.include(router)
    requests = [task.prepare() for task in (one, other) for _ in range(10)]
    jobs = await app.aenqueue_many(requests)
    async with working(app):
        await app.agather(jobs, timeout=WAIT_S)

    assert gauge.most == {"licence": 1}


async def test_a_tenant_with_many_jobs_does_not_delay_one_with_few(store_url: str) -> None:
    app = quick_app(store_url)
    done: list[str] = []

    @app.task(limits=[FairShare("tenant")])
    async def work(tenant: str) -> None:
        await asyncio.sleep(0)
        done.append(tenant)

    await app.aenqueue_many([work.prepare("big") for _ in range(2_000)])
    few = await app.aenqueue_many([work.prepare("small") for _ in range(10)])
    async with working(app, concurrency=4):
        await app.agather(few, timeout=WAIT_S)

    assert done.count("big") < 40


async def test_a_task_that_fails_under_a_limit_frees_it(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(retry=Retry(2, delay=0.05), limits=[Concurrency(1)])
    async def fail(hard: bool) -> None:
        if hard:
            raise OSError

    bad, good = await fail.aenqueue(True), await fail.aenqueue(False)
    async with working(app):
        await good.aresult(timeout=WAIT_S)
        with pytest.raises(JobFailed):
            await bad.aresult(timeout=WAIT_S)


async def test_a_retried_dead_letter_comes_under_the_same_limits(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(limits=[Concurrency(1, key="n")])
    async def fail(n: int) -> None:
        raise OSError

    async with working(app):
        job = await ended(await fail.aenqueue(7))
        client = await app.client()
        again = await client.retry(job.id, app.new_job_id())
        found, first = await client.get(again), await job.ajob()

    assert found.lane == first.lane is not None
    assert found.limits == first.limits


async def test_a_thread_that_was_cancelled_holds_its_limit_until_it_ends(store_url: str) -> None:
    import threading

    app, gate = quick_app(store_url), threading.Event()

    @app.task(limits=[Concurrency(1)])
    def deaf() -> None:
        gate.wait(WAIT_S)

    first, second = await deaf.aenqueue(), await deaf.aenqueue()
    async with working(app, concurrency=4):
        await running(first)
        await first.acancel()
        await asyncio.sleep(0.3)
        before = await second.ajob()
        gate.set()
        await second.aresult(timeout=WAIT_S)

    assert before.state == "queued"


def test_a_key_that_the_arguments_do_not_have_stores_nothing(store_url: str) -> None:
    app: App = quick_app(store_url)

    @app.task(limits=[Concurrency(1, key="order.customer")])
    def ship(order: dict[str, str]) -> None: ...

    with pytest.raises(BadLimitKey, match="customer"):
        ship.enqueue({"client": "ann"})
    assert app.blocking(lambda client: client.counts()) == {}
    app.close()
