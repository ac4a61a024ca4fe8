"""One subscription to wake-ups, as the stores hold it; and rings that are due later."""

import asyncio
from collections.abc import Callable, Collection
from functools import partial


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


class Alarm:
    """Rings a topic after a time, within one event loop; a hint, as every ring.

    ring: told the topic when its time has come.
    """

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._set: dict[str, asyncio.TimerHandle] = {}

    def set(self, topic: str, delay_s: float) -> None:
        """Ring after ``delay_s``, unless it is to ring before that anyway."""
        loop = asyncio.get_running_loop()
        rings_at = loop.time() + delay_s
        earlier = self._set.get(topic)
        if earlier is not None:
            if earlier.when() <= rings_at:
                return
            earlier.cancel()
        self._set[topic] = loop.call_at(rings_at, partial(self._go_off, topic))

    def close(self) -> None:
        """Forget what was set.  Idempotent."""
        for timer in self._set.values():
            timer.cancel()
        self._set.clear()

    def _go_off(self, topic: str) -> None:
        del self._set[topic]
        self._ring(topic)
