"""One subscription to wake-ups, as the stores hold it."""

import asyncio
from collections.abc import Callable, Collection


class EventBell:
    """A ``Bell`` which its store rings; within one event loop.

    drop: told when the bell is closed, so that its store forgets it.
    """

    def __init__(self, topics: Collection[str], drop: Callable[["EventBell"], None]) -> None:
        self.topics = frozenset(topics)
        self._drop = drop
        self._rang = asyncio.Event()

    def ring(self) -> None:
        """Wake who waits, or who will wait next."""
        self._rang.set()

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until a ring or for ``timeout_s``; tell whether it rang."""
        if not self._rang.is_set():
            try:
                async with asyncio.timeout(timeout_s):
                    await self._rang.wait()
            except TimeoutError:
                return False
        self._rang.clear()
        return True

    def close(self) -> None:
        """Stop listening.  Idempotent."""
        self._drop(self)
