"""The blocking face's way in: runs the async client for code that has no event loop.

``drive`` needs no loop and no thread: an embedded store never suspends when no loop is
running.  ``Portal`` keeps a private loop on a daemon thread, for everything else.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from windlass.errors import WouldDeadlock

T = TypeVar("T")


def loop_is_running() -> bool:
    """Tell whether the calling thread is inside a running event loop."""
    return asyncio._get_running_loop() is not None


class Suspended(RuntimeError):
    """A coroutine that is driven without an event loop wants to wait."""


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends, here and now."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise Suspended("an embedded store suspended although no event loop runs here")


class Portal:
    """An event loop on a thread of its own, started with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether a call has started the loop."""
        return self._loop is not None

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``work()`` on the portal's loop and return what it returns.

        Raises: WouldDeadlock, in that very loop.
        """
        if threading.current_thread() is self._thread:
            raise WouldDeadlock
        future = asyncio.run_coroutine_threadsafe(work(), self._running_loop())
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C here must not leave the work going on over there
            raise

    def stop(self) -> None:
        """End the loop and its thread.  Idempotent; a later call starts anew."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_run_loop, args=(self._loop,), name="windlass-portal", daemon=True
                )
                self._thread.start()
            return self._loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
