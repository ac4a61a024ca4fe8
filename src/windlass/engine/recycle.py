"""Recycling: a worker process that has grown too large makes way for a fresh one."""

import asyncio
import logging
from collections.abc import Callable

from windlass.core.sizes import size_text
from windlass.engine.worker import Worker
from windlass.model.health import Health

log = logging.getLogger("windlass.worker")


class MemoryBound:
    """Has a worker retire when its process holds more than ``limit_bytes``.

    A process which has done no job yet stays, however large it is: a bound that is too narrow
    makes work slow and not impossible.
    rss_bytes: the resident memory of this process; None where it cannot be known.
    """

    def __init__(self, limit_bytes: int, rss_bytes: Callable[[], int | None]) -> None:
        self._limit_bytes = limit_bytes
        self._rss_bytes = rss_bytes
        self._worker: Worker | None = None

    def ready(self, worker: Worker) -> None:
        """Take the worker to bound, in its event loop."""
        self._worker = worker
        self._loop = asyncio.get_running_loop()

    def look(self, health: Health) -> None:
        """Measure, from any thread."""
        worker = self._worker
        if worker is None or health.stopping or worker.jobs_done == 0:
            return
        size_bytes = self._rss_bytes()
        if size_bytes is not None and size_bytes > self._limit_bytes:
            held, limit = size_text(size_bytes), size_text(self._limit_bytes)
            log.info("the worker retires: its process holds %s, over its bound of %s", held, limit)
            self._loop.call_soon_threadsafe(worker.retire)
