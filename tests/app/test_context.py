"""What an attempt knows of itself, on both stores."""

import logging
from datetime import UTC, datetime, timedelta

import pytest

from tests.app.live import WAIT_S, quick_app, working
from windlass import context


async def test_it_tells_when_the_time_limit_ends(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(timeout=60)
    async def limited() -> datetime | None:
        return context().deadline

    @app.task
    async def unlimited() -> datetime | None:
        return context().deadline

    async with working(app):
        before = datetime.now(UTC)
        deadline = await (await limited.aenqueue()).aresult(WAIT_S)
        after = datetime.now(UTC)
        assert await (await unlimited.aenqueue()).aresult(WAIT_S) is None

    assert deadline is not None
    assert before <= deadline - timedelta(seconds=60) <= after


@pytest.mark.parametrize("kind", ["async", "plain"])
async def test_its_logger_adds_the_facts_of_the_attempt(
    store_url: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = quick_app(store_url)
    caplog.set_level(logging.INFO, "windlass.task")

    def says() -> str:
        context().logger.info("hello %d", 7, extra={"customer": "ann"})
        assert context().logger is context().logger
        return context().job_id

    plain = app.task(name="plain")(says)

    @app.task(name="async")
    async def asynchronous() -> str:
        return says()

    async with working(app):
        job = await (plain if kind == "plain" else asynchronous).aenqueue()
        assert await job.aresult(WAIT_S) == job.id

    [record] = [record for record in caplog.records if record.name == f"windlass.task.{kind}"]
    facts = vars(record)
    assert record.getMessage() == "hello 7"
    assert (facts["job_id"], facts["attempt"], facts["task"]) == (job.id, 1, kind)
    assert facts["customer"] == "ann"
