"""Windlass as a peer of the queue benchmark: copy it into the harness's ``adapters`` folder.

Results and history are kept, in every variant.  A watched one has metrics, a log line of each
attempt, written to a file, and a limit on another queue.  ``benchmarks/README.md`` says how to
run it.
"""

import asyncio
import os

import board

from windlass import App
from windlass.cli.logs import configure_logging

# A worker process claims up to c jobs at a time.
CFG = {
    "p1c100": {"c": 100},
    "p1c500": {"c": 500},
    "p1c1000": {"c": 1000},
    "p2c200": {"c": 200, "procs": 2},
    "p2c500": {"c": 500, "procs": 2},
    "p2c1000": {"c": 1000, "procs": 2},
}
IO = {"p1c500": {"c": 500}, "p2c250": {"c": 250, "procs": 2}}
# The harness reads CFG, IO, PRE and META without running the module.
PRE = {
    "venv": "windlass",
    "results": "on",
    "bulk": True,
    "w6": {"c": 10},
    "configs": CFG,
    "io": IO,
    "n2": 35000,
    "n1": 10000,
}
META = {
    f"windlass-{store}{how}": {**PRE, "class": store, **its_own}
    for store, its_own in {
        "sqlite": {"servers": ["sqlite"]},
        "postgres": {
            "servers": ["pg"],
            "pending_sql": "select count(*) from windlass_jobs where state in ('queued','running')",
        },
    }.items()
    for how in ("", "-watched")
}
VARIANT = os.environ.get("BENCH_VARIANT", "windlass-sqlite")
ON_POSTGRES = VARIANT.startswith("windlass-postgres")
IS_WATCHED = VARIANT.endswith("-watched")
URL = os.environ["BENCH_PG"] if ON_POSTGRES else f"sqlite:///{os.environ['BENCH_DIR']}/windlass.db"
app = App(URL, claim_batch=1000, concurrency=1000)


@app.task(name="noop")
async def noop(i: int) -> int:
    return await board.anoop(i)


@app.task(name="slow")
async def slow(i: int) -> int:
    return await board.aslow(i)


@app.task(name="io")
async def io(i: int) -> int:
    return await board.aio(i)


if IS_WATCHED:
    from prometheus_client import CollectorRegistry

    from windlass import Concurrency
    from windlass.contrib.logging import Logs
    from windlass.contrib.prometheus import Metrics

    app.task(name="other", queue="other", limits=[Concurrency(1)])(board.anoop)
    app.observe(Metrics(CollectorRegistry()))
    app.observe(Logs())


TASKS = {"noop": noop, "slow": slow, "io": io}


class _Common:
    def __init__(self, variant):
        pass

    def worker(self, cfg):
        import uvloop

        configure_logging("info" if IS_WATCHED else "warning")  # to stderr, which is a file
        uvloop.run(app.run_worker(concurrency=cfg["c"]))


class AsyncPeer(_Common):
    """PostgreSQL: an async producer, as pgqueuer's."""

    async def setup(self):
        await app.amigrate()

    async def open(self):
        await app.client()

    async def close(self):
        await app.aclose()

    def run(self, coro):
        import uvloop

        return uvloop.run(coro)

    async def send(self, task, i):
        return await TASKS[task].aenqueue(i)

    async def send_bulk(self, task, ids):
        prepare = TASKS[task].prepare
        await app.aenqueue_many([prepare(i) for i in ids])

    async def result(self, handle):
        return await handle.aresult(timeout=30)


class BlockingPeer(_Common):
    """SQLite: a blocking producer, as Huey's."""

    def setup(self):
        pass

    def open(self):
        app.blocking(lambda client: client.counts())

    def close(self):
        app.close()

    def send(self, task, i):
        return TASKS[task].enqueue(i)

    def send_bulk(self, task, ids):
        prepare = TASKS[task].prepare
        app.enqueue_many([prepare(i) for i in ids])

    def result(self, handle):
        return handle.result(timeout=30)


Peer = AsyncPeer if ON_POSTGRES else BlockingPeer

if __name__ == "__main__":
    asyncio.run(app.run_worker())
