"""Chains, groups and chords, on both stores, with a worker in the same loop."""

import asyncio
import contextlib
from dataclasses import dataclass

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, until, working
from windlass import (
    App,
    Cancel,
    Chain,
    JobFailed,
    JobHandle,
    Retry,
    Router,
    State,
    chain,
    chord,
    continue_as,
    group,
)
from windlass.core.why import Cause
from windlass.errors import (
    BadArguments,
    BadComposition,
    JobCancelled,
    JobNotFound,
)
from windlass.model.jobs import JobFilter, Reason


@dataclass
class Page:
    url: str
    words: int


class Press:
    """An app whose tasks count words."""

    def __init__(self, store_url: str, **settings: object) -> None:
        self.app = quick_app(store_url, **settings)
        self.order: list[str] = []

        @self.app.task(name="fetch")
        async def fetch(url: str, words: int = 3) -> Page:
            self.order.append(f"fetch {url}")
            if url == "bad":
                raise OSError("no such page")
            if url == "off":
                raise Cancel
            return Page(url, words)

        @self.app.task(name="count")
        def count(page: Page, factor: int = 1) -> int:
            self.order.append(f"count {page.url}")
            return page.words * factor

        @self.app.task(name="total")
        async def total(counts: list[int], *, start: int = 0) -> int:
            return sum(counts, start)

        @self.app.task(name="note")
        async def note(text: str) -> str:
            self.order.append(text)
            return text

        self.fetch, self.count, self.total, self.note = fetch, count, total, note


async def test_a_chain_hands_each_result_to_the_next_with_its_type(store_url: str) -> None:
    press = Press(store_url)
    steps = chain(press.fetch.bind("a", words=5), press.count.bind(factor=2))
    async with working(press.app):
        job = await steps.aenqueue()

        assert await job.aresult(timeout=WAIT_S) == 10
        assert press.order == ["fetch a", "count a"]


async def test_a_group_gives_its_results_in_its_order(store_url: str) -> None:
    press = Press(store_url)
    members = [chain(press.fetch.bind("x", words=n), press.count.bind()) for n in range(20)]
    async with working(press.app):
        jobs = await group(*members).aenqueue()

        assert await jobs.aresult(timeout=WAIT_S) == list(range(20))


async def test_a_chord_gives_its_body_the_list_of_results(store_url: str) -> None:
    press = Press(store_url)
    members = [chain(press.fetch.bind("x", words=n), press.count.bind()) for n in range(20)]
    async with working(press.app):
        job = await chord(members, press.total.bind(start=1)).aenqueue()

        assert await job.aresult(timeout=WAIT_S) == 191


async def test_map_and_then_make_a_chord(store_url: str) -> None:
    press = Press(store_url)
    pages = press.fetch.map(["a", "b"])
    both = chain(pages, press.note.bind("between"), press.note.bind("after"))
    async with working(press.app):
        assert await (await both.aenqueue()).aresult(timeout=WAIT_S) == "after"
        assert press.order[2:] == ["between", "after"]
        one = await press.fetch.aenqueue("c")
        counted = await one.athen(press.count.bind(factor=3))
        later = await counted.athen(press.note.bind("later"))
        assert await later.aresult(timeout=WAIT_S) == "later"
        assert await counted.aresult(timeout=WAIT_S) == 9


async def test_a_thousand_fan_in_exactly_once(store_url: str) -> None:
    press = Press(store_url)

    @press.app.task(name="number")
    async def number(n: int) -> int:
        return n

    async with working(press.app, concurrency=100):
        job = await chord(number.map(range(1_000)), press.total.bind()).aenqueue()
        assert await job.aresult(timeout=60) == sum(range(1_000))
        found = await job.ajob()

    assert (found.attempt, found.upstream) == (1, 0)


@pytest.mark.parametrize("url", ["bad", "off"])
async def test_a_member_that_ends_badly_leaves_no_waiter_hanging(store_url: str, url: str) -> None:
    press = Press(store_url)
    members = [chain(press.fetch.bind(u), press.count.bind()) for u in ("a", url)]
    body = chord(members, press.total.bind())
    async with working(press.app):
        job = await chain(body, press.note.bind("never")).aenqueue()
        with pytest.raises(JobFailed if url == "bad" else JobCancelled) as raised:
            await job.aresult(timeout=WAIT_S)
        found = await job.ajob()

    assert "never" not in press.order
    if url == "bad":
        assert found.reason is Reason.UPSTREAM
        assert isinstance(raised.value, JobFailed)
        assert raised.value.error_type == "windlass.errors.UpstreamFailed"
        assert "failed (OSError)" in raised.value.message
    else:
        assert found.state is State.CANCELLED


