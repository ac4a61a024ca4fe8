"""The budget of an attempt: held to it inside the child, and from outside if that fails.

Inside, soft resource limits: code that wants too much gets an exception, where it stands, and
may clean up.  The hard limits stay as they are, because a warm child could never raise them
again for its next attempt; so it is the worker that kills what passes over the exception.
"""

import asyncio
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from windlass.core.tasks import TaskSpec
from windlass.errors import CpuExceeded, MemoryExceeded, TaskError
from windlass.executors.usage import cpu_s, rss_bytes

if sys.platform != "win32":
    import resource

LOOK_S = 0.1
CPU_GRACE_S = 2.0  # time to end after the exception, which the kernel sends up to 1 s late


def is_limited(spec: TaskSpec) -> bool:
    """Tell whether attempts of a task have a budget."""
    return spec.memory_limit_bytes is not None or spec.cpu_limit_s is not None


# -- in the child ------------------------------------------------------------


@contextmanager
def held_to_budget(spec: TaskSpec) -> Iterator[None]:
    """Hold this process to the budget of a task while its code runs, on the main thread.

    Memory: RLIMIT_DATA, which counts what the process could write to and shares with nobody;
            RLIMIT_AS would also count what libraries only reserve.  Then: MemoryError.
    CPU:    RLIMIT_CPU, anew for each attempt.  Then: CpuExceeded, again at each second more.
    """
    with _memory_limited(spec.memory_limit_bytes), _cpu_limited(spec):
        yield


@contextmanager
def _memory_limited(limit_bytes: int | None) -> Iterator[None]:
    if limit_bytes is None or sys.platform != "linux":  # elsewhere the worker alone looks
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_at_most(limit_bytes, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@contextmanager
def _cpu_limited(spec: TaskSpec) -> Iterator[None]:
    limit_s = spec.cpu_limit_s
    if limit_s is None or sys.platform == "win32":
        yield
        return

    is_over = False

    def exceed(number: int, frame: FrameType | None) -> None:
        nonlocal is_over
        is_over = True
        if not _cancel_idle_loop():
            raise CpuExceeded(spec.name, limit_s)

    before = signal.signal(signal.SIGXCPU, exceed)
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    ends_at_s = math.ceil(time.process_time() + limit_s)
    resource.setrlimit(resource.RLIMIT_CPU, (_at_most(ends_at_s, hard), hard))
    try:
        yield
    except asyncio.CancelledError as error:
        if is_over:
            raise CpuExceeded(spec.name, limit_s) from error
        raise
    finally:
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)  # one more may be on its way
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))
        signal.signal(signal.SIGXCPU, before)


def _cancel_idle_loop() -> bool:
    """Cancel the tasks of an event loop that is between two steps.

    What a signal's handler raises there would be lost, and the step with it; inside a step it
    reaches the task's code, as it does without a loop.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return False
    if asyncio.current_task(loop) is not None:
        return False
    for task in asyncio.all_tasks(loop):
        loop.call_soon_threadsafe(task.cancel)
    return True


def _at_most(limit: int, hard: int) -> int:
    return limit if hard < 0 else min(limit, hard)  # RLIM_INFINITY is negative


# -- in the worker -----------------------------------------------------------


async def budget_exceeded(spec: TaskSpec, pid: int) -> TaskError:
    """Wait until a process is over the budget of a task in spite of all; say which."""
    memory, cpu = spec.memory_limit_bytes, spec.cpu_limit_s
    used_before_s = cpu_s(pid) or 0.0
    looks_over, looks_max = 0, round(CPU_GRACE_S / LOOK_S)
    while True:
        await asyncio.sleep(LOOK_S)
        held_bytes, used_s = rss_bytes(pid), cpu_s(pid)
        if memory is not None and held_bytes is not None and held_bytes > memory:
            return MemoryExceeded(spec.name, memory)
        if cpu is not None and used_s is not None and used_s - used_before_s > cpu:
            looks_over += 1
            if looks_over > looks_max:
                return CpuExceeded(spec.name, cpu)
