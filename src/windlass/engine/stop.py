"""The stop of a loop: told once, it breaks off a wait, and never a write in flight."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Stop:
    """Whether a loop was told to stop, and the waits of that loop which a stop breaks off."""

    def __init__(self) -> None:
        self._is_set = False
        self._idle: asyncio.Future[object] | None = None

    def is_set(self) -> bool:
        """Tell whether the loop was told to stop."""
        return self._is_set

    def set(self) -> None:
        """Tell the loop to stop.  Idempotent."""
        self._is_set = True
        if self._idle is not None:
            self._idle.cancel()

    async def pause(self, wait: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Await something, unless and until the loop is told to stop."""
        if self._is_set:
            return
        self._idle = asyncio.ensure_future(wait())
        try:
            await self._idle
        except asyncio.CancelledError:
            if not self._is_set:  # it was this loop that was cancelled
                self._idle.cancel()
                raise
        finally:
            self._idle = None
