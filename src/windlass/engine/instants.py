"""Waiting for an instant: never shorter, and hardly longer."""

import asyncio
import math
from collections.abc import Callable

SPIN_INTERVAL_S = 0.1


class Instants:
    """Sleeps until instants of a monotonic clock.

    now:    the clock, in seconds; None: that of the running loop.
    spin_s: so long before an instant it does not sleep but yields to the loop, since timers come
            late by a millisecond or more.  Not more than ten times a second, for it costs time of
            the processor.
    """

    def __init__(self, now: Callable[[], float] | None = None, spin_s: float = 0.0) -> None:
        self._now = now
        self._spin_s = spin_s
        self._spun_at = -math.inf

    def now(self) -> float:
        """Return the present instant."""
        return asyncio.get_running_loop().time() if self._now is None else self._now()

    async def until(self, instant: float) -> None:
        """Return as soon as the instant has come."""
        may_spin = self.now() - self._spun_at > SPIN_INTERVAL_S
        spin_s = self._spin_s if may_spin else 0.0
        while (left_s := instant - self.now()) > 0:
            if left_s > spin_s:
                await asyncio.sleep(left_s - spin_s)
            else:
                self._spun_at = self.now()
                await asyncio.sleep(0)
