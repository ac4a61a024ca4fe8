"""Five hundred worlds keep every invariant; and the checks find what is planted."""

import asyncio
from typing import Any

import msgspec
import pytest

from tests.simulation.world import simulate
from windlass.engine.settler import Settler
from windlass.errors import StoreUnavailable
from windlass.model.jobs import Claim, Job, JobId, State
from windlass.model.outcomes import Transition
from windlass.stores.memory import MemoryStore

SEEDS, GROUP = 500, 50
PLANTED_SEEDS = 60


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_a_seeded_world_keeps_every_invariant(first: int) -> None:
    for seed in range(first, first + GROUP):
        world = simulate(seed)

        assert world.data.jobs


def test_the_same_seed_gives_the_same_history() -> None:
    for seed in range(5):
        assert simulate(seed).digest() == simulate(seed).digest()


# -- planted faults: a check that cannot fail proves nothing ------------------


class IgnoresFences(MemoryStore):
    """Takes an outcome under whatever fence."""

    def _apply(self, transition: Transition, now: Any) -> bool:
        job = self.data.jobs.get(transition.job_id)
        if job is not None and transition.actor is None:
            transition = msgspec.structs.replace(transition, fence=job.fence)
        return super()._apply(transition, now)


class ForgetsTheLost(MemoryStore):
    """Drops a job whose worker died."""

    def _move(self, job: Job, after: State, reason: Any, now: Any) -> None:
        if job.state is State.RUNNING:
            self.data.drop(job.id)
        else:
            super()._move(job, after, reason, now)


class BurnsRetries(MemoryStore):
    """Counts a lost worker as a failure of the job."""

    def _move(self, job: Job, after: State, reason: Any, now: Any) -> None:
        failed = job.failures + (job.state is State.RUNNING)
        super()._move(msgspec.structs.replace(job, failures=failed), after, reason, now)


class HandsOutTwice(MemoryStore):
    """Gives a job that runs to a second worker under the same fence."""

    async def claim(self, worker: Any, queues: Any, limit: int) -> list[Claim]:
        claims = await super().claim(worker, queues, limit)
        running = self.data.in_state(State.RUNNING)
        if not claims and running:
            job = running[0]
            fields = (job.id, job.fence, job.attempt, job.failures, job.task, job.queue)
            claims = [Claim(*fields, job.payload)]
        return claims


class NeverPromotes(MemoryStore):
    """Leaves what is due where it is."""

    def _promote(self, now: Any, limit: int) -> int:
        return 0


class ForgetsAnEnqueue(MemoryStore):
    """Acknowledges a job that it does not keep."""

    async def enqueue(self, requests: Any) -> list[JobId]:
        ids = await super().enqueue(requests[:-1])
        return [*ids, requests[-1].id] if len(requests) > 1 else await super().enqueue(requests)


def simulate_many(store: type[MemoryStore]) -> None:
    """Live through some seeds on a store."""
    for seed in range(PLANTED_SEEDS):
        simulate(seed, store)


PLANTED = [
    IgnoresFences,
    ForgetsTheLost,
    BurnsRetries,
    HandsOutTwice,
    NeverPromotes,
    ForgetsAnEnqueue,
]


@pytest.mark.parametrize("faulty", PLANTED)
def test_the_simulation_finds_a_fault_that_is_planted(faulty: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError):
        simulate_many(faulty)


def test_the_simulation_finds_a_settler_that_drops_outcomes_in_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def write_once(self: Settler, batch: list[Transition]) -> None:
        try:
            self._report(batch, await self._store.settle(batch))
        except StoreUnavailable:
            await asyncio.sleep(0)

    monkeypatch.setattr(Settler, "_write", write_once)
    with pytest.raises(AssertionError, match=r"stuck|began twice"):
        simulate_many(MemoryStore)
