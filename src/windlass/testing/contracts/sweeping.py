"""What ``sweep`` and ``prune`` promise (I10, I12, I29)."""

import asyncio

import pytest

from windlass.model.jobs import Reason, State, WorkerId
from windlass.model.outcomes import Failed
from windlass.model.workers import Swept
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    BOOM,
    LEASE_S,
    LOSSES_MAX,
    SWEEP_MAX,
    StoreWorld,
    begin,
    cancel,
    claim_all,
    finish,
    lose,
    make_request,
    make_requests,
    move,
    nth_id,
    opened,
    pass_time,
    put_in_state,
    row,
)


class SweepContract:
    """What every store's ``sweep`` and ``prune`` promise."""

    async def test_a_sweep_of_nothing_moves_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert await store.sweep(SWEEP_MAX, LOSSES_MAX) == Swept()

    # -- promotion -----------------------------------------------------------

    async def test_a_scheduled_job_is_queued_once_it_is_due(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1, delay_s=60), make_request(2, delay_s=600)])
            early = await store.sweep(SWEEP_MAX, LOSSES_MAX)
            await world.advance(61)
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)
            job = await row(store, nth_id(1))

            assert (early.promoted, swept.promoted) == (0, 1)
            assert (job.state, job.reason) == (State.QUEUED, None)
            assert (await row(store, nth_id(2))).state is State.SCHEDULED

    async def test_a_sweep_tells_when_the_next_job_is_due(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1, delay_s=900), make_request(2, delay_s=60)])
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert swept.next_due_s == pytest.approx(60, abs=5)

            await world.advance(61)
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert swept.next_due_s == pytest.approx(839, abs=5)

    async def test_a_sweep_promotes_no_more_than_its_limit_and_says_that_more_is_due(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue(make_requests(5, delay_s=60))
            await world.advance(61)
            swept = [await store.sweep(2, LOSSES_MAX) for _ in range(4)]

            assert [one.promoted for one in swept] == [2, 2, 1, 0]
            assert [one.next_due_s for one in swept] == [0, 0, None, None]

    # -- rescue --------------------------------------------------------------

    async def test_the_job_of_a_silent_worker_is_queued_again(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await pass_time(world, store, LEASE_S * 3)
            job = await row(store, claim.job_id)

            assert (job.state, job.reason, job.worker) == (State.QUEUED, None, None)
            assert (job.attempt, job.failures, job.losses, job.fence) == (1, 0, 1, 1)

    async def test_a_loss_burns_no_retry(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [first] = await begin(store, make_request())
            await finish(store, first, Failed(BOOM), 0.0)
            await world.advance(0.01)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            await claim_all(store)
            await lose(store, ALICE)
            [third] = await claim_all(store, worker=BOB)

            assert (third.failures, third.attempt, third.fence) == (1, 3, 3)

    async def test_a_job_that_kills_its_worker_too_often_fails_as_poison(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])
            losses, poisoned = [], []
            for n in range(LOSSES_MAX):
                worker = WorkerId(f"worker-{n}")
                await claim_all(store, worker=worker)
                await store.leave(worker)
                swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)
                losses.append((await row(store, nth_id(1))).losses)
                poisoned.append(swept.poisoned)
            job = await row(store, nth_id(1))

            assert (losses, poisoned) == ([1, 2, 3], [0, 0, 1])
            assert (job.state, job.reason) == (State.FAILED, Reason.POISON)
            assert (job.failures, job.attempt) == (0, 3)
            assert job.ended_at is not None

    async def test_a_lost_job_whose_cancel_was_requested_is_cancelled(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await cancel(store, claim.job_id)
            await lose(store, ALICE)
            job = await row(store, claim.job_id)

            assert (job.state, job.reason) == (State.CANCELLED, None)
            assert job.ended_at is not None

    async def test_a_lost_poisonous_job_whose_cancel_was_requested_is_cancelled(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await cancel(store, claim.job_id)
            await lose(store, ALICE, losses_max=1)

            assert (await row(store, claim.job_id)).state is State.CANCELLED

    async def test_each_loss_writes_an_event(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await lose(store, ALICE)
            await claim_all(store, worker=BOB)
            await lose(store, BOB, losses_max=2)
            lost, poisoned = await store.events(claim.job_id)

            assert (lost.before, lost.after) == (State.RUNNING, State.QUEUED)
            assert (lost.fence, lost.worker, lost.actor) == (1, ALICE, None)
            assert (poisoned.before, poisoned.after) == (State.RUNNING, State.FAILED)
            assert (poisoned.reason, poisoned.fence) == (Reason.POISON, 2)
            assert lost.seq < poisoned.seq

    async def test_a_sweep_rescues_no_more_than_its_limit(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await begin(store, *make_requests(5))
            await store.leave(ALICE)
            swept = [(await store.sweep(2, LOSSES_MAX)).rescued for _ in range(4)]

            assert swept == [2, 2, 1, 0]

    async def test_a_job_is_lost_once_however_many_sweep(self, world: StoreWorld) -> None:
        async with opened(world) as one, opened(world) as other:
            await begin(one, *make_requests(50))
            await one.leave(ALICE)
            swept = await asyncio.gather(
                *(store.sweep(SWEEP_MAX, LOSSES_MAX) for store in (one, other) * 3)
            )
            await one.sweep(SWEEP_MAX, LOSSES_MAX)
            losses = {(await row(one, request.id)).losses for request in make_requests(50)}

            assert losses == {1}
            assert sum(each.rescued for each in swept) <= 50

    # -- expiry --------------------------------------------------------------

    @pytest.mark.parametrize("state", [State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD])
    async def test_a_job_past_its_expiry_fails_wherever_it_waits(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(expires_s=60))
            await store.settle([move(claim, state)])
            early = await store.sweep(SWEEP_MAX, LOSSES_MAX)
            await world.advance(61)
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)
            job = await row(store, claim.job_id)
            [event] = await store.events(claim.job_id)

            assert (early.expired, swept.expired) == (0, 1)
            assert (job.state, job.reason) == (State.FAILED, Reason.EXPIRED)
            assert job.ended_at is not None
            assert (event.before, event.after) == (state, State.FAILED)
            assert event.reason is Reason.EXPIRED

    async def test_a_job_due_and_expired_at_once_never_starts(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(delay_s=30, expires_s=40)])
            await world.advance(50)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            claims = await claim_all(store)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert claims == []
            assert (await row(store, nth_id(1))).reason is Reason.EXPIRED

    async def test_a_running_job_does_not_expire(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(expires_s=5), lease_s=3600)
            await world.advance(60)
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert swept.expired == 0
            assert (await row(store, claim.job_id)).state is State.RUNNING

    async def test_a_sweep_expires_no_more_than_its_limit(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(make_requests(5, expires_s=5))
            await world.advance(6)
            swept = [(await store.sweep(2, LOSSES_MAX)).expired for _ in range(4)]

            assert swept == [2, 2, 1, 0]

    # -- prune ---------------------------------------------------------------

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED, State.SKIPPED])
    async def test_jobs_that_ended_long_ago_are_pruned(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            old = await begin(store, make_request(1))
            await store.settle([move(old[0], state, actor="operator")])
            await world.advance(3600)
            young = await begin(store, make_request(2))
            await store.settle([move(young[0], state)])

            assert await store.prune(1800, 10) == 1
            assert await store.get(nth_id(1)) is None
            assert await store.events(nth_id(1)) == []
            assert await store.get(nth_id(2)) is not None

    async def test_dead_letters_are_pruned_only_once_resolved(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(2))
            await store.settle([move(claim, State.FAILED) for claim in claims])
            await store.resolve([nth_id(1)], "operator")
            await world.advance(3600)

            assert await store.prune(1800, 10) == 1
            assert await store.get(nth_id(1)) is None
            assert await store.get(nth_id(2)) is not None

    async def test_live_jobs_are_never_pruned(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            for n, state in enumerate((State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD)):
                await put_in_state(store, [nth_id(n)], state)
            await begin(store, make_request(9))
            await world.advance(100_000)

            assert await store.prune(0, 10) == 0

    async def test_prune_deletes_no_more_than_its_limit(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(5))
            await store.settle([move(claim, State.SUCCEEDED) for claim in claims])
            await world.advance(10)

            assert [await store.prune(5, 2) for _ in range(4)] == [2, 2, 1, 0]
