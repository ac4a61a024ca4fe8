"""What ``renew``, ``leave`` and ``workers`` promise (I9, I13)."""

from datetime import timedelta

from windlass.model.jobs import State, WorkerId
from windlass.model.workers import Lease
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    LEASE_S,
    LOSSES_MAX,
    StoreWorld,
    begin,
    cancel,
    make_request,
    make_requests,
    make_worker,
    move,
    nth_id,
    opened,
    pass_time,
    row,
)


class LeaseContract:
    """What every store's ``renew``, ``leave`` and ``workers`` promise."""

    async def test_a_renewal_makes_a_lease(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            lease = await store.renew(make_worker(queues=["a", "b"]), LEASE_S)
            [worker] = await store.workers()

            assert lease == Lease(held=True, cancels=())
            assert (worker.id, worker.host, worker.pid) == (ALICE, "host-1", 4711)
            assert (worker.queues, worker.slots, worker.running) == (("a", "b"), 8, 0)
            assert worker.lease_until - worker.started_at == timedelta(seconds=LEASE_S)

    async def test_a_renewal_extends_the_lease(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.renew(make_worker(), LEASE_S)
            await world.advance(10)
            await store.renew(make_worker(), LEASE_S)
            [worker] = await store.workers()

            assert (worker.lease_until - worker.started_at).total_seconds() >= LEASE_S + 10

    async def test_a_renewed_lease_outlives_the_first(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            for _ in range(8):
                await world.advance(LEASE_S / 2)
                await store.renew(make_worker(), LEASE_S)
                await store.sweep(10, LOSSES_MAX)

            assert (await row(store, claim.job_id)).state is State.RUNNING

    async def test_a_renewal_that_is_late_but_unnoticed_is_held(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await world.advance(LEASE_S * 4)
            lease = await store.renew(make_worker(), LEASE_S)
            await store.sweep(10, LOSSES_MAX)

            assert lease.held
            assert (await row(store, claim.job_id)).state is State.RUNNING

    async def test_a_worker_found_dead_is_not_held_any_more(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.renew(make_worker(), LEASE_S)
            await pass_time(world, store, LEASE_S * 3)
            lease = await store.renew(make_worker(), LEASE_S)
            await store.enqueue([make_request()])

            assert not lease.held
            assert await store.workers() == []
            assert await store.claim(ALICE, ["default"], 1) == []

    async def test_a_worker_found_dead_begins_again_under_a_new_id(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.renew(make_worker(ALICE), LEASE_S)
            await pass_time(world, store, LEASE_S * 3)
            lease = await store.renew(make_worker(BOB), LEASE_S)

            assert lease.held
            assert [worker.id for worker in await store.workers()] == [BOB]

    async def test_a_worker_that_left_is_not_held_any_more(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.renew(make_worker(), LEASE_S)
            await store.leave(ALICE)

            assert await store.workers() == []
            assert not (await store.renew(make_worker(), LEASE_S)).held
            assert await store.workers() == []

    async def test_leaving_is_idempotent(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.leave(WorkerId("never-was"))
            await store.renew(make_worker(), LEASE_S)
            await store.leave(ALICE)
            await store.leave(ALICE)

            assert await store.workers() == []

    async def test_what_a_leaving_worker_still_runs_counts_as_lost(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await store.leave(ALICE)
            swept = await store.sweep(10, LOSSES_MAX)
            job = await row(store, claim.job_id)

            assert swept.rescued == 1
            assert (job.state, job.losses, job.failures) == (State.QUEUED, 1, 0)

    async def test_a_renewal_delivers_the_cancels_until_they_are_settled(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3))
            await begin(store, make_request(4), worker=BOB)
            await cancel(store, nth_id(2))
            await cancel(store, nth_id(3))
            await cancel(store, nth_id(4))
            first = await store.renew(make_worker(), LEASE_S)
            await store.settle([move(claims[2], State.CANCELLED)])
            second = await store.renew(make_worker(), LEASE_S)

            assert (first.held, sorted(first.cancels)) == (True, [nth_id(2), nth_id(3)])
            assert second.cancels == (nth_id(2),)

    async def test_workers_are_listed_with_the_number_of_jobs_they_run(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3))
            await begin(store, make_request(4), worker=BOB)
            await store.settle([move(claims[0], State.SUCCEEDED)])
            running = {worker.id: worker.running for worker in await store.workers()}

            assert running == {ALICE: 2, BOB: 1}

    async def test_a_lease_lost_in_one_worker_leaves_the_others_alone(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await begin(store, make_request(1), worker=ALICE)
            await begin(store, make_request(2), worker=BOB, lease_s=LEASE_S * 100)
            await pass_time(world, store, LEASE_S * 3)

            assert (await row(store, nth_id(1))).state is State.QUEUED
            assert (await row(store, nth_id(2))).state is State.RUNNING
            assert [worker.id for worker in await store.workers()] == [BOB]
