"""The app that the fleets of the end-to-end tests serve; its store comes from WINDLASS_STORE."""

import asyncio
import os
import time

from windlass import App, Retry, context

app = App()


@app.task(name="work", retry=Retry(3, delay=0.1))
async def work(number: int, seconds: float) -> tuple[int, int, int]:
    """Take some time; tell who did it, and under which fence."""
    await asyncio.sleep(seconds)
    return number, context().fence, os.getpid()


@app.task(name="plain")
def plain(number: int, seconds: float) -> tuple[int, int, int]:
    """The same on a thread."""
    time.sleep(seconds)
    return number, context().fence, os.getpid()


@app.task(name="suicide")
async def suicide() -> None:
    """Take the whole worker down."""
    os.kill(os.getpid(), 9)


@app.task(name="isolated", isolation="process", timeout=0.5)
def isolated(seconds: float) -> int:
    """Take some time in a child process, deaf to everything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getpid()


@app.task(name="endless", isolation="process")
def endless() -> None:
    """Run until killed."""
    while True:
        pass


@app.task(name="crash", isolation="process", retry=Retry(2, delay=0))
def crash() -> None:
    """Take the child down, not the worker."""
    os.kill(os.getpid(), 9)
