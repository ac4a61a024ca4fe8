"""What a store adds that lives within the workers' own process: amnesty after a gap (I9)."""

from windlass.model.jobs import State
from windlass.testing.contracts.world import (
    ALICE,
    LEASE_S,
    LOSSES_MAX,
    StoreWorld,
    begin,
    lose,
    make_request,
    make_worker,
    opened,
    row,
)


class EmbeddedContract:
    """What every embedded store promises beyond ``StoreContract``.

    Its clock stops with the machine: a gap between sweeps that is longer than a lease
    says nothing about the workers, so the sweep after it extends leases and judges none.
    """

    async def test_the_first_sweep_after_a_gap_judges_nobody(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await store.sweep(10, LOSSES_MAX)
            await world.advance(LEASE_S * 100)
            swept = await store.sweep(10, LOSSES_MAX)

            assert swept.rescued == 0
            assert (await row(store, claim.job_id)).state is State.RUNNING
            assert (await store.renew(make_worker(), LEASE_S)).held

    async def test_a_worker_that_stays_silent_after_the_gap_is_found_dead(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await world.advance(LEASE_S * 100)
            await store.sweep(10, LOSSES_MAX)
            rescued = []
            for _ in range(3):
                await world.advance(LEASE_S * 0.4)
                rescued.append((await store.sweep(10, LOSSES_MAX)).rescued)

            assert rescued == [0, 0, 1]
            assert (await row(store, claim.job_id)).state is State.QUEUED

    async def test_a_gap_gives_no_amnesty_to_a_worker_that_left(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await lose(store, ALICE)
            await world.advance(LEASE_S * 100)
            await store.sweep(10, LOSSES_MAX)

            assert (await row(store, claim.job_id)).state is State.QUEUED
            assert not (await store.renew(make_worker(), LEASE_S)).held

    async def test_after_the_gap_a_claim_is_possible_at_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.renew(make_worker(), LEASE_S)
            await store.sweep(10, LOSSES_MAX)
            await store.enqueue([make_request()])
            await world.advance(LEASE_S * 100)
            await store.sweep(10, LOSSES_MAX)

            assert len(await store.claim(ALICE, ["default"], 1)) == 1
