"""What worker processes tell their supervisor, through a pipe for each of them."""

import asyncio
import os
from contextlib import suppress

import msgspec

from windlass.engine.worker import Worker
from windlass.model.health import Health, Report

REASONS_MAX, REASON_LENGTH_MAX = 8, 200  # so that a report is written in one piece
LINE_BYTES_MAX = 64 * 1024
READ_BYTES = 64 * 1024
FRESH_S = 3.0


class Reporter:
    """The worker's end: writes one line of JSON for each health it is told, or drops it.

    It writes from the thread of the watch, so that it speaks also of a blocked event loop.
    """

    def __init__(self, fd: int) -> None:
        os.set_inheritable(fd, False)
        os.set_blocking(fd, False)
        self._fd = fd
        self._worker: Worker | None = None

    def ready(self, worker: Worker) -> None:
        """Take the worker whose slots are to be told."""
        self._worker = worker

    def tell(self, health: Health) -> None:
        """Write a report, unless the supervisor does not read."""
        worker = self._worker
        report = Report(
            health=Health(
                stalls=_short(health.stalls), wants=_short(health.wants), stopping=health.stopping
            ),
            running=0 if worker is None else worker.running,
            slots=0 if worker is None else worker.slots,
            backlog=worker is not None and worker.has_backlog,
            retiring=worker is not None and worker.is_retiring,
        )
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._fd, msgspec.json.encode(report) + b"\n")


class ReportReader:
    """The supervisor's end: keeps the last report, and when it came."""

    def __init__(self) -> None:
        self._fd, self.child_end = os.pipe()
        os.set_blocking(self._fd, False)
        self._line = b""
        self.last: Report | None = None
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        self.is_retiring = asyncio.Event()
        self._loop.add_reader(self._fd, self._read)

    @property
    def fresh(self) -> Report | None:
        """The last report, unless it is old."""
        return self.last if self.silent_s < FRESH_S else None

    @property
    def silent_s(self) -> float:
        """How long ago the last report came, or the process began."""
        return self._loop.time() - self.heard_at

    def close_child_end(self) -> None:
        """Let go of the child's end, which the child has by now."""
        os.close(self.child_end)

    def close(self) -> None:
        """Stop reading."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        if not data:  # the child is gone
            self._loop.remove_reader(self._fd)
        *lines, self._line = (self._line + data).split(b"\n")
        self._line = self._line[-LINE_BYTES_MAX:]
        for line in lines:
            with suppress(msgspec.DecodeError):
                self._take(msgspec.json.decode(line, type=Report))

    def _take(self, report: Report) -> None:
        self.last = report
        self.heard_at = self._loop.time()
        if report.retiring:
            self.is_retiring.set()


def _short(reasons: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(reason[:REASON_LENGTH_MAX] for reason in reasons[:REASONS_MAX])
