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
