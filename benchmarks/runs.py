"""What the steps of runs cost: DAGs and workflows of no-op tasks, one worker in the same loop.

    .venv/bin/python benchmarks/runs.py
    .venv/bin/python benchmarks/runs.py --store=postgresql --runs=5

Medians [least-most]; milliseconds for each step, from the enqueue of a run to its result.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.servers import PostgresServer
from windlass import App

CHAIN, WIDE, WIDEST, SEQUENCE, GATHERED = 100, 2_000, 9_999, 100, 1_000
WAIT_S = 300.0

Runs = dict[str, tuple[int, Callable[[], Awaitable[Any]]]]


def runs_of(app: App) -> Runs:
    """Return what is measured: its number of steps, and what enqueues it."""

    @app.task(name="one")
    async def one(n: int = 0) -> int:
        return n

    @app.task(name="total")
    async def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.dag(name="chain")
    def chain() -> int:
        last = one.step()(1)
        for _ in range(CHAIN - 1):
            last = one.step()(last)
        return last

    @app.dag(name="wide")
    def wide() -> int:
        return total.step()([one.step()(n) for n in range(WIDE - 1)])

    @app.dag(name="widest")
    def widest() -> int:
        return total.step()([one.step()(n) for n in range(WIDEST)])

    @app.workflow(name="sequence")
    async def sequence() -> int:
        return sum([await one(n) for n in range(SEQUENCE)])

    @app.workflow(name="gathered")
    async def gathered() -> int:
        return sum(await asyncio.gather(*(one(n) for n in range(GATHERED))))

    return {
        f"DAG, a chain of {CHAIN}": (CHAIN, chain.aenqueue),
        f"DAG, {WIDE:,} steps, fan-in": (WIDE, wide.aenqueue),
        f"DAG, {WIDEST + 1:,} steps, fan-in": (WIDEST + 1, widest.aenqueue),
        f"workflow, {SEQUENCE} steps one after the other": (SEQUENCE, sequence.aenqueue),
        f"workflow, {GATHERED:,} steps gathered": (GATHERED, gathered.aenqueue),
    }


async def measure(url: str, runs: int) -> None:
    """Print the figures of one store."""
    app = App(url)
    measured = runs_of(app)
    ready = asyncio.get_running_loop().create_future()
    working = asyncio.create_task(app.run_worker(concurrency=100, on_ready=ready.set_result))
    worker = await ready
    for name, (steps, enqueue) in measured.items():
        await (await enqueue()).aresult(WAIT_S)  # warm
        times = [await timed(enqueue) for _ in range(runs)]
        each = [f"{1_000 * one / steps:.2f}" for one in (min(times), max(times))]
        median = 1_000 * statistics.median(times) / steps
        print(f"{name:50} {median:7.2f} ms a step [{'-'.join(each)}]", flush=True)
    worker.stop()
    await working
    await app.aclose()


async def timed(enqueue: Callable[[], Awaitable[Any]]) -> float:
    """Return how many seconds a run takes, from its enqueue to its result."""
    began = time.perf_counter()
    await (await enqueue()).aresult(WAIT_S)
    return time.perf_counter() - began


def main() -> None:
    """Measure one store, or both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", choices=("sqlite", "postgresql"))
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    if options.store != "postgresql":
        with tempfile.TemporaryDirectory() as folder:
            print("SQLite")
            asyncio.run(measure(f"sqlite:///{folder}/runs.db", options.runs))
    if options.store != "sqlite":
        with PostgresServer() as server:
            print("PostgreSQL")
            app = App(server.url())
            app.migrate()
            asyncio.run(measure(server.url(), options.runs))


if __name__ == "__main__":
    main()
