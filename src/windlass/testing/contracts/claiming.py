"""What ``claim`` promises (I7, I8)."""

import asyncio
from datetime import timedelta

from windlass.model.jobs import State, WorkerId
from windlass.model.limits import Cap, Limits, lane_of
from windlass.model.outcomes import Failed
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    BOOM,
    LEASE_S,
    LOSSES_MAX,
    SWEEP_MAX,
    StoreWorld,
    begin,
    claim_all,
    finish,
    make_request,
    make_requests,
    make_worker,
    move,
    nth_id,
    opened,
    row,
)


class ClaimContract:
    """What every store's ``claim`` promises."""

    async def test_a_claim_carries_what_the_worker_needs(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(task="t", queue="q", payload=b"\x01"))
            job = await row(store, nth_id(1))

            assert (claim.job_id, claim.task, claim.queue) == (nth_id(1), "t", "q")
            assert (claim.payload, claim.failures) == (b"\x01", 0)
            assert (claim.fence, claim.attempt) == (1, 1) == (job.fence, job.attempt)
            assert (job.state, job.reason, job.worker) == (State.RUNNING, None, ALICE)
            assert job.started_at is not None

    async def test_the_fingerprint_comes_with_each_claim_and_stays(self, world: StoreWorld) -> None:
        said = [0, 7, None, 2**31 - 1, 9]
        requests = [make_request(n, fingerprint=each) for n, each in enumerate(said, 1)]
        alone = make_request(6, fingerprint=11)
        delayed = make_request(7, fingerprint=12, expires_s=3600.0)
        keyed = make_request(8, fingerprint=13, unique_key="k")
        mixed = [make_request(9, fingerprint=14, expires_s=3600.0), make_request(10)]
        lane = lane_of(Limits(caps=(Cap("few", "", 5),)))
        limited = make_request(11, fingerprint=15, lane=lane.id, limits=lane.limits)
        said += [11, 12, 13, 14, None, 15]
        async with opened(world) as store:
            for batch in (requests, [alone], [delayed], [keyed], mixed, [limited]):
                await store.enqueue(batch)
            claims = await claim_all(store)

            assert [claim.fingerprint for claim in claims] == said
            assert [claim.fingerprint for claim in await store.held(ALICE)] == said
            assert [(await row(store, claim.job_id)).fingerprint for claim in claims] == said

    async def test_headers_come_with_each_claim_and_stay(self, world: StoreWorld) -> None:
        headers = [b'{"a":"1"}', None, b'{"b":"\xc3\xa9"}', None, b"{}"]
        requests = [make_request(n, headers=said) for n, said in enumerate(headers, 1)]
        requests[3] = make_request(4, unique_key="k", headers=b'{"k":"1"}')
        async with opened(world) as store:
            await store.enqueue(requests[:3])  # several at once, one alone, and with a key
            await store.enqueue(requests[4:])
            claims = await begin(store, requests[3])
            said = [request.headers for request in requests]

            assert [claim.headers for claim in claims] == said
            assert [claim.headers for claim in await store.held(ALICE)] == said
            assert await finish(store, claims[0], Failed(BOOM), retry_s=0.0)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            [again] = await claim_all(store)
            assert again.headers == said[0]
            assert [(await row(store, request.id)).headers for request in requests] == said

    async def test_fence_and_attempt_grow_with_each_claim(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [first] = await begin(store, make_request())
            await store.settle([move(first, State.QUEUED)])
            [second] = await claim_all(store)

            assert (first.fence, first.attempt) == (1, 1)
            assert (second.fence, second.attempt) == (2, 2)

    async def test_higher_priority_is_claimed_first(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(n, priority=p) for n, p in ((1, -5), (2, 0), (3, 9))])
            await store.renew(make_worker(), LEASE_S)
            claims = await store.claim(ALICE, ["default"], 10)

            assert [claim.job_id for claim in claims] == [nth_id(3), nth_id(2), nth_id(1)]

    async def test_of_equal_priority_what_was_due_first_is_claimed_first(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            for n in (3, 1, 2):
                await store.enqueue([make_request(n)])
                await world.advance(1)
            await store.renew(make_worker(), LEASE_S)
            claims = await store.claim(ALICE, ["default"], 10)

            assert [claim.job_id for claim in claims] == [nth_id(3), nth_id(1), nth_id(2)]

    async def test_of_what_is_due_together_the_lowest_id_is_claimed_first(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(n) for n in (3, 1, 2)])
            await store.renew(make_worker(), LEASE_S)
            [first] = await store.claim(ALICE, ["default"], 1)
            rest = await store.claim(ALICE, ["default"], 10)

            assert [claim.job_id for claim in (first, *rest)] == [nth_id(1), nth_id(2), nth_id(3)]

    async def test_several_queues_are_claimed_as_one_line(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(
                [
                    make_request(1, queue="a"),
                    make_request(2, queue="b", priority=5),
                    make_request(3, queue="a", priority=5),
                    make_request(4, queue="elsewhere", priority=9),
                    make_request(5, queue="b"),
                ]
            )
            await store.renew(make_worker(), LEASE_S)
            [first] = await store.claim(ALICE, ["a", "b"], 1)
            rest = await store.claim(ALICE, ["b", "a"], 10)

            assert [claim.job_id for claim in (first, *rest)] == [nth_id(n) for n in (2, 3, 1, 5)]

    async def test_no_queues_give_no_jobs(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])
            await store.renew(make_worker(), LEASE_S)

            assert await store.claim(ALICE, [], 10) == []

    async def test_no_more_than_the_limit_is_claimed(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(make_requests(5))
            await store.renew(make_worker(), LEASE_S)
            sizes = [len(await store.claim(ALICE, ["default"], 2)) for _ in range(4)]

            assert sizes == [2, 2, 1, 0]

    async def test_a_job_past_its_expiry_is_never_claimed(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1, expires_s=5), make_request(2, expires_s=500)])
            await world.advance(6)
            claims = await claim_all(store)

            assert [claim.job_id for claim in claims] == [nth_id(2)]

    async def test_a_scheduled_job_is_not_claimed_before_a_sweep_promotes_it(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(delay_s=60)])

            assert await claim_all(store) == []

            await world.advance(61)
            await store.sweep(10, LOSSES_MAX)

            assert len(await claim_all(store, worker=BOB)) == 1

    async def test_a_worker_without_a_lease_gets_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])

            assert await store.claim(WorkerId("nobody"), ["default"], 1) == []

    async def test_a_worker_whose_lease_has_ended_gets_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])
            await store.renew(make_worker(), LEASE_S)
            await world.advance(LEASE_S + 1)

            assert await store.claim(ALICE, ["default"], 1) == []

    async def test_a_worker_that_left_gets_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])
            await store.renew(make_worker(), LEASE_S)
            await store.leave(ALICE)

            assert await store.claim(ALICE, ["default"], 1) == []

    async def test_what_a_worker_holds_is_what_it_claimed_and_did_not_settle(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            one, two, three = await begin(store, *make_requests(3))
            await begin(store, make_request(4), worker=BOB)
            await store.settle([move(two, State.SUCCEEDED)])

            assert await store.held(ALICE) == [one, three]
            assert await store.held(WorkerId("nobody")) == []

    async def test_two_workers_never_get_the_same_job(self, world: StoreWorld) -> None:
        async with opened(world) as one, opened(world) as other:
            await one.enqueue(make_requests(200))
            await one.renew(make_worker(ALICE), LEASE_S)
            await other.renew(make_worker(BOB), LEASE_S)
            claimed = await asyncio.gather(
                *(one.claim(ALICE, ["default"], 7) for _ in range(20)),
                *(other.claim(BOB, ["default"], 7) for _ in range(20)),
            )
            ids = [claim.job_id for batch in claimed for claim in batch]

            assert len(ids) == len(set(ids))
            # A batch may be short because a rival has its jobs; what is left comes next.
            ids += [claim.job_id for claim in await claim_all(one)]
            assert sorted(ids) == [request.id for request in make_requests(200)]

    async def test_what_is_queued_early_is_claimed_with_the_time_that_is_left(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            due_at = (await store.schedules.find([])).now + timedelta(seconds=20)
            await store.enqueue(
                [
                    make_request(1, run_at=due_at, early_s=30.0),
                    make_request(2, run_at=due_at, early_s=5.0),
                    make_request(3),
                ]
            )
            states = [(await row(store, nth_id(n))).state for n in (1, 2, 3)]
            claims = {claim.job_id: claim.due_in_s for claim in await claim_all(store)}

            assert states == [State.QUEUED, State.SCHEDULED, State.QUEUED]
            assert set(claims) == {nth_id(1), nth_id(3)}
            assert claims[nth_id(3)] is None
            due_in_s = claims[nth_id(1)]
            assert due_in_s is not None
            assert 15.0 < due_in_s <= 20.0
            [again] = [one for one in await store.held(ALICE) if one.job_id == nth_id(1)]
            assert again.due_in_s is not None
            assert 0 < again.due_in_s <= due_in_s
            await world.advance(21.0)
            [held] = [one for one in await store.held(ALICE) if one.job_id == nth_id(1)]
            assert held.due_in_s is None
