"""Narrow pools: their jobs wait in the store, not in the slots of other jobs."""

import asyncio
import threading
from dataclasses import replace

from tests.engine.test_worker import FAST, spec_of, world
from windlass.engine.pools import Pools
from windlass.model.jobs import JobFilter, State


def plain() -> None: ...


async def asynchronous() -> None: ...


THREAD = spec_of(plain, "thread", queue="slow")
LOOP = spec_of(asynchronous, "loop", queue="quick")
QUEUES = ("quick", "slow")


def test_pools_as_wide_as_the_worker_are_not_looked_at() -> None:
    pools = Pools([THREAD, LOOP], 8, {"thread": 8, "process": None})
    pools.enter("slow", "thread")

    assert pools.room(QUEUES) == [(QUEUES, None)]
    assert not pools.leave("thread")


def test_a_narrow_pool_s_queue_is_claimed_from_apart_and_left_out_when_it_is_full() -> None:
    pools = Pools([THREAD, LOOP], 100, {"thread": 2})
    assert sorted(pools.room(QUEUES), key=str) == [(["quick"], None), (["slow"], 4)]

    for _ in range(4):
        pools.enter("slow", "thread")
    assert pools.room(QUEUES) == [(["quick"], None)]

    assert pools.leave("thread")
    assert (["slow"], 1) in pools.room(QUEUES)


def test_each_group_of_queues_goes_first_in_turn() -> None:
    pools = Pools([THREAD, LOOP], 100, {"thread": 2})
    first = [pools.room(QUEUES)[0][0] for _ in range(4)]

    assert first == [["slow"], ["quick"]] * 2


def test_a_queue_to_which_such_a_job_was_sent_is_remembered() -> None:
    pools = Pools([THREAD, LOOP], 100, {"thread": 2})
    pools.enter("quick", "thread")

    assert pools.room(QUEUES) == [(["quick", "slow"], 3)]


async def test_jobs_that_wait_for_a_thread_leave_the_slots_to_others() -> None:
    gate = threading.Event()

    def waits() -> int:
        gate.wait(10)
        return 1

    async def quick() -> int:
        return 2

    specs = [spec_of(waits, "waits", queue="slow"), spec_of(quick, "quick", queue="quick")]
    options = replace(FAST, queues=QUEUES, slots=12, thread_slots=4)
    async with world(*specs, options=options) as w:
        slow = [await w.enqueue(task="waits", queue="slow") for _ in range(30)]
        await w.until(slow[0], State.RUNNING)
        for _ in range(20):
            job_id = await w.enqueue(task="quick", queue="quick")
            await w.until(job_id, State.SUCCEEDED)
        running = await w.client.jobs(JobFilter(states=(State.RUNNING,)), limit=100)

        assert len(running) == 8, "four that run, and four in stock"
        gate.set()
        for job_id in slow:
            await w.until(job_id, State.SUCCEEDED)


async def test_a_narrow_pool_is_kept_busy_without_waiting_for_the_poll() -> None:
    def work() -> int:
        return 1

    options = replace(FAST, queues=("slow",), slots=12, thread_slots=1, poll_s=30.0)
    async with world(spec_of(work, "work", queue="slow"), options=options) as w:
        jobs = [await w.enqueue(task="work", queue="slow") for _ in range(50)]
        async with asyncio.timeout(10):
            for job_id in jobs:
                await w.until(job_id, State.SUCCEEDED)