async def test_a_member_is_retried_before_the_rest_gives_up(store_url: str) -> None:
    press = Press(store_url)
    tries: list[int] = []

    @press.app.task(retry=Retry(3, delay=0.01))
    async def flaky() -> int:
        tries.append(1)
        if len(tries) < 3:
            raise OSError
        return 7

    @press.app.task
    async def double(number: int) -> int:
        return 2 * number

    async with working(press.app):
        job = await chain(flaky.bind(), double.bind()).aenqueue()

        assert await job.aresult(timeout=WAIT_S) == 14


async def test_a_cancelled_step_cancels_what_comes_after(store_url: str) -> None:
    press = Press(store_url)
    gate = asyncio.Event()

    @press.app.task
    async def wait() -> int:
        await gate.wait()
        return 1

    async with working(press.app):
        first = await wait.aenqueue()
        second = await first.athen(press.note.bind("after"))
        await running(first)
        client = await press.app.client()
        why = (await client.why(second.id, (await first.ajob()).created_at)).cause
        await first.acancel()
        with pytest.raises(JobCancelled):
            await second.aresult(timeout=WAIT_S)

    assert why is Cause.WAITING


async def test_a_result_that_does_not_fit_fails_the_next_and_names_its_argument(
    store_url: str,
) -> None:
    press = Press(store_url)
    async with working(press.app):
        job = await chain(press.note.bind("no page"), press.count.bind()).aenqueue()
        with pytest.raises(JobFailed, match="page") as raised:
            await job.aresult(timeout=WAIT_S)

    assert raised.value.error_type == "windlass.errors.BadArguments"


async def test_inputs_reach_child_processes_and_other_formats(store_url: str) -> None:
    press = Press(store_url, serializer="msgpack")
    async with working(press.app):
        job = await chain(press.fetch.bind("a", words=5), press.count.bind()).aenqueue()

        assert await job.aresult(timeout=WAIT_S) == 5


@pytest.mark.parametrize("kind", ["async", "thread", "limited"])
async def test_a_task_may_go_on_as_other_jobs_whose_result_is_its_own(
    store_url: str, kind: str
) -> None:
    press = Press(store_url)
    seen: list[int] = []

    def steps(words: int) -> "Chain[int]":
        seen.append(words)
        return chain(press.fetch.bind("a", words=words), press.count.bind())

    async def go_on(words: int) -> int:
        return continue_as(steps(words))

    if kind == "thread":

        def go_on_in_a_thread(words: int) -> int:
            return continue_as(steps(words))

        task = press.app.task(name="go_on")(go_on_in_a_thread)
    else:
        limit = 30 if kind == "limited" else None
        task = press.app.task(name="go_on", timeout=limit)(go_on)  # type: ignore[assignment]
    async with working(press.app, concurrency=1):
        job = await task.aenqueue(6)
        after = await job.athen(press.note.bind("done"))

        assert await job.aresult(timeout=WAIT_S) == 6
        assert await after.aresult(timeout=WAIT_S) == "done"
        found = await job.ajob()
    assert (seen, found.state, found.failures) == ([6], State.SUCCEEDED, 0)


async def test_a_task_may_go_on_as_a_group_and_a_member_of_a_chain_too(store_url: str) -> None:
    press = Press(store_url)

    @press.app.task(name="spread")
    async def spread(page: Page) -> list[int]:
        return continue_as(press.count.map([page, page, page]))

    async with working(press.app):
        steps = chain(press.fetch.bind("a", words=2), spread.bind(), press.total.bind())

        assert await (await steps.aenqueue()).aresult(timeout=WAIT_S) == 6


async def test_a_job_that_goes_on_ends_as_its_children_end(store_url: str) -> None:
    press = Press(store_url)

    @press.app.task(name="doomed", retry=Retry(3, delay=0.01))
    async def doomed() -> int:
        return continue_as(chain(press.fetch.bind("bad"), press.count.bind()))

    async with working(press.app):
        job = await doomed.aenqueue()
        with pytest.raises(JobFailed, match="failed") as raised:
            await job.aresult(timeout=WAIT_S)
        children = await (await press.app.client()).jobs(JobFilter(task="fetch"))

    assert raised.value.reason == Reason.UPSTREAM
    assert len(children) == 1


