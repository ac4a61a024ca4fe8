"""The watch: a thread that asks the watchdog, and tells what it hears, whatever the loop does."""

import asyncio
import concurrent.futures
import contextlib
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from windlass.engine.health import HealthServer
from windlass.engine.watchdog import EVENT_LOOP, Watchdog
from windlass.model.health import Health

log = logging.getLogger("windlass.watch")

THREAD_NAME = "windlass-watch"
TICK_S = 0.5


class Watch:
    """Watches the event loop in which it is entered from a thread beside it.

    address:   host and port of the health endpoint; None for none.
    blocked_s: a loop that is blocked for longer is logged, once, with the stack that blocks it.
    tell:      called every half second, in the watch's thread, with the health of the process.
    Raises:    CannotListen, when it starts.
    """

    def __init__(
        self,
        watchdog: Watchdog,
        *,
        address: tuple[str, int] | None,
        blocked_s: float,
        tell: Sequence[Callable[[Health], object]] = (),
    ) -> None:
        self._watchdog = watchdog
        self._address = address
        self._blocked_s = blocked_s
        self._tick_s = min(TICK_S, blocked_s / 4)
        self._tell = tell
        self._heart = watchdog.pulse(EVENT_LOOP)
        self._has_told = False

    async def __aenter__(self) -> Self:
        self._watched_thread = threading.get_ident()
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        started: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=self._run, args=(started,), name=THREAD_NAME, daemon=True
        )
        self._thread.start()
        try:
            await asyncio.wrap_future(started)
        except BaseException:
            self._end_thread()
            raise
        self._heart.beat()
        self._beating = asyncio.create_task(self._beat(), name="windlass-heart")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._beating.cancel()
        await asyncio.gather(self._beating, return_exceptions=True)
        self._heart.rest()
        self._end_thread()

    async def _beat(self) -> None:
        while True:
            self._heart.beat()
            await asyncio.sleep(self._tick_s)

    def _end_thread(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has ended by itself: its start failed
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join()

    # -- on the thread -------------------------------------------------------

    def _run(self, started: "concurrent.futures.Future[None]") -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve(started))
        except Exception as error:
            if started.done():
                log.exception("the watch broke")
            else:
                started.set_exception(error)

    async def _serve(self, started: "concurrent.futures.Future[None]") -> None:
        async with AsyncExitStack() as stack:
            if self._address is not None:
                server = HealthServer(*self._address, self._watchdog.health)
                await stack.enter_async_context(server)
                log.info("health is told at http://%s/health/live and …/ready", server.address)
            if started.set_running_or_notify_cancel():
                started.set_result(None)
            while not self._ending.is_set():
                self._look()
                await self._pause()
            self._look()

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._tick_s):
                await self._ending.wait()
        except TimeoutError:
            return

    def _look(self) -> None:
        self._look_at_loop()
        health = self._watchdog.health()
        for tell in self._tell:
            try:
                tell(health)
            except Exception:
                log.exception("who is told of the health broke: %r", tell)

    def _look_at_loop(self) -> None:
        blocked_s = self._heart.overdue_s()
        if blocked_s <= self._blocked_s:
            self._has_told = False
        elif not self._has_told:
            self._has_told = True
            frame = sys._current_frames().get(self._watched_thread)
            stack = "".join(traceback.format_stack(frame)) if frame else ""
            log.error("the event loop has been blocked for %.1f s:\n%s", blocked_s, stack)
