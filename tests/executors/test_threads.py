"""Threads: as many as there are slots, used again, and never waited for at the end."""

import asyncio
import contextvars
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.executors.attempts import error_of, run, value_of
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec
from windlass.executors.threads import STOP_WAIT_S, ThreadExecutor


def spec(function: Callable[..., Any]) -> TaskSpec:
    signature = Signature("t", function)
    return TaskSpec("t", function, signature, isolation="thread", is_async=False)


@asynccontextmanager
async def threads(slots: int = 4) -> AsyncIterator[ThreadExecutor]:
    executor = ThreadExecutor(slots)
    await executor.start()
    try:
        yield executor
    finally:
        await executor.stop()


async def test_no_more_threads_run_than_there_are_slots() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def note() -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return threading.current_thread().name

    async with threads(3) as executor:
        outcomes = await asyncio.gather(*(run(executor, spec(note)) for _ in range(20)))
        names = {value_of(outcome) for outcome in outcomes}

    assert most == 3
    assert len(names) == 3


async def test_a_thread_is_used_again() -> None:
    async with threads(4) as executor:
        name = spec(lambda: threading.current_thread().name)
        names = {value_of(await run(executor, name)) for _ in range(10)}

    assert len(names) == 1


async def test_it_runs_with_a_copy_of_the_caller_s_context_variables() -> None:
    seen: contextvars.ContextVar[int] = contextvars.ContextVar("seen")
    seen.set(1)

    def count() -> int:
        seen.set(seen.get() + 1)
        return seen.get()

    async with threads(1) as executor:
        counts = [value_of(await run(executor, spec(count))) for _ in range(3)]

    assert (counts, seen.get()) == ([2, 2, 2], 1)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), KeyboardInterrupt()])
async def test_whatever_it_raises_is_its_outcome(error: BaseException) -> None:
    def fail() -> None:
        raise error

    async with threads(1) as executor:
        assert error_of(await run(executor, spec(fail))).error.type == type(error).__name__
        assert value_of(await run(executor, spec(lambda: 1))) == 1


async def test_a_call_cancelled_before_it_had_a_thread_never_begins() -> None:
    gate, began = threading.Event(), []

    def wait() -> None:
        gate.wait(10)

    async with threads(1) as executor:
        first = asyncio.create_task(run(executor, spec(wait)))
        second = asyncio.create_task(run(executor, spec(lambda: began.append(1))))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.sleep(0)
        gate.set()
        await first

        assert value_of(await run(executor, spec(lambda: "after"))) == "after"
        assert not began


async def test_a_cancelled_call_keeps_its_slot_until_it_ends() -> None:
    gate, began = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        gate.wait(10)

    async with threads(1) as executor:
        first = asyncio.create_task(run(executor, spec(wait)))
        await asyncio.to_thread(began.wait, 10)
        first.cancel()
        second = asyncio.create_task(run(executor, spec(lambda: 2)))
        await asyncio.sleep(0.05)
        assert not second.done()
        gate.set()

        assert value_of(await second) == 2


async def test_a_stop_does_not_wait_for_a_thread_that_is_stuck() -> None:
    gate, began = threading.Event(), threading.Event()

    def stuck() -> None:
        began.set()
        gate.wait(10)

    executor = ThreadExecutor(2)
    await executor.start()
    attempt = asyncio.create_task(run(executor, spec(stuck)))
    await asyncio.to_thread(began.wait, 10)
    start = time.monotonic()
    await executor.stop()
    took_s = time.monotonic() - start
    gate.set()
    await attempt

    assert took_s < STOP_WAIT_S + 1


STUCK = """
import asyncio, threading
from tests.executors.attempts import run
from tests.executors.test_threads import spec
from windlass.executors.threads import ThreadExecutor

async def main():
    executor = ThreadExecutor(1)
    await executor.start()
    began = threading.Event()
    stuck = spec(lambda: (began.set(), threading.Event().wait()))
    attempt = asyncio.create_task(run(executor, stuck))
    await asyncio.to_thread(began.wait)
    attempt.cancel()

asyncio.run(main())
"""


def test_a_stuck_thread_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=20)

    assert (done.returncode, done.stderr) == (0, "")
