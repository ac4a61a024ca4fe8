"""Jobs that are collected and run in one call, on both stores."""

import asyncio

import pytest

from tests.app.live import WAIT_S, quick_app, running, until, working
from windlass import Batch, Concurrency, JobFailed, Rate, Retry, State
from windlass.core.why import Cause
from windlass.errors import BadOption, BadTask
from windlass.model.jobs import JobFilter, JobRequest


async def test_one_call_runs_many_jobs_and_each_gets_its_own_values(store_url: str) -> None:
    app = quick_app(store_url)
    calls: list[int] = []

    @app.task(limits=[Batch(10, wait=0.3)])
    async def double(numbers: list[int]) -> list[int]:
        calls.append(len(numbers))
        return [2 * number for number in numbers]

    jobs = await app.aenqueue_many([double.prepare([n, n + 100]) for n in range(25)])
    async with working(app):
        values = await app.agather(jobs, timeout=WAIT_S)

    assert values == [[2 * n, 2 * (n + 100)] for n in range(25)]
    assert sorted(calls) == [10, 20, 20]


async def test_a_few_jobs_run_when_they_have_waited_long_enough(store_url: str) -> None:
    app = quick_app(store_url, poll_interval_s=30.0, sweep_interval_s=30.0)

    @app.task(limits=[Batch(100, wait=0.2)])
    def count(items: list[str]) -> list[int]:
        return [len(item) for item in items]

    async with working(app):
        first = await count.aenqueue(["a", "bb"])
        second = await count.aenqueue(["ccc"])

        assert await app.agather([first, second], timeout=WAIT_S) == [[1, 2], [3]]


async def test_a_call_that_fails_is_retried_for_each_job(store_url: str) -> None:
    app = quick_app(store_url)
    tries: list[int] = []

    @app.task(limits=[Batch(5, wait=0.05)], retry=Retry(3, delay=0.01))
    async def flaky(items: list[int]) -> None:
        tries.append(len(items))
        if len(tries) < 3:
            raise OSError

    jobs = await app.aenqueue_many([flaky.prepare([n]) for n in range(5)])
    async with working(app):
        assert await app.agather(jobs, timeout=WAIT_S) == [None] * 5
        attempts = [(await job.ajob()).attempt for job in jobs]

    assert tries[0] == 5
    assert all(attempt == 3 for attempt in attempts)


@pytest.mark.parametrize(
    ("payload", "why"),
    [(b'{"numbers":["x"]}', "numbers"), (b"\x00nothing\x00x", "nothing")],
    ids=["wrong type", "unknown serializer"],
)
async def test_a_job_that_cannot_be_read_fails_alone(
    store_url: str, payload: bytes, why: str
) -> None:
    app = quick_app(store_url)

    @app.task(name="sum", limits=[Batch(3, wait=0.1)])
    async def add(numbers: list[int]) -> list[int]:
        return numbers

    good = [add.prepare([n]) for n in (1, 2)]
    bad = JobRequest(
        id=app.new_job_id(),
        task="sum",
        queue="default",
        payload=payload,
        lane=good[0].lane,
        limits=good[0].limits,
    )
    jobs = await app.aenqueue_many([good[0], bad, good[1]])
    async with working(app):
        assert await app.agather([jobs[0], jobs[2]], timeout=WAIT_S) == [[1], [2]]
        with pytest.raises(JobFailed, match=why):
            await jobs[1].aresult(timeout=WAIT_S)


async def test_a_result_of_the_wrong_length_fails_the_jobs_and_says_so(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(limits=[Batch(2, wait=0.1)], retry=Retry(5))
    async def forget(items: list[int]) -> list[int]:
        return items[1:]

    jobs = await app.aenqueue_many([forget.prepare([n]) for n in range(2)])
    async with working(app):
        for job in jobs:
            with pytest.raises(JobFailed, match="given 2 items at once and returned 1 values"):
                await job.aresult(timeout=WAIT_S)


async def test_only_jobs_of_the_same_key_run_together(store_url: str) -> None:
    app = quick_app(store_url)
    calls: list[list[str]] = []

    @app.task(limits=[Batch(10, wait=0.1, key=lambda items: items[0][0])])
    async def collect(items: list[str]) -> None:
        calls.append(items)

    jobs = await app.aenqueue_many([collect.prepare([w]) for w in ("a1", "b1", "a2", "b2")])
    async with working(app):
        await app.agather(jobs, timeout=WAIT_S)

    assert sorted(calls) == [["a1", "a2"], ["b1", "b2"]]


async def test_what_is_collected_is_explained_and_one_cancel_stops_no_other(
    store_url: str,
) -> None:
    app, gate = quick_app(store_url), asyncio.Event()

    @app.task(limits=[Batch(2, wait=60.0)])
    async def wait(items: list[int]) -> list[int]:
        await gate.wait()
        return items

    async with working(app):
        client = await app.client()
        first = await wait.aenqueue([1])
        found = await first.ajob()
        assert (await client.why(first.id, found.created_at)).cause is Cause.LIMIT
        second = await wait.aenqueue([2])
        await running(first)
        await running(second)
        await first.acancel()
        gate.set()

        assert await second.aresult(timeout=WAIT_S) == [2]
        ended = await until(first, lambda job: job.ended_at is not None)
    assert ended.state is State.SUCCEEDED


async def test_a_rate_counts_a_batch_as_one_start(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(limits=[Batch(5, wait=0.05), Rate(1, per=3600)])
    async def send(items: list[int]) -> None: ...

    jobs = await app.aenqueue_many([send.prepare([n]) for n in range(10)])
    async with working(app):
        await app.agather(jobs[:5], timeout=WAIT_S)
        left = await (await app.client()).jobs(JobFilter(states=(State.QUEUED,)))

    assert len(left) == 5


async def test_a_worker_that_does_not_know_the_task_gives_all_of_them_back(store_url: str) -> None:
    app, other = quick_app(store_url), quick_app(store_url)

    @other.task(name="rare", limits=[Batch(2, wait=0.05)])
    async def rare(items: list[int]) -> list[int]:
        return items

    jobs = await other.aenqueue_many([rare.prepare([n]) for n in range(2)])
    async with working(app):
        for job in jobs:
            await until(job, lambda found: found.reason == "unknown_task")
    async with working(other):
        assert await other.agather(jobs, timeout=WAIT_S) == [[0], [1]]


def _take(items: list[int]) -> None: ...


def test_a_batch_that_cannot_be_kept_is_refused() -> None:
    app = quick_app("sqlite:///never-opened.db")
    with pytest.raises(BadTask, match="needs one parameter"):
        app.task(limits=[Batch(5, wait=1)])(lambda a: a)
    with pytest.raises(BadOption, match="stands alone"):
        app.task(limits=[Batch(5, wait=1), Concurrency(1)])(_take)
    with pytest.raises(BadOption, match="from 2 to"):
        Batch(1, wait=1)
