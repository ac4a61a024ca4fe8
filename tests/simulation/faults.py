"""A store that answers late, or not, or has done it and does not say so; bells that fail."""

import asyncio
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from windlass.errors import StoreUnavailable
from windlass.ports import Bell, Store


@dataclass(slots=True)
class Faults:
    """How often what goes wrong; shared by a world, so that it can all stop at once."""

    refused: float = 0.0  # the request never arrives
    unanswered: float = 0.0  # it is done, but its answer is lost
    slow: float = 0.0  # it takes longer than a lease
    lost_ring: float = 0.0
    false_ring: float = 0.0
    over: bool = False  # the world ends: nothing answers any more

    def stop(self) -> None:
        """Let everything work from now on."""
        self.refused = self.unanswered = self.slow = self.lost_ring = self.false_ring = 0.0


class FlakyVerbs:
    """Verbs of a store, as one process can reach them.  Killed, it hears and says nothing more."""

    def __init__(self, verbs: Any, faults: Faults, chance: random.Random, lease_s: float) -> None:
        self._verbs = verbs
        self._faults = faults
        self._chance = chance
        self._lease_s = lease_s
        self.killed = False
        self.paused_until = 0.0

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        work = getattr(self._verbs, verb)

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._travel()
            await self._fail(self._faults.refused)
            answer = await work(*arguments, **named)
            await self._fail(self._faults.unanswered)
            await self._travel()
            return answer

        return call

    async def _travel(self) -> None:
        if self._faults.over:
            raise StoreUnavailable("memory://", "the world is over")
        if self._chance.random() < self._faults.slow:
            await asyncio.sleep(self._chance.uniform(0.5, 2.0) * self._lease_s)
        else:
            await asyncio.sleep(self._chance.uniform(0.0, 0.02))
        while (left_s := self.paused_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left_s)
        if self.killed and not self._faults.over:
            await asyncio.get_running_loop().create_future()  # for ever

    async def _fail(self, share: float) -> None:
        if share and self._chance.random() < share:
            raise StoreUnavailable("memory://", "it is away")


class FlakyStore(FlakyVerbs):
    """One process's way to the store."""

    url = "memory://"

    def __init__(self, store: Store, faults: Faults, chance: random.Random, lease_s: float) -> None:
        super().__init__(store, faults, chance, lease_s)
        self.schedules = FlakyVerbs(store.schedules, faults, chance, lease_s)
        self.runs = FlakyVerbs(store.runs, faults, chance, lease_s)

    def kill(self) -> None:
        """Let nothing through any more, either way."""
        self.killed = self.schedules.killed = self.runs.killed = True

    def pause(self, seconds: float) -> None:
        """Let nothing through for a while; what is on its way arrives late."""
        until = asyncio.get_running_loop().time() + seconds
        self.paused_until = self.schedules.paused_until = self.runs.paused_until = until

    def listen(self, topics: Collection[str]) -> Bell:
        """Subscribe to wake-ups, some of which get lost."""
        return FlakyBell(self._verbs.listen(topics), self._faults, self._chance)


class FlakyBell:
    """A bell some of whose rings are lost, and some are false."""

    def __init__(self, bell: Bell, faults: Faults, chance: random.Random) -> None:
        self._bell = bell
        self._faults = faults
        self._chance = chance

    def ring(self) -> None:
        """Wake who waits here."""
        self._bell.ring()

    async def wait(self, timeout_s: float) -> bool:
        """Sleep until a ring that arrives, a false one, or for the time."""
        if self._chance.random() < self._faults.false_ring:
            await asyncio.sleep(self._chance.uniform(0, timeout_s))
            return True
        end = asyncio.get_running_loop().time() + timeout_s
        while True:
            rang = await self._bell.wait(max(0.0, end - asyncio.get_running_loop().time()))
            if not rang or self._chance.random() >= self._faults.lost_ring:
                return rang

    def close(self) -> None:
        """Stop listening."""
        self._bell.close()
