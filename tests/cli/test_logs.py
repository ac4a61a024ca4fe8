"""The lines of the command line's log: at once, or together with those of the same turn."""

import asyncio
import io
import logging
from collections.abc import Iterator

import pytest

from windlass.cli.logs import configure_logging

attempts = logging.getLogger("windlass.attempts")
worker = logging.getLogger("windlass.worker")


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root, own = logging.getLogger(), logging.getLogger("windlass")
    before = root.handlers[:], root.level, own.level
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    root.handlers = []
    configure_logging("info")
    yield stream
    root.handlers = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])


def said(stream: io.StringIO) -> list[str]:
    return [line.split("  ")[-1] for line in stream.getvalue().splitlines()]


async def test_lines_of_attempts_that_end_together_are_written_together(
    stderr: io.StringIO,
) -> None:
    attempts.info("one")
    attempts.info("two")
    assert said(stderr) == []
    await asyncio.sleep(0)

    assert said(stderr) == ["one", "two"]


@pytest.mark.parametrize("other", [(worker, logging.INFO), (attempts, logging.WARNING)])
async def test_any_other_line_is_written_at_once_and_after_those_before_it(
    stderr: io.StringIO, other: tuple[logging.Logger, int]
) -> None:
    logger, level = other
    attempts.info("one")
    logger.log(level, "two")

    assert said(stderr) == ["one", "two"]


def test_outside_of_an_event_loop_each_line_is_written_at_once(stderr: io.StringIO) -> None:
    attempts.info("one")

    assert said(stderr) == ["one"]


def test_what_a_loop_left_unwritten_is_written_at_the_end(stderr: io.StringIO) -> None:
    async def ends_at_once() -> None:
        attempts.info("one")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(ends_at_once())
    loop.close()
    logging.getLogger().handlers[0].flush()  # as logging.shutdown does

    assert said(stderr) == ["one"]


def test_an_instant_is_written_in_utc_to_the_millisecond(stderr: io.StringIO) -> None:
    record = worker.makeRecord(worker.name, logging.INFO, "", 0, "now", (), None)
    for record.created, record.msecs in ((0.25, 250.0), (0.999, 999.0), (1e9, 0.0)):
        logging.getLogger().handle(record)

    assert [line.split(" ")[0] for line in stderr.getvalue().splitlines()] == [
        "1970-01-01T00:00:00.250Z",
        "1970-01-01T00:00:00.999Z",
        "2001-09-09T01:46:40.000Z",
    ]
