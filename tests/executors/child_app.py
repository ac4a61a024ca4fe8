"""The app that the children of ``test_processes`` import."""

import asyncio
import contextvars
import mmap
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

from windlass import App, Context, Depends, context

MIB = 1024 * 1024
app = App("sqlite:///never-opened.db")
SEEN: contextvars.ContextVar[int] = contextvars.ContextVar("SEEN", default=0)


TOLD: list[tuple[str, str, str]] = []


@app.observe_errors
def tell(error: BaseException, ctx: Context) -> None:
    code = error.__traceback__.tb_frame.f_code.co_name if error.__traceback__ else ""
    TOLD.append((type(error).__name__, ctx.task.rpartition(".")[2], code))


@app.task(isolation="process")
def told() -> list[tuple[str, str, str]]:
    return TOLD


@app.task(isolation="process")
def pid() -> int:
    return os.getpid()


@app.task(isolation="process", recycle_after_jobs=2)
def pid_twice() -> int:
    return os.getpid()


@app.task(isolation="process", memory_limit="128MB")
def wants_memory(megabytes: int) -> int:
    return len(b"x" * megabytes * MIB)


@app.task(isolation="process", memory_limit="128MB")
async def wants_memory_bit_by_bit() -> None:
    held = []
    while True:
        held.append(list(range(1_000)))


@app.task(isolation="process", memory_limit="128MB")
def makes_do() -> str:
    try:
        return str(len(b"x" * 512 * MIB))
    except MemoryError:
        return "with less"


@app.task(isolation="process", memory_limit="128MB")
def takes_shared_memory() -> None:
    shared = mmap.mmap(-1, 512 * MIB)  # no limit of the kernel's counts it
    for page in range(0, 512 * MIB, 4096):
        shared[page] = 1
    time.sleep(60)


@app.task(isolation="process", cpu_limit=1)
def burns(seconds: float) -> float:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


@app.task(isolation="process", cpu_limit=1)
async def burns_async() -> None:
    while True:
        await asyncio.sleep(0)


@app.task(isolation="process", cpu_limit=1)
def burns_in_c() -> None:
    sum(range(10**12))  # no handler of Python's ever runs


@app.task(isolation="process", cpu_limit=1)
def burns_regardless() -> None:
    while True:
        try:
            burns.spec.function(60)
        except Exception:
            continue


@app.task(isolation="process", cpu_limit=1)
def sleeps_long() -> str:
    time.sleep(1.5)
    return "rested"


@app.task(isolation="process")
def soft_limits() -> list[int]:
    kinds = (resource.RLIMIT_DATA, resource.RLIMIT_CPU)
    return [resource.getrlimit(kind)[0] for kind in kinds]


@app.task(isolation="process")
def says(words: int) -> int:
    for n in range(words):
        context().progress((n + 1) / words, f"word {n + 1}")
    return words


@app.task(isolation="process")
def says_and_waits(go_on: Path) -> str:
    context().progress(0.5, "half")
    while not go_on.exists():
        time.sleep(0.01)
    return "went on"


@app.task(isolation="process")
async def says_async() -> None:
    context().progress(0.25)
    await asyncio.sleep(0)
    context().progress(0.75)


@app.task(isolation="process")
def forks_and_says() -> int:
    copy = os.fork()
    if copy == 0:
        context().progress(0.9, "the copy")
        os._exit(0)
    os.waitpid(copy, 0)
    context().progress(0.1, "the original")
    return copy


@app.task(isolation="process")
async def add_async(a: int, b: int) -> int:
    return a + b


@app.task(isolation="process", timeout=0.3)
def sleeps(started: Path) -> None:
    started.write_text(str(time.monotonic()))
    time.sleep(60)


@app.task(isolation="process", timeout=0.3)
def holds_the_gil(started: Path) -> None:
    started.write_text(str(time.monotonic()))
    sum(range(10**12))  # one call into C: no other thread of this process ever runs


@app.task(isolation="process")
def starts_others(pids: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    draft = pids.with_suffix(".draft")
    draft.write_text(f"{os.getpid()} {other.pid}")
    draft.replace(pids)
    time.sleep(60)


@app.task(isolation="process")
def exits(code: int) -> None:
    os._exit(code)


@app.task(isolation="process")
def kills_itself(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


@app.task(isolation="process")
def leaves() -> None:
    sys.exit(7)


@app.task(isolation="process")
def fails() -> None:
    try:
        os.stat("/no/such/file")
    except OSError as error:
        raise ValueError("it broke") from error


@app.task(isolation="process")
def own_settings() -> list[str]:
    return sorted(name for name in os.environ if "WINDLASS" in name or name == "KEPT")


@app.task(isolation="process")
def large(size: int) -> str:
    return "x" * size


@app.task(isolation="process")
def chatters() -> str:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    return "heard"


@app.task(isolation="process")
def forks() -> int:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    return os.getpid()


@app.task(isolation="process")
def counts_context() -> int:
    SEEN.set(SEEN.get() + 1)
    return SEEN.get()


@app.task(isolation="process")
def own_key() -> str:
    return context().idempotency_key


def once_for_a_child() -> Iterator[float]:
    yield time.monotonic()


async def for_an_attempt(ctx: Context) -> AsyncIterator[str]:
    await asyncio.sleep(0)
    print("begins")
    yield ctx.job_id
    await asyncio.sleep(0)
    print("ends")


OnceForAChild = Annotated[float, Depends(once_for_a_child, scope="worker")]
ForAnAttempt = Annotated[str, Depends(for_an_attempt)]


@app.task(isolation="process", timeout=60)
def depends(
    number: int, once: OnceForAChild, own: ForAnAttempt, ctx: Context
) -> tuple[int, float, str, datetime | None]:
    return number, once, own, ctx.deadline


@app.task(isolation="process", timeout=60)
async def depends_async(
    number: int, once: OnceForAChild, own: ForAnAttempt, ctx: Context
) -> tuple[int, float, str, datetime | None]:
    return number, once, own, ctx.deadline


def breaks() -> int:
    raise ConnectionError("no database")


@app.task(isolation="process")
def depends_on_what_breaks(value: Annotated[int, Depends(breaks)]) -> int:
    return value
