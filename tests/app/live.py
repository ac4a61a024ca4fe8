"""An app and its worker in one event loop, for tests of what users hold in their hands."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from windlass import App, Job, State
from windlass.engine.worker import Worker
from windlass.handles import JobHandle

WAIT_S = 15.0
QUICK = {
    "lease_s": 2.0,
    "renew_s": 0.2,
    "poll_interval_s": 0.1,
    "sweep_interval_s": 0.05,
    "unknown_task_delay_s": 0.2,
    "shutdown_timeout_s": 0.5,
}


def quick_app(store_url: str, **settings: Any) -> App:
    """Return an app whose waits are short."""
    return App(store_url, **{**QUICK, **settings})


@asynccontextmanager
async def working(app: App, **options: Any) -> AsyncIterator[Worker]:
    """Run a worker of the app beside the code of a block."""
    ready: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(app.run_worker(on_ready=ready.set_result, **options))
    worker = await ready
    try:
        yield worker
    finally:
        worker.hurry()
        await asyncio.wait_for(running, WAIT_S)
        await app.aclose()


async def until(job: "JobHandle[Any]", holds: Callable[[Job], bool]) -> Job:
    """Wait until something holds of a job; return the job as it is then."""
    async with asyncio.timeout(WAIT_S):
        while not holds(found := await job.ajob()):
            await asyncio.sleep(0.005)
    return found


async def running(job: "JobHandle[Any]") -> Job:
    """Wait until a worker runs a job."""
    return await until(job, lambda found: found.state is State.RUNNING)


async def ended(job: "JobHandle[Any]") -> "JobHandle[Any]":
    """Wait for a job's end, however it ended."""
    await until(job, lambda found: found.ended_at is not None)
    return job
