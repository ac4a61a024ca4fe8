"""A worker in this very process, with its signals."""

import asyncio
import logging
import signal
from typing import Any

from windlass import App
from windlass.contrib.qtasks.logs import Logger
from windlass.engine.worker import Worker

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Server:
    """Runs a worker of an app until it is stopped, by ``stop`` or by a signal."""

    def __init__(self, app: App, log: Logger) -> None:
        self._app = app
        self._log = log
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._begun: asyncio.Task[Any] | None = None
        self._stops = 0

    async def serve(self) -> None:
        """Work until a stop; the first signal lets what runs end, the second releases it."""
        self._loop, self._begun = asyncio.get_running_loop(), asyncio.current_task()
        self._stops = 0
        handled = [number for number in STOP_SIGNALS if self._handle(number)]
        try:
            await self._app.run_worker(on_ready=self._take)
        except asyncio.CancelledError:
            if self._worker is not None:
                raise
        finally:
            for number in handled:
                self._loop.remove_signal_handler(number)
            self._loop = self._worker = None
            await self._app.aclose()  # what tasks have opened

    def stop(self) -> None:
        """Have the worker end what it runs, and stop; from any thread.  Idempotent."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._stop)

    def _handle(self, number: int) -> bool:
        assert self._loop is not None
        try:
            self._loop.add_signal_handler(number, self._signal)
        except (NotImplementedError, RuntimeError, ValueError):
            return False  # not in the main thread, or not on this system: stop() is there
        return True

    def _take(self, worker: Worker) -> None:
        self._worker = worker

    def _signal(self) -> None:
        if self._worker is None or self._stops == 0:
            self._stop()
        else:
            self._worker.hurry()

    def _stop(self) -> None:
        if self._worker is not None:
            self._stops += 1
            self._log.info("stopping; a second signal releases what runs at once")
            self._worker.stop()
        elif self._begun is not None:
            self._begun.cancel()  # nothing has been claimed yet


def configure_logging(log: Logger) -> None:
    """Write log lines to stderr, where the program has set up nothing of its own."""
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(log.format, defaults={"subname": "-"}))
    logging.basicConfig(level=log.default_level, handlers=[handler])
