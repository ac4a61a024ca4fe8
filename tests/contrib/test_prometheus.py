"""Prometheus metrics, as the library itself serves them."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.app.live import WAIT_S, ended, quick_app, working
from windlass import JobFailed, Retry, context
from windlass.contrib.prometheus import Metrics


async def test_what_jobs_and_workers_do_is_counted(store_url: str) -> None:
    registry = CollectorRegistry()
    app = quick_app(store_url)
    app.observe(Metrics(registry))
    gate = asyncio.Event()

    @app.task(name="t", queue="q", retry=Retry(2, delay=0.01))
    async def task(how: str) -> None:
        await gate.wait()
        if how == "fail" or context().attempt == 1:
            raise OSError(how)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    def jobs(what: str) -> float | None:
        return value("windlass_jobs_total", task="t", queue="q", what=what)

    async def until(what: str, count: int) -> None:
        async with asyncio.timeout(WAIT_S):
            while jobs(what) != count:
                await asyncio.sleep(0.005)

    async with working(app):
        first, second = await task.aenqueue("retry"), await task.aenqueue("fail")
        await until("started", 2)
        assert value("windlass_attempts_running", task="t", queue="q") == 2
        assert value("windlass_workers") == 1
        gate.set()
        await ended(first)
        with pytest.raises(JobFailed):
            await second.aresult(WAIT_S)
        await until("succeeded", 1)
        await until("failed", 1)

    assert {what: jobs(what) for what in ("enqueued", "claimed", "started", "retried")} == {
        "enqueued": 2,
        "claimed": 4,
        "started": 4,
        "retried": 2,
    }
    assert value("windlass_attempts_running", task="t", queue="q") == 0
    assert value("windlass_attempt_seconds_count", task="t", queue="q") == 4
    assert value("windlass_workers") == 0
    assert b'windlass_jobs_total{queue="q",task="t",what="failed"} 1.0' in generate_latest(registry)
