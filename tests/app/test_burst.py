"""A worker that stops by itself when nothing is left to start."""

import asyncio
from datetime import timedelta

from tests.app.live import WAIT_S, quick_app
from windlass import App, State, chain
from windlass.model.holds import HoldId


async def work_off(app: App) -> None:
    await asyncio.wait_for(app.run_worker(burst=True), WAIT_S)


async def test_a_burst_ends_when_all_that_could_start_has_ended(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task
    async def nap(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    @app.task
    def longer(seconds: float) -> float:
        return seconds + 1

    many = await app.aenqueue_many([nap.prepare(0.0) for _ in range(50)])
    last = await chain(nap.bind(0.3), longer.bind(), longer.bind()).aenqueue()
    tomorrow = await nap.using(delay=timedelta(days=1)).aenqueue(0.0)
    await work_off(app)

    assert await last.aresult(timeout=0) == 2.3
    assert await app.agather(many, timeout=0) == [0.0] * 50
    assert (await tomorrow.ajob()).state is State.SCHEDULED
    await app.aclose()


async def test_a_burst_with_nothing_to_do_ends_at_once(store_url: str) -> None:
    app = quick_app(store_url, poll_interval_s=60.0)

    await work_off(app)
    await app.aclose()


async def test_a_burst_leaves_what_a_hold_keeps_from_starting(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(queue="mail")
    def send() -> None: ...

    await (await app.client()).pause(HoldId("h"), queue="mail")
    job = await send.aenqueue()
    await work_off(app)

    assert (await job.ajob()).state is State.QUEUED
    await app.aclose()
