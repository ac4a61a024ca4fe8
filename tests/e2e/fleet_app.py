"""The app that the fleets of the end-to-end tests serve; its store comes from WINDLASS_STORE."""

import asyncio
import os
import time

from windlass import App, Concurrency, FairShare, Rate, Retry, context

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


def _witness(what: str, key: str) -> None:
    with open(os.environ["WITNESS"], "a") as file:  # a line is appended whole
        attempt = f"{context().job_id}/{context().fence}"
        file.write(f"{what} {os.getpid()} {attempt} {key} {time.monotonic()}\n")


@app.task(name="capped", limits=[Concurrency(3, key="key")])
async def capped(key: str, seconds: float) -> None:
    """Write down when it began and ended; three at once for each key."""
    _witness("began", key)
    await asyncio.sleep(seconds)
    _witness("ended", key)


@app.task(name="paced", limits=[Rate(50, per=1.0, burst=5)])
async def paced(key: str, seconds: float) -> None:
    """Start no more than fifty times a second."""
    await asyncio.sleep(seconds)


@app.task(name="shared", limits=[FairShare("key")])
async def shared(key: str, seconds: float) -> None:
    """Take turns with the other keys."""
    await asyncio.sleep(seconds)
