"""An event loop in virtual time: nobody sleeps, and the same seed gives the same order."""

import asyncio
import selectors
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2027, 1, 1, tzinfo=UTC)


class Deadlock(AssertionError):
    """Nothing is ready, and no timer will ever make anything ready."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__(_JumpingSelector(self))
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._virtual_s

    def now(self) -> datetime:
        """Return the virtual instant: this loop is the stores' clock too."""
        return START + timedelta(microseconds=round(self._virtual_s * 1e6))

    def jump(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._virtual_s += seconds


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
