"""Upkeep: makes the clock's moves when they are due, and drops what is old."""

import asyncio
import logging
from collections.abc import Callable

from windlass.engine.watchdog import Pulse
from windlass.model.topics import CLOCK
from windlass.ports import Store

log = logging.getLogger("windlass.upkeep")

SWEEP_LIMIT = 1_000
PRUNE_LIMIT = 1_000
PRUNE_INTERVAL_S = 60.0
RESULTS_LIMIT = 1_000
RESULTS_INTERVAL_S = 10.0


class Upkeep:
    """Sweeps at the next due instant, at each wake-up, and at least every ``sweep_s``.

    Any number of processes may do this at once: the store lets each row move once.
    on_lost: told how many jobs were taken back from workers whose lease had ended.
    """

    def __init__(
        self,
        store: Store,
        *,
        sweep_s: float,
        losses_max: int,
        retention_s: float | None,
        on_lost: Callable[[int], None],
        pulse: Pulse,
    ) -> None:
        self._store = store
        self._sweep_s = sweep_s
        self._losses_max = losses_max
        self._retention_s = retention_s
        self._on_lost = on_lost
        self._pulse = pulse
        self._prune_at = 0.0
        self._look_at_results_at = 0.0

    async def run(self) -> None:
        """Sweep and prune for ever.  Raises: StoreUnavailable, for the caller to try again."""
        bell = self._store.listen([CLOCK])
        try:
            while True:
                swept = await self._store.sweep(SWEEP_LIMIT, self._losses_max)
                if swept.rescued or swept.poisoned:
                    log.warning(
                        "lost workers: %d jobs queued again, %d failed as poison",
                        swept.rescued,
                        swept.poisoned,
                    )
                    self._on_lost(swept.rescued + swept.poisoned)
                await self._drop_results()
                await self._prune()
                due_s = self._sweep_s if swept.next_due_s is None else swept.next_due_s
                pause_s = min(due_s, self._sweep_s)
                self._pulse.beat(pause_s)
                if pause_s > 0:
                    await bell.wait(pause_s)
        finally:
            bell.close()

    async def _drop_results(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._look_at_results_at:
            return
        if await self._store.expire_results(RESULTS_LIMIT) < RESULTS_LIMIT:
            self._look_at_results_at = now + RESULTS_INTERVAL_S

    async def _prune(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._retention_s is None or now < self._prune_at:
            return
        pruned = await self._store.prune(self._retention_s, PRUNE_LIMIT)
        if pruned < PRUNE_LIMIT:
            self._prune_at = now + PRUNE_INTERVAL_S
