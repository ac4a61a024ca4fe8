"""The waiter, on the memory store: who waits hears of an end at once, and all share the looks."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from windlass.core.ids import JobIds
from windlass.engine.client import Client
from windlass.engine.waiter import LOOK_BATCH, POLL_S
from windlass.errors import JobNotFound, ResultTimeout, StoreUnavailable
from windlass.model.jobs import Finished, JobId, JobRequest, State
from windlass.stores.clock import SystemClock
from windlass.stores.memory import MemoryStore

new_id = JobIds(lambda: 1_000_000, random.Random(7).getrandbits)


class CountingStore(MemoryStore):
    """A memory store which counts the looks, and may be away."""

    looks = 0
    away = False

    async def results(self, job_ids: Sequence[JobId]) -> Mapping[JobId, Finished]:
        assert len(job_ids) <= LOOK_BATCH
        self.looks += 1
        if self.away:
            raise StoreUnavailable("memory:", "it is away")
        return await super().results(job_ids)


@asynccontextmanager
async def opened() -> AsyncIterator[tuple[CountingStore, Client]]:
    store = CountingStore(clock=SystemClock())
    await store.open()
    client = Client(store)
    yield store, client
    await client.close()
    await store.close()


async def enqueue(client: Client, count: int) -> list[JobId]:
    return await client.enqueue(
        [JobRequest(id=new_id(), task="t", queue="default", payload=b"{}") for _ in range(count)]
    )


async def test_who_waits_for_one_end_after_another_never_sits_out_the_poll_interval() -> None:
    async with opened() as (_, client):
        job_ids = await enqueue(client, 20)
        for job_id in job_ids:
            await client.cancel(job_id)

        start = time.monotonic()
        for job_id in job_ids:
            await client.wait([job_id], timeout_s=5)

        assert time.monotonic() - start < POLL_S


async def test_an_end_is_heard_before_the_next_look_is_due() -> None:
    async with opened() as (_, client):
        [job_id] = await enqueue(client, 1)
        waiting = asyncio.create_task(client.wait([job_id], timeout_s=5))
        await asyncio.sleep(0.05)

        start = time.monotonic()
        await client.cancel(job_id)
        ended = await waiting

        assert ended[job_id].state is State.CANCELLED
        assert time.monotonic() - start < POLL_S / 2


async def test_ten_thousand_waiters_share_the_looks() -> None:
    async with opened() as (store, client):
        job_ids = await enqueue(client, 10_000)
        waiting = [asyncio.create_task(client.wait([job_id], known=True)) for job_id in job_ids]
        await asyncio.sleep(0.1)

        assert store.looks == 10_000 / LOOK_BATCH
        await asyncio.sleep(3)
        assert store.looks <= 2 * 10_000 / LOOK_BATCH  # who hears no bell looks rarely

        for job_id in job_ids:
            await client.cancel(job_id)
        async with asyncio.timeout(10):
            ended = await asyncio.gather(*waiting)

        assert all(
            told[job_id].state is State.CANCELLED
            for told, job_id in zip(ended, job_ids, strict=True)
        )
        assert store.looks < 1_000


async def test_an_outage_is_waited_out() -> None:
    async with opened() as (store, client):
        [job_id] = await enqueue(client, 1)
        await client.cancel(job_id)
        store.away = True
        waiting = asyncio.create_task(client.wait([job_id], timeout_s=5))
        await asyncio.sleep(0.05)

        assert not waiting.done()

        store.away = False

        assert (await waiting)[job_id].state is State.CANCELLED


async def test_a_wait_that_ends_without_a_result_says_why() -> None:
    async with opened() as (_, client):
        [job_id] = await enqueue(client, 1)

        with pytest.raises(ResultTimeout, match="queued"):
            await client.wait([job_id], timeout_s=0.01)
        for timeout_s in (0.01, None):
            with pytest.raises(JobNotFound):
                await client.wait([JobId("01aaaaaaaaaaaaaaaaaaaaaaaa")], timeout_s=timeout_s)
