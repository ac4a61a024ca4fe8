"""An event loop in virtual time: nobody sleeps, and the same seed gives the same order."""

import asyncio
import math
import selectors
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2027, 1, 1, tzinfo=UTC)


END_S = 5_000


class Deadlock(AssertionError):
    """Nothing is ready, and no timer will ever make anything ready; or it goes on for ever."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        self._ends_s: float = END_S
        super().__init__(_JumpingSelector(self))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual_s

    def now(self) -> datetime:
        """Return the virtual instant: this loop is the stores' clock too."""
        return START + timedelta(microseconds=round(self._virtual_s * 1e6))

    def jump(self, seconds: float) -> None:
        """Let virtual time pass.  Raises: Deadlock, once, in a world that does not end."""
        self._virtual_s += seconds
        if self._virtual_s > self._ends_s:
            self._ends_s = math.inf
            raise Deadlock(f"after {END_S:,} s the world goes on")


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Deadlock("nothing is ready, and no timer runs")
        if timeout > 0:
            self._loop.jump(timeout)
        return []
