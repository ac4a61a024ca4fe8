"""The tasks of ``figures.py``; the store comes from WINDLASS_STORE."""

import time

from windlass import App, Concurrency

app = App()


@app.task(name="noop")
async def noop(number: int) -> int:
    """Return at once."""
    return number


@app.task(name="limited", limits=[Concurrency(200, key="number")])
async def limited(number: int) -> int:
    """Return at once; at most 200 at once for each number."""
    return number


@app.task(name="clock")
async def clock() -> float:
    """Return the instant of the start, on the clock that all processes of a machine share."""
    return time.monotonic()
