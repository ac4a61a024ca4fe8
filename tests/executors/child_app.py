"""The app that the children of ``test_processes`` import."""

import contextvars
import os
import subprocess
import sys
import time
from pathlib import Path

from windlass import App, context

app = App("sqlite:///never-opened.db")
SEEN: contextvars.ContextVar[int] = contextvars.ContextVar("SEEN", default=0)


@app.task(isolation="process")
def pid() -> int:
    return os.getpid()


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
