"""A worker that retires: it claims no more, and what runs has all the time it takes."""

import asyncio
import logging
from dataclasses import replace

import pytest

from tests.engine.test_worker import FAST, spec_of, world
from windlass.engine.recycle import MemoryBound
from windlass.model.health import Health
from windlass.model.jobs import State

SHORT = replace(FAST, shutdown_s=0.05)


async def nap() -> int:
    await asyncio.sleep(0.4)
    return 1


async def test_a_retiring_worker_waits_longer_than_a_stop_would() -> None:
    async with world(spec_of(nap), options=SHORT) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)
        w.worker.retire()
        later = await w.enqueue()
        await asyncio.wait_for(w.running, 5)

        assert (await w.client.get(job_id)).state is State.SUCCEEDED
        assert (await w.client.get(later)).state is State.QUEUED
        assert await w.client.workers() == []


async def test_a_stop_ends_the_patience_of_a_retiring_worker() -> None:
    async def long() -> None:
        await asyncio.sleep(60)

    async with world(spec_of(long), options=SHORT) as w:
        job_id = await w.enqueue()
        await w.until(job_id, State.RUNNING)
        w.worker.retire()
        await asyncio.sleep(0.2)
        assert not w.running.done()
        w.worker.stop()
        await asyncio.wait_for(w.running, 5)

        assert (await w.client.get(job_id)).state is State.QUEUED


async def test_it_retires_after_exactly_so_many_jobs() -> None:
    async with world(spec_of(nap), options=replace(FAST, jobs_max=3)) as w:
        ids = [await w.enqueue() for _ in range(8)]
        await asyncio.wait_for(w.running, 5)
        states = [(await w.client.get(job_id)).state for job_id in ids]

        assert states.count(State.SUCCEEDED) == 3
        assert states.count(State.QUEUED) == 5
        assert w.worker.is_retiring


async def test_a_process_over_its_bound_retires_after_its_first_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "windlass.worker")
    size_bytes = 10 * 1024 * 1024
    bound = MemoryBound(size_bytes - 1, lambda: size_bytes)
    async with world(spec_of(nap)) as w:
        bound.ready(w.worker)
        bound.look(Health())
        assert not w.worker.is_retiring

        await w.until(await w.enqueue(), State.SUCCEEDED)
        async with asyncio.timeout(5):
            while not w.worker.is_retiring:
                bound.look(Health())
                await asyncio.sleep(0.01)
    assert "its process holds 10 MB, over its bound of 10 MB" in caplog.text


async def test_memory_that_cannot_be_known_is_no_reason() -> None:
    bound = MemoryBound(1, lambda: None)
    async with world(spec_of(nap)) as w:
        bound.ready(w.worker)
        await w.until(await w.enqueue(), State.SUCCEEDED)
        bound.look(Health())
        await asyncio.sleep(0)

        assert not w.worker.is_retiring
