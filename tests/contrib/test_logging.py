"""Records of attempts, as a formatter of the standard library gets them."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.app.live import WAIT_S, ended, quick_app, running, working
from windlass import Notice, NoticeKind, Retry, Snooze, chain, context, continue_as
from windlass.contrib.logging import Logs

FACTS = ("what", "state", "job_id", "task", "queue", "attempt", "worker", "seconds", "error_type")


class AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = {name: vars(record)[name] for name in FACTS}
        return json.dumps({"level": record.levelname, "line": record.getMessage(), **facts})


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AsJson())
    logger = logging.getLogger("windlass.attempts")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def until(stream: io.StringIO, count: int) -> None:
    """Wait for records: the end of an attempt is told once the store has it."""
    async with asyncio.timeout(WAIT_S):
        while len(records(stream)) < count:
            await asyncio.sleep(0.005)


async def test_each_attempt_s_start_and_end_is_a_line_with_its_facts(
    store_url: str, stream: io.StringIO
) -> None:
    app = quick_app(store_url)
    app.observe(Logs())

    @app.task(name="t", queue="q", retry=Retry(2, delay=0.01))
    async def fails() -> None:
        if context().attempt == 1:
            raise Snooze(0.01)
        raise OSError

    async with working(app):
        job = await ended(await fails.aenqueue())
        await until(stream, 6)

    told = records(stream)
    assert [(one["what"], one["state"], one["attempt"], one["level"]) for one in told] == [
        ("started", "running", 1, "DEBUG"),
        ("snoozed", "scheduled", 1, "INFO"),
        ("started", "running", 2, "DEBUG"),
        ("retried", "scheduled", 2, "WARNING"),
        ("started", "running", 3, "DEBUG"),
        ("failed", "failed", 3, "ERROR"),
    ]
    assert {(one["job_id"], one["task"], one["queue"]) for one in told} == {(job.id, "t", "q")}
    assert [one["seconds"] is None for one in told] == [True, False] * 3
    assert told[5]["error_type"] == "OSError"
    assert told[0]["line"] == f"job {job.id} (t) attempt 1 started"
    assert told[5]["line"].startswith(f"job {job.id} (t) attempt 3 failed after 0.0")
    assert told[5]["line"].endswith(" s: OSError")


async def test_by_default_an_attempt_is_one_line_at_its_end(
    store_url: str, stream: io.StringIO
) -> None:
    logging.getLogger("windlass.attempts").setLevel(logging.INFO)
    app = quick_app(store_url)
    app.observe(Logs())

    @app.task
    async def good() -> None: ...

    async with working(app):
        await ended(await good.aenqueue())

    [one] = records(stream)
    assert (one["what"], one["level"]) == ("succeeded", "INFO")
    assert one["line"].endswith(f"attempt 1 succeeded after {one['seconds']:.3f} s")


async def test_a_job_that_was_handed_on_waits(store_url: str, stream: io.StringIO) -> None:
    app = quick_app(store_url)
    app.observe(Logs())

    @app.task
    async def last() -> None: ...

    @app.task
    async def first() -> None:
        return continue_as(chain(last.bind()))

    async with working(app):
        await ended(await first.aenqueue())

    told = {(one["what"], one["state"]) for one in records(stream)}
    assert ("continued", "waiting") in told


async def test_good_ends_cancels_and_stops_are_told(store_url: str, stream: io.StringIO) -> None:
    app = quick_app(store_url)
    app.observe(Logs())

    @app.task
    def good() -> None: ...

    @app.task
    async def slow() -> None:
        await asyncio.sleep(60)

    async with working(app):
        await ended(await good.aenqueue())
        cancelled, stopped = await slow.aenqueue(), await slow.aenqueue()
        for job in (cancelled, stopped):
            await running(job)
        await cancelled.acancel()
        await ended(cancelled)

    ends = [(one["what"], one["state"]) for one in records(stream) if one["seconds"] is not None]
    assert ends == [("succeeded", "succeeded"), ("cancelled", "cancelled"), ("released", "queued")]


async def test_what_nobody_wants_to_read_is_not_made(store_url: str, stream: io.StringIO) -> None:
    app = quick_app(store_url)
    quiet = logging.getLogger("quiet")
    quiet.setLevel(logging.ERROR)
    app.observe(Logs(quiet))

    @app.task
    async def good() -> None: ...

    async with working(app):
        await ended(await good.aenqueue())

    assert records(stream) == []


def test_a_record_is_as_the_logger_itself_makes_it(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("mine")
    logger.setLevel(logging.INFO)
    logs = Logs(logger)
    ended = Notice(kind=NoticeKind.SUCCEEDED, task="t", attempt=1, seconds=0.5)

    for _ in range(2):
        logs(ended)
    logger.info("mine")

    *told, own = [vars(record) for record in caplog.records]
    assert len(told) == 2
    for record in told:
        assert set(own) - set(record) == set()
        same = ("name", "levelname", "levelno", "process", "processName", "thread", "threadName")
        assert {name: record[name] for name in same} == {name: own[name] for name in same}
        assert own["created"] - 5 < record["created"] <= own["created"]
        assert record["relativeCreated"] <= own["relativeCreated"] + 1
        assert int(record["msecs"]) == int(record["created"] % 1 * 1_000)


def test_a_record_factory_of_the_user_is_asked_for_each_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class OwnRecord(logging.LogRecord): ...

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(OwnRecord)
    try:
        with caplog.at_level(logging.INFO):
            Logs()(Notice(kind=NoticeKind.SUCCEEDED, task="t", attempt=1, seconds=0.5))
    finally:
        logging.setLogRecordFactory(before)

    [record] = caplog.records
    assert isinstance(record, OwnRecord)
    assert record.getMessage() == "job None (t) attempt 1 succeeded after 0.500 s"
