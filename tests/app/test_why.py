"""Why a job does not run, on both stores, staged for real."""

import asyncio
from datetime import UTC, datetime

from tests.app.live import WAIT_S, ended, quick_app, working
from windlass import App, Concurrency, JobHandle, Rate, Retry
from windlass.core.why import Cause


async def cause(app: App, job: "JobHandle[None]") -> Cause:
    return (await (await app.client()).why(job.id, datetime.now(UTC))).cause


async def becomes(app: App, job: "JobHandle[None]", wanted: Cause) -> None:
    """Wait until the cause is this one."""
    async with asyncio.timeout(WAIT_S):
        while await cause(app, job) is not wanted:
            await asyncio.sleep(0.01)


async def test_each_cause_is_named_while_it_lasts(store_url: str) -> None:
    app, other = quick_app(store_url), quick_app(store_url)
    gate = asyncio.Event()

    @app.task(name="task", retry=Retry(2, delay=30))
    async def task(how: str) -> None:
        if how == "fail":
            raise OSError
        await gate.wait()

    @other.task(name="rare")
    async def rare() -> None: ...

    queued = await task.aenqueue("wait")
    delayed = await task.using(delay=60).aenqueue("wait")
    assert await cause(app, queued) is Cause.NO_WORKER
    async with working(app, concurrency=2, queues=["default"]):
        await becomes(app, queued, Cause.RUNNING)
        assert await cause(app, delayed) is Cause.NOT_DUE
        failing, unknown = await task.aenqueue("fail"), await rare.aenqueue()
        await becomes(app, failing, Cause.RETRYING)
        await becomes(app, unknown, Cause.UNKNOWN_TASK)
        assert await cause(app, await task.using(queue="x").aenqueue("wait")) is (
            Cause.QUEUE_NOT_SERVED
        )
        second, third = await task.aenqueue("wait"), await task.aenqueue("wait")
        await becomes(app, second, Cause.RUNNING)
        await becomes(app, third, Cause.NO_FREE_SLOT)
        gate.set()
        await becomes(app, third, Cause.ENDED)
    await other.aclose()


async def test_a_full_limit_is_named_with_its_holders(store_url: str) -> None:
    app = quick_app(store_url)
    gate = asyncio.Event()

    @app.task(limits=[Concurrency(1, key="customer")])
    async def ship(customer: str) -> None:
        await gate.wait()

    @app.task(limits=[Rate(1, per=3600, name="mail")])
    async def mail() -> None: ...

    holder, blocked = await ship.aenqueue("ann"), await ship.aenqueue("ann")
    async with working(app):
        await becomes(app, holder, Cause.RUNNING)
        await becomes(app, blocked, Cause.LIMIT)
        told = (await (await app.client()).why(blocked.id, datetime.now(UTC))).because
        assert f"for 'ann', and 1 do: {holder.id}" in told
        await ended(await mail.aenqueue())
        await becomes(app, await mail.aenqueue(), Cause.LIMIT)
        gate.set()
        await becomes(app, blocked, Cause.ENDED)
