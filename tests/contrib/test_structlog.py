"""What structlog is given, by its own means of capturing it."""

import asyncio
from typing import Any

import structlog
from structlog.contextvars import merge_contextvars

from tests.app.live import ended, quick_app, working
from windlass import Retry, context
from windlass.contrib.structlog import StructuredLogs


async def test_each_line_of_a_task_and_each_attempt_has_the_facts_of_its_job(
    store_url: str,
) -> None:
    lines: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: Any) -> Any:
        lines.append({**event, "level": method})
        raise structlog.DropEvent

    logger = structlog.wrap_logger(None, processors=[merge_contextvars, keep])
    app = quick_app(store_url)
    StructuredLogs(logger.bind(of="attempts")).install(app)

    @app.task(name="plain", retry=Retry(2, delay=0.01))
    def plain(n: int) -> None:
        logger.info("in plain", n=n)
        if context().attempt == 1:
            raise OSError("once")

    @app.task(name="unblocking", queue="other")
    async def unblocking(n: int) -> None:
        await asyncio.sleep(0.01)
        logger.info("in unblocking", n=n)

    async with working(app):
        jobs = [await plain.aenqueue(0), *[await unblocking.aenqueue(n) for n in (1, 2)]]
        for job in jobs:
            await ended(job)

    def of(event: str, job_id: str) -> list[dict[str, Any]]:
        return [line for line in lines if line["event"] == event and line.get("job_id") == job_id]

    assert [line["attempt"] for line in of("in plain", jobs[0].id)] == [1, 2]
    for n in (1, 2):
        [line] = of("in unblocking", jobs[n].id)
        assert (line["n"], line["task"], line["queue"]) == (n, "unblocking", "other")
    [retried] = of("job retried", jobs[0].id)
    assert (retried["level"], retried["error_type"]) == ("warning", "OSError")
    [succeeded] = of("job succeeded", jobs[0].id)
    assert (succeeded["level"], succeeded["state"]) == ("info", "succeeded")
    assert (succeeded["attempt"], succeeded["of"]) == (2, "attempts")
    assert succeeded["seconds"] >= 0
    assert len(of("job started", jobs[0].id)) == 2
    assert "job_id" not in structlog.contextvars.get_contextvars()
