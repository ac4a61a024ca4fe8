"""What a worker tells its watchdog: idle and full is well, stuck is not, an outage is no fault."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from tests.engine.test_worker import FAST, Flaky, spec_of, world
from windlass.engine.watchdog import Watchdog
from windlass.model.jobs import Claim, State, WorkerId
from windlass.model.workers import Swept
from windlass.stores.clock import SystemClock
from windlass.stores.memory import MemoryStore

STALL_S = 0.3


async def eventually(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 5
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return holds()


async def stays_live(watchdog: Watchdog, for_s: float = 4 * STALL_S) -> bool:
    """Look for several times as long as a stall takes."""
    end = time.monotonic() + for_s
    while (live := watchdog.health().live) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    return live


async def nap() -> None:
    await asyncio.sleep(60)


async def test_an_idle_worker_is_live_and_ready() -> None:
    watchdog = Watchdog(stall_s=STALL_S)
    async with world(watchdog=watchdog):
        assert await eventually(lambda: watchdog.health().ready)
        assert await stays_live(watchdog)


async def test_a_worker_whose_slots_are_full_for_long_is_live() -> None:
    watchdog = Watchdog(stall_s=STALL_S)
    async with world(spec_of(nap), watchdog=watchdog, options=replace(FAST, slots=1)) as w:
        await w.until(await w.enqueue(), State.RUNNING)
        await w.enqueue()

        assert await stays_live(watchdog)


async def test_an_outage_leaves_it_live_but_not_ready() -> None:
    watchdog, store = Watchdog(stall_s=STALL_S), Flaky(SystemClock())
    async with world(store=store, watchdog=watchdog):
        assert await eventually(lambda: watchdog.health().ready)
        store.down = True
        assert await eventually(
            lambda: watchdog.health().wants == ("the store does not answer", "it holds no lease")
        )
        assert await stays_live(watchdog)
        store.down = False

        assert await eventually(lambda: watchdog.health().ready)


class Stuck(MemoryStore):
    """A store some of whose calls do not come back, or break."""

    stuck = ""
    broken = ""

    async def _call(self, name: str) -> None:
        while self.stuck == name:
            await asyncio.sleep(0.01)
        if self.broken == name:
            raise ValueError(name)

    async def claim(self, worker: WorkerId, queues: Sequence[str], limit: int) -> list[Claim]:
        await self._call("claim")
        return await super().claim(worker, queues, limit)

    async def sweep(self, limit: int, losses_max: int) -> Swept:
        await self._call("upkeep")
        return await super().sweep(limit, losses_max)


@pytest.mark.parametrize("name", ["claim", "upkeep"])
async def test_a_loop_whose_call_does_not_come_back_is_named(name: str) -> None:
    watchdog, store = Watchdog(stall_s=STALL_S), Stuck(SystemClock())
    store.stuck = name
    async with world(store=store, watchdog=watchdog):
        assert await eventually(lambda: not watchdog.health().live)
        [stall] = watchdog.health().stalls
        assert stall.startswith(f"{name} has not moved for")
        store.stuck = ""

        assert await eventually(lambda: watchdog.health().live)


async def test_a_loop_that_breaks_again_and_again_makes_no_progress() -> None:
    watchdog, store = Watchdog(stall_s=STALL_S), Stuck(SystemClock())
    store.broken = "claim"
    async with world(store=store, watchdog=watchdog):
        assert await eventually(lambda: not watchdog.health().live)
        assert "claim" in watchdog.health().stalls[0]
        store.broken = ""

        assert await eventually(lambda: watchdog.health().live)
