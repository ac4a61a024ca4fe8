"""Seeded worlds keep one outcome for each tick; and the checks find what is planted."""

from typing import Any

import pytest
from msgspec.structs import replace as with_

from tests.simulation.schedule_world import ScheduleWorld
from tests.simulation.world import simulate_in
from windlass.model.schedules import SchedulePlan
from windlass.stores.memory import MemoryStore
from windlass.stores.memory_schedules import MemorySchedules

SEEDS, GROUP = 300, 50
PLANTED_SEEDS = 60


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_each_tick_has_one_outcome_in_each_seeded_world(first: int) -> None:
    fires = 0
    for seed in range(first, first + GROUP):
        fires += len(simulate_in(ScheduleWorld, seed).data.fires)

    assert fires > 10 * GROUP


def test_the_same_seed_gives_the_same_history() -> None:
    for seed in range(5):
        one, two = (simulate_in(ScheduleWorld, seed) for _ in range(2))

        assert one.data.fires == two.data.fires
        assert one.digest() == two.digest()


# -- planted faults: a check that cannot fail proves nothing ------------------


class IgnoresRevisions(MemorySchedules):
    """Writes a plan whatever has been written since it was made."""

    def _write(self, plan: SchedulePlan) -> bool:
        self._data.schedules[plan.row.name] = plan.row
        self._record(plan)
        return True


class ForgetsOutcomes(MemorySchedules):
    """Moves a schedule on without the last outcome."""

    def _record(self, plan: SchedulePlan) -> None:
        super()._record(with_(plan, fires=plan.fires[:-1]) if len(plan.fires) > 1 else plan)


class StartsTwice(MemorySchedules):
    """Starts the job of a tick again where the answer was lost."""

    def _record(self, plan: SchedulePlan) -> None:
        super()._record(plan)
        for request in plan.requests[:1]:
            self._insert(with_(request, id=type(request.id)(request.id[:-1] + "z")))


class NeverHandsOver(MemorySchedules):
    """Gives the lease of a dead leader to nobody."""

    async def lead(self, candidate: str, lease_s: float) -> Any:
        leadership = await super().lead(candidate, 60.0)
        return with_(leadership, left_s=lease_s)


@pytest.mark.parametrize("faulty", [IgnoresRevisions, ForgetsOutcomes, StartsTwice, NeverHandsOver])
def test_the_simulation_finds_a_fault_that_is_planted(faulty: type[MemorySchedules]) -> None:
    class FaultyStore(MemoryStore):
        def __init__(self, clock: Any, **options: Any) -> None:
            super().__init__(clock, **options)
            insert = lambda request: self._insert_all([request], clock.now())[0]  # noqa: E731
            self.schedules = faulty(self.data, clock, insert)

    def live_through_some() -> None:
        for seed in range(PLANTED_SEEDS):
            simulate_in(ScheduleWorld, seed, FaultyStore)

    with pytest.raises(AssertionError):
        live_through_some()
