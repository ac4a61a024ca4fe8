"""The figures of this machine, on both stores:  python benchmarks/figures.py [--quick]
[--store=sqlite] [--figure=drain]

Each figure is the median of five runs (one with ``--quick``).  Workers are real processes.
How Windlass stands beside its peers is measured by the harness in benchmarks/README.md.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import figures_app  # noqa: E402
from tests.app.live import working  # noqa: E402
from windlass import App  # noqa: E402
from windlass.model.jobs import JobRequest  # noqa: E402

SMALL, LARGE = 10_000, 300_000
LIMIT_KEYS = 50
SINGLES, BULK, LATENCIES = 2_000, 50_000, 200
IDLE_S = 10.0


class Bench:
    """One fresh store, and worker processes on it."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log
        self.app = App(url)
        self.app.migrate()

    def close(self) -> None:
        """Let go of the store."""
        self.app.close()

    def requests(self, count: int, task: str = "noop") -> list[JobRequest]:
        """Return plain requests."""
        if task == "limited":
            return [figures_app.limited.prepare(n % LIMIT_KEYS) for n in range(count)]
        payload = b"{}" if task == "clock" else b'{"number":1}'
        new_id = self.app.new_job_id
        return [
            JobRequest(id=new_id(), task=task, queue="default", payload=payload)
            for _ in range(count)
        ]

    @contextmanager
    def worker(self, concurrency: int, app: str = "app") -> Iterator[psutil.Process]:
        """Run a worker process, whose log is a file."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "windlass", "worker", f"figures_app:{app}",
                 "--concurrency", str(concurrency), "--log-level", "info"],
                cwd=ROOT / "benchmarks",
                env={**clean, "WINDLASS_STORE": self.url, "WINDLASS_CLAIM_BATCH": "1000"},
                stderr=log,
            )  # fmt: skip
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(30)

    def idle(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.app.blocking(lambda client: client.idle())


def enqueue_one_by_one(bench: Bench) -> float:
    """Return durable single enqueues per second."""
    requests = bench.requests(SINGLES)
    start = time.perf_counter()
    for request in requests:
        bench.app.enqueue_requests([request])
    return SINGLES / (time.perf_counter() - start)


def enqueue_in_bulk(bench: Bench) -> float:
    """Return enqueues per second in batches of 1,000, with making the requests."""
    start = time.perf_counter()
    for _ in range(BULK // 1_000):
        bench.app.enqueue_many(bench.requests(1_000))
    return BULK / (time.perf_counter() - start)


def drain(size: int, task: str = "noop", app: str = "app") -> Callable[[Bench], float]:
    """Return a measure of jobs per second, from the first start to the last end."""

    def measure(bench: Bench) -> float:
        jobs = bench.app.enqueue_many(bench.requests(size, task))
        with bench.worker(1_000, app):
            # To count the jobs again and again would take a processor from the worker.
            while jobs[-1].job().ended_at is None or not bench.idle():
                time.sleep(0.1)
        start = jobs[0].job().started_at
        # With lanes that take turns, the last to end may be any of each lane's last jobs.
        ends = [job.ended_at for job in bench.app.blocking(lambda c: c.jobs(limit=1_000))]
        end = max(filter(None, ends))
        assert start is not None
        lines = bench.log.read_text().count(" succeeded after ")
        assert lines == (size if app == "watched" else 0), f"{lines} lines are of attempts"
        return size / (end - start).total_seconds()

    return measure


def start_delay_ms(bench: Bench) -> float:
    """Return the median time from the call of enqueue to the start, across processes."""
    delays = []
    with bench.worker(10):
        warm = bench.app.enqueue_many(bench.requests(1, "clock"))[0]
        bench.app.wait_for(warm.id, 30)
        for _ in range(LATENCIES):
            time.sleep(0.01)
            [request] = bench.requests(1, "clock")
            start = time.monotonic()
            bench.app.enqueue_requests([request])
            finished = bench.app.wait_for(request.id, 30)
            delays.append(float(finished.result or b"nan") - start)
    return statistics.median(delays) * 1_000


def inner_start_delay_ms(bench: Bench) -> float:
    """Return the same within one process: its worker runs in the enqueuer's event loop."""
    return asyncio.run(_inner_start_delay_ms(bench.url))


