"""The watchdog: knows which loop of a worker has not moved, and for how long.

The loops report to it from the event loop; it is asked from another thread, so that it can
answer while user code blocks the event loop.  Each fact is one word that one thread writes.
"""

import math
import time
from collections.abc import Callable

from windlass.model.health import Health

STALL_S = 30.0
EVENT_LOOP = "the event loop"  # in which all others turn


class Pulse:
    """The signs of life of one loop."""

    __slots__ = ("_due_at", "_moved_at", "_now")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.rest()

    def beat(self, next_in_s: float = 0.0) -> None:
        """Report progress; the next is due after ``next_in_s`` of intended waiting."""
        now = self._now()
        self._moved_at = now
        self._due_at = now + next_in_s

    def rest(self) -> None:
        """Report a wait for what others do, however long it takes."""
        self.beat(math.inf)

    def overdue_s(self) -> float:
        """Return for how long the next sign of life has been due; 0 while it is not."""
        return max(0.0, self._now() - self._due_at)

    def silent_s(self) -> float:
        """Return how long ago the last sign of life was."""
        return self._now() - self._moved_at


class Watchdog:
    """Gathers the pulses of a worker's loops and the state of its lease.

    stall_s: a loop that is overdue for longer makes no progress.
    now:     monotonic seconds, the same in every thread.
    """

    def __init__(
        self, *, stall_s: float = STALL_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._stall_s = stall_s
        self._now = now
        self._pulses: dict[str, Pulse] = {}
        self._held_until = -math.inf
        self._store_answers = True
        self._stopping = False

    def pulse(self, loop: str) -> Pulse:
        """Return the pulse of a loop; the same for the same name."""
        if loop not in self._pulses:
            self._pulses[loop] = Pulse(self._now)
        return self._pulses[loop]

    def lease_held(self, left_s: float) -> None:
        """Report that the store has renewed the lease, which can be trusted for ``left_s``."""
        self._held_until = self._now() + left_s
        self._store_answers = True

    def store_answers(self) -> None:
        """Report that the store has answered."""
        self._store_answers = True

    def lease_in_doubt(self) -> None:
        """Report that the store did not answer when a lease was to be renewed."""
        self._store_answers = False

    def lease_lost(self) -> None:
        """Report that no lease is held any more."""
        self._held_until = -math.inf

    def stopping(self) -> None:
        """Report that the worker was told to stop."""
        self._stopping = True

    def health(self) -> Health:
        """Return what is well and what is not.  From any thread."""
        return Health(
            stalls=tuple(self._stalls()), wants=tuple(self._wants()), stopping=self._stopping
        )

    def _stalls(self) -> list[str]:
        stalled = {
            name: pulse.silent_s()
            for name, pulse in list(self._pulses.items())
            if pulse.overdue_s() > self._stall_s
        }
        if EVENT_LOOP in stalled:  # the cause of all the others
            stalled = {EVENT_LOOP: stalled[EVENT_LOOP]}
        return [f"{name} has not moved for {silent_s:.0f} s" for name, silent_s in stalled.items()]

    def _wants(self) -> list[str]:
        wants = []
        if self._stopping:
            wants.append("it was told to stop")
        if not self._store_answers:
            wants.append("the store does not answer")
        if self._now() >= self._held_until:
            wants.append("it holds no lease")
        return wants