async def test_a_job_whose_cancel_was_asked_for_does_not_go_on(store_url: str) -> None:
    press, gate = Press(store_url), asyncio.Event()

    @press.app.task(name="deaf")
    async def deaf() -> int:
        with contextlib.suppress(asyncio.CancelledError):
            await gate.wait()
        return continue_as(chain(press.fetch.bind("a"), press.count.bind()))

    async with working(press.app):
        job = await deaf.aenqueue()
        await running(job)
        await job.acancel()
        with pytest.raises(JobCancelled):
            await job.aresult(timeout=WAIT_S)
        made = await (await press.app.client()).jobs(JobFilter(task="fetch"))

    assert made == []


async def test_what_cannot_be_put_together_is_refused_and_nothing_is_stored(
    store_url: str,
) -> None:
    press = Press(store_url)
    async with press.app.session() as client:
        with pytest.raises(BadArguments, match="page"):
            await chain(press.count.bind()).aenqueue()
        with pytest.raises(BadArguments, match="unexpected"):
            press.count.bind(nonsense=1)
        with pytest.raises(BadArguments, match="url"):
            await chain(press.fetch.bind()).aenqueue()
        with pytest.raises(BadComposition, match="it is empty"):
            group()
        with pytest.raises(BadComposition, match=r"task.bind"):
            chain(press.fetch)  # type: ignore[call-overload]
        with pytest.raises(BadComposition, match="must end with a call"):
            chain(press.fetch.bind("a"), press.fetch.map(["b"]))
        ghost: JobHandle[Page] = JobHandle(press.app, press.app.new_job_id(), None)
        with pytest.raises(JobNotFound):
            await ghost.athen(press.count.bind())

        assert await client.jobs() == []


async def test_a_routers_tasks_compose_with_the_apps(store_url: str) -> None:
    press, router = Press(store_url), Router()

    @router.task(name="twice")
    async def twice(number: int) -> int:
        return 2 * number

    press.app.include(router)
    async with working(press.app):
        steps = chain(press.fetch.bind("a"), press.count.bind(), twice.bind())
        assert await (await steps.aenqueue()).aresult(timeout=WAIT_S) == 6
        jobs = await twice.map([1, 2]).aenqueue()
        assert await jobs.aresult(timeout=WAIT_S) == [2, 4]


async def test_a_chain_goes_on_after_its_worker_was_lost(store_url: str) -> None:
    press = Press(store_url, losses_max=5)
    gate = asyncio.Event()

    @press.app.task
    async def wait() -> int:
        await gate.wait()
        return 4

    job = await chain(wait.bind(), press.note.bind("on")).aenqueue()
    lost = asyncio.create_task(press.app.run_worker())
    client = await press.app.client()
    async with asyncio.timeout(WAIT_S):
        while not await client.jobs(JobFilter(states=(State.RUNNING,))):
            await asyncio.sleep(0.01)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    gate.set()
    async with working(press.app):
        assert await job.aresult(timeout=WAIT_S) == "on"


def test_compositions_are_enqueued_by_blocking_code_too(store_url: str) -> None:
    app: App = quick_app(store_url)

    @app.task(name="one")
    def one() -> int:
        return 1

    @app.task(name="sum")
    def add(numbers: list[int]) -> int:
        return sum(numbers)

    last = chain(group(one.bind(), one.bind()), add.bind()).enqueue()
    jobs = group(one.bind(), one.bind()).enqueue()
    follower = last.then(one.bind())

    assert app.operations.get(follower.id).reason is Reason.UPSTREAM
    assert [app.operations.get(job.id).state for job in jobs.jobs] == [State.QUEUED] * 2
    asyncio.run(_work_until_ended(app, follower.id))
    assert last.result(timeout=WAIT_S) == 2
    assert jobs.result(timeout=WAIT_S) == [1, 1]
    app.close()


async def _work_until_ended(app: App, job_id: str) -> None:
    async with working(app):
        client = await app.client()
        async with asyncio.timeout(WAIT_S):
            while (await client.get(job_id)).ended_at is None:  # type: ignore[arg-type]
                await asyncio.sleep(0.01)


async def test_a_composition_is_dropped_whole_with_its_first_step(store_url: str) -> None:
    press = Press(store_url)
    async with working(press.app):
        first = await ended(await press.fetch.aenqueue("bad"))
        second = await first.athen(press.count.bind())
        found = await until(second, lambda job: job.ended_at is not None)

    assert (found.state, found.reason, found.attempt) == (State.FAILED, Reason.UPSTREAM, 0)