async def _inner_start_delay_ms(url: str) -> float:
    app = App(url)
    clock = app.task(name="clock")(figures_app.clock.spec.function)
    delays = []
    async with working(app, concurrency=10):
        for _ in range(LATENCIES):
            await asyncio.sleep(0.01)
            start = time.monotonic()
            job = await clock.aenqueue()
            delays.append(await job.aresult(30) - start)
    return statistics.median(delays) * 1_000


def cold_start_s(bench: Bench) -> float:
    """Return the time from the start of a worker process to the start of its first job."""
    [request] = bench.requests(1, "clock")
    bench.app.enqueue_requests([request])
    start = time.monotonic()
    with bench.worker(10):
        finished = bench.app.wait_for(request.id, 30)
    return float(finished.result or b"nan") - start


def idle_cpu_percent(bench: Bench) -> float:
    """Return the processor time of a worker with nothing to do."""
    with bench.worker(10) as worker:
        time.sleep(3)
        before = sum(worker.cpu_times()[:2])
        time.sleep(IDLE_S)
        return (sum(worker.cpu_times()[:2]) - before) / IDLE_S * 100


def idle_memory_mb(bench: Bench) -> float:
    """Return the resident memory of a worker with nothing to do."""
    with bench.worker(10) as worker:
        time.sleep(3)
        return float(worker.memory_info().rss) / 1e6


FIGURES: dict[str, Callable[[Bench], float]] = {
    "enqueue one by one, /s": enqueue_one_by_one,
    "enqueue in bulk, /s": enqueue_in_bulk,
    f"drain {SMALL:,}, /s": drain(SMALL),
    f"drain {LARGE:,}, /s": drain(LARGE),
    f"drain under limits {SMALL:,}, /s": drain(SMALL, "limited"),
    f"drain watched {SMALL:,}, /s": drain(SMALL, app="watched"),
    "start delay, p50 ms": start_delay_ms,
    "same process, p50 ms": inner_start_delay_ms,
    "cold start to first job, s": cold_start_s,
    "idle processor, %": idle_cpu_percent,
    "idle memory, MB": idle_memory_mb,
}


def measure(store: str, rounds: int, folder: str, new_url: Callable[[], str]) -> None:
    """Print every figure of one store."""
    for name, figure in FIGURES.items():
        values = []
        for _ in range(rounds):
            with tempfile.NamedTemporaryFile(dir=folder) as log:
                bench = Bench(new_url(), Path(log.name))
                try:
                    values.append(figure(bench))
                finally:
                    bench.close()
        spread = f"({min(values):,.3g} to {max(values):,.3g})" if len(values) > 1 else ""
        print(f"{store:11} {name:28} {statistics.median(values):>12,.4g} {spread}", flush=True)


def main() -> None:
    """Measure both stores."""
    from tests.servers import PostgresServer

    wanted = [a.removeprefix("--figure=") for a in sys.argv if a.startswith("--figure=")]
    for name in [name for name in FIGURES if wanted and not any(w in name for w in wanted)]:
        del FIGURES[name]
    rounds = 1 if "--quick" in sys.argv else 5
    only = next((a.removeprefix("--store=") for a in sys.argv if a.startswith("--store=")), None)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        names = (f"b{number}" for number in count())
        if only in (None, "sqlite"):
            measure("sqlite", rounds, folder, lambda: f"sqlite:///{folder}/{next(names)}.db")
        if only in (None, "postgresql"):
            with PostgresServer() as server:
                fresh = (server.create_database(name) for name in names)
                measure("postgresql", rounds, folder, fresh.__next__)


if __name__ == "__main__":
    main()
