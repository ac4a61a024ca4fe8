"""The tasks of ``figures.py``; the store comes from WINDLASS_STORE."""

import time

from prometheus_client import CollectorRegistry

from windlass import App, Concurrency
from windlass.contrib.logging import Logs
from windlass.contrib.prometheus import Metrics

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


# The same work, watched: a log line of each attempt, metrics, and a limit on another queue.
watched = App()
watched.task(name="noop")(noop.spec.function)
watched.task(name="other", queue="other", limits=[Concurrency(1)])(clock.spec.function)
watched.observe(Metrics(CollectorRegistry()))
watched.observe(Logs())
