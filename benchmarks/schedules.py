"""What many schedules cost:  python benchmarks/schedules.py [--quick] [--store=sqlite]

- burst: 10,000 schedules that are due in the same second; time from the due instant until the
  last of their jobs is in the store.
- idle: 100,000 schedules of which none is due; processor time of the scheduler in percent.

The scheduler is a real process.  Each figure is the median of five runs (one with ``--quick``).
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import figures_app  # noqa: E402
from windlass import App, JobFilter, Schedule, cron, every  # noqa: E402

BURST, REGISTERED = 10_000, 100_000
SETTLE_S, IDLE_S = 8.0, 20.0


@contextmanager
def scheduler(url: str) -> Iterator[psutil.Process]:
    """Run a scheduler process."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "windlass", "scheduler", "figures_app:app",
         "--log-level", "warning"],
        cwd=ROOT / "benchmarks",
        env={**clean, "WINDLASS_STORE": url},
    )  # fmt: skip
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


async def declare(app: App, schedules: dict[str, Schedule]) -> None:
    """Make schedules of the task that does nothing."""
    task = figures_app.noop
    drafts = [app.schedules.draft(name, task, each) for name, each in schedules.items()]
    async with app.session() as client:
        await client.schedules.sync(drafts, ())


async def burst(url: str) -> float:
    """Return the seconds from the due instant until the last job is in the store."""
    app = App(url)
    await app.amigrate()
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=20)
    daily = every(86_400.0, anchor=due)
    schedules = {f"s{n:05}": Schedule(daily, arguments={"number": n}) for n in range(BURST)}
    await declare(app, schedules)
    async with app.session() as client:
        with scheduler(url):
            while not (leader := await client.schedules.leader()) or leader.left_s <= 0:
                await asyncio.sleep(0.05)
            left_s = (due - datetime.now(UTC)).total_seconds()
            assert left_s > 1, f"declaring took too long: {left_s:.1f} s left"
            await asyncio.sleep(left_s + 0.5)
            while sum((await client.counts()).values()) < BURST:
                await asyncio.sleep(0.2)
        [last] = await client.jobs(JobFilter(), limit=1)
    return (last.created_at - due).total_seconds()


async def idle(url: str) -> float:
    """Return the processor time of a scheduler with many schedules, none due, in percent."""
    app = App(url)
    await app.amigrate()
    schedules = {
        f"s{n:06}": Schedule(cron("0 0 1 1 *"), arguments={"number": n}) for n in range(REGISTERED)
    }
    await declare(app, schedules)
    with scheduler(url) as process:
        await asyncio.sleep(SETTLE_S)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        await asyncio.sleep(IDLE_S)
        return 100 * (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def main() -> None:
    """Print the figures."""
    runs = 1 if "--quick" in sys.argv else 5
    stores = [a.partition("=")[2] for a in sys.argv if a.startswith("--store=")]
    figures = [a.partition("=")[2] for a in sys.argv if a.startswith("--figure=")]
    for store in stores or ["sqlite", "postgres"]:
        for name, figure, unit in (("burst", burst, "s"), ("idle", idle, "%")):
            if figures and name not in figures:
                continue
            with fresh_urls(store) as urls:
                found = [asyncio.run(figure(next(urls))) for _ in range(runs)]
            shown = ", ".join(f"{value:.3f}" for value in sorted(found))
            print(
                f"{store:9} {name:6} {statistics.median(found):.3f} {unit}   [{shown}]", flush=True
            )


@contextmanager
def fresh_urls(store: str) -> Iterator[Iterator[str]]:
    """Yield URLs of stores that hold nothing yet."""
    if store == "sqlite":
        with tempfile.TemporaryDirectory(dir=ROOT) as folder:
            yield (f"sqlite:///{folder}/{n}.db" for n in range(1_000))
        return
    from tests.servers import PostgresServer

    with PostgresServer() as server:
        yield (server.create_database(f"schedules{n}") for n in range(1_000))


if __name__ == "__main__":
    main()
