"""What ``claim`` promises of limits: never exceeded, never leaked, nobody left behind (I28)."""

import asyncio
from collections import Counter
from typing import Any

from windlass.model.jobs import Claim, JobRequest, State
from windlass.model.limits import Cap, Holder, Limits, Pace, Together, lane_of
from windlass.model.outcomes import Cancelled, Failed, Snoozed, Succeeded
from windlass.model.topics import queue_topic
from windlass.ports import Store
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    BOOM,
    LEASE_S,
    LOSSES_MAX,
    RING_S,
    SWEEP_MAX,
    StoreWorld,
    cancel,
    claim_all,
    finish,
    lose,
    make_request,
    make_worker,
    move,
    nth_id,
    opened,
    pass_time,
    row,
)

DONE = Succeeded(None)


def limited(
    n: int, *, caps: Any = (), paces: Any = (), shares: Any = (), **fields: Any
) -> JobRequest:
    """Return the ``n``-th request under these limits."""
    lane = lane_of(Limits(caps=tuple(caps), paces=tuple(paces), shares=tuple(shares)))
    return make_request(n, lane=lane.id, limits=lane.limits, **fields)


def capped(n: int, key: str = "", most: int = 2, **fields: Any) -> JobRequest:
    """Return the ``n``-th request under one cap."""
    return limited(n, caps=[Cap("cap", key, most)], **fields)


def paced(n: int, interval_s: float = 10.0, burst: int = 1, **fields: Any) -> JobRequest:
    """Return the ``n``-th request under one pace."""
    return limited(n, paces=[Pace("pace", "", round(interval_s * 1e6), burst)], **fields)


def numbers(claims: list[Claim]) -> list[int]:
    """Return which of the requests were claimed, in the order of the claims."""
    known = {nth_id(n): n for n in range(1, 1_000)}
    return [known[claim.job_id] for claim in claims]


async def take(store: Store, limit: int = 100, worker: Any = ALICE) -> list[Claim]:
    """Claim from one queue, in the order which the store gives."""
    await store.renew(make_worker(worker), LEASE_S)
    return await store.claim(worker, ["default"], limit)


class LimitContract:
    """What every store promises of limits."""

    async def test_no_more_start_than_the_cap_lets(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n) for n in range(1, 6)])

            assert numbers(await take(store)) == [1, 2]
            assert await take(store) == []
            assert await take(store, worker=BOB) == []

    async def test_what_ends_makes_room_for_the_next(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n) for n in range(1, 8)])
            first, second = await take(store)
            await finish(store, first, DONE)
            [third] = await take(store)
            await finish(store, second, Failed(BOOM), retry_s=60.0)
            [fourth] = await take(store)
            await finish(store, third, Snoozed(60.0))
            [fifth] = await take(store)
            await finish(store, fourth, Cancelled())
            await finish(store, fifth, Failed(BOOM))

            assert numbers([first, second, third, fourth, fifth]) == [1, 2, 3, 4, 5]
            assert numbers(await take(store)) == [6, 7]

    async def test_each_key_has_a_cap_of_its_own(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n, key="ab"[n % 2]) for n in range(1, 9)])
            claims = await take(store)

            assert Counter(n % 2 for n in numbers(claims)) == {0: 2, 1: 2}

    async def test_a_cap_is_shared_by_all_lanes_that_name_it(self, world: StoreWorld) -> None:
        shared = Cap("licences", "", 3)
        async with opened(world) as store:
            await store.enqueue(
                [limited(n, caps=[shared, Cap("own", str(n % 2), 9)]) for n in range(1, 9)]
            )

            assert len(await take(store)) == 3
            assert await take(store) == []

    async def test_the_slots_of_a_lost_worker_are_free_again(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n) for n in range(1, 4)])
            lost = await take(store)
            await lose(store, ALICE)
            again = await take(store, worker=BOB)

            assert numbers(again) == numbers(lost) == [1, 2]
            assert not any([await finish(store, claim, DONE) for claim in lost])
            assert await take(store, worker=BOB) == []

    async def test_a_cancel_that_is_only_asked_for_frees_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n, most=1) for n in range(1, 4)])
            [claim] = await take(store)
            await cancel(store, claim.job_id)
            await cancel(store, nth_id(2))

            assert await take(store) == []
            assert await finish(store, claim, Cancelled())
            assert numbers(await take(store)) == [3]

    async def test_a_smaller_cap_of_a_newer_job_counts_the_older_ones(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n, most=3) for n in range(1, 4)])
            older = await take(store)
            await store.enqueue([capped(n, most=2) for n in range(4, 6)])
            await finish(store, older[0], DONE)
            before = await take(store)
            await finish(store, older[1], DONE)

            assert before == []
            assert numbers(await take(store)) == [4]

    async def test_a_pace_lets_one_start_in_each_interval(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([paced(n) for n in range(1, 9)])
            taken = []
            for wait_s in (0.0, 9.0, 1.5, 5.0, 60.0, 1.0):
                await world.advance(wait_s)
                taken.append(numbers(await take(store)))

            assert taken == [[1], [], [2], [], [3], []]

    async def test_a_burst_is_let_through_at_once_and_fills_again(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([paced(n, burst=3) for n in range(1, 9)])
            taken = []
            for wait_s in (0.0, 20.5, 90.0):
                await world.advance(wait_s)
                taken.append(numbers(await take(store)))

            assert taken == [[1, 2, 3], [4, 5], [6, 7, 8]]

    async def test_all_limits_of_a_job_hold_together(self, world: StoreWorld) -> None:
        limits: dict[str, Any] = {
            "caps": [Cap("cap", "", 2)],
            "paces": [Pace("pace", "", 10_000_000, 3)],
        }
        async with opened(world) as store:
            await store.enqueue([limited(n, **limits) for n in range(1, 9)])
            first = await take(store)  # the cap lets two, the pace three
            for claim in first:
                await finish(store, claim, DONE)
            second = await take(store)  # the pace lets one more
            await world.advance(60.0)
            third = await take(store)  # the cap lets one more

            assert [numbers(claims) for claims in (first, second, third)] == [[1, 2], [3], [4]]

    async def test_a_retry_is_one_more_start(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([paced(1, burst=2), paced(2, burst=2), paced(3, burst=2)])
            [first, _] = await take(store)
            await world.advance(0.5)
            await finish(store, first, Failed(BOOM), retry_s=0.0)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert await take(store) == []
            await world.advance(10.5)
            assert numbers(await take(store)) == [3]  # due before the retry
            await world.advance(10.5)
            [again] = await take(store)
            assert (again.job_id, again.attempt, again.lane) == (nth_id(1), 2, first.lane)

    async def test_the_bell_of_the_queue_rings_when_a_pace_lets_one_go(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([paced(n, interval_s=0.3) for n in (1, 2)])
            assert len(await take(store)) == 1
            bell = store.listen([queue_topic("default")])
            assert await take(store) == []

            assert await bell.wait(RING_S)
            bell.close()

    async def test_lanes_take_turns(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([limited(n, shares=["big"]) for n in range(1, 101)])
            await store.enqueue([limited(n, shares=["small"]) for n in range(101, 104)])
            at_once = numbers(await take(store, 6))
            await store.enqueue([limited(n, shares=["small"]) for n in range(104, 107)])
            one_by_one = [n for _ in range(6) for n in numbers(await take(store, 1))]

            assert sorted(at_once) == [1, 2, 3, 101, 102, 103]
            assert sorted(one_by_one) == [4, 5, 6, 104, 105, 106]

    async def test_a_lane_with_few_jobs_leaves_the_rest_of_the_room_to_the_others(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([limited(n, shares=["big"]) for n in range(1, 101)])
            await store.enqueue([limited(101, shares=["small"])])
            claims = await take(store, 50)

            assert sorted(numbers(claims)) == [*range(1, 50), 101]

    async def test_jobs_without_a_lane_take_their_turn_among_the_lanes(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(n) for n in range(1, 101)])
            await store.enqueue([limited(n, shares=["small"]) for n in range(101, 104)])
            claims = await take(store, 2)
            claims += await take(store, 6)

            assert {101, 102, 103} <= set(numbers(claims))
            assert len(claims) == 8

    async def test_higher_priority_goes_first_through_all_lanes(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await take(store)
            await store.enqueue([limited(n, shares=["a"], priority=n) for n in (1, 5, 3)])
            await store.enqueue([limited(n, shares=["b"], priority=n) for n in (4, 2)])
            await store.enqueue([make_request(6, priority=6)])
            first = await take(store, 1)  # the store may only now see that there are lanes
            rest = await take(store)

            assert numbers(first + rest) == [6, 5, 4, 3, 2, 1]

    async def test_a_closed_lane_holds_up_nobody_else(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n, key="full", most=1, priority=9) for n in range(1, 101)])
            await take(store)
            await store.enqueue([capped(101, key="free"), make_request(102)])
            await store.enqueue([make_request(103, queue="other")])

            assert sorted(numbers(await take(store, 5))) == [101, 102]
            assert len(await claim_all(store, ["default", "other"])) == 1

    async def test_many_closed_lanes_hide_no_open_one(self, world: StoreWorld) -> None:
        closed = [Cap("all", "", 1)]
        async with opened(world) as store:
            await store.enqueue([limited(n, caps=closed, shares=[str(n)]) for n in range(1, 600)])
            assert len(await take(store)) == 1
            await store.enqueue([capped(n, key=str(n)) for n in range(600, 605)])
            found: list[int] = []
            for _ in range(5):
                found += numbers(await take(store, 2))

            assert sorted(found) == [600, 601, 602, 603, 604]

    async def test_a_limited_job_past_its_expiry_is_never_claimed(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(1, expires_s=5.0), capped(2)])
            await world.advance(6.0)

            assert numbers(await take(store)) == [2]

    async def test_a_delayed_job_comes_under_its_limits_once_it_is_due(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n, most=1, delay_s=5.0) for n in (1, 2)])
            assert await take(store) == []
            await pass_time(world, store, 6.0)

            assert numbers(await take(store)) == [1]

    async def test_a_job_keeps_its_lane_and_its_limits(self, world: StoreWorld) -> None:
        request = capped(1, key="k")
        async with opened(world) as store:
            await store.enqueue([request])
            await store.enqueue([capped(2, key="k"), make_request(3, unique_key="u")])
            job = await row(store, nth_id(1))
            claims = {claim.job_id: claim for claim in await take(store)}

            assert (job.lane, job.limits) == (request.lane, request.limits)
            assert [claims[nth_id(n)].lane for n in (1, 2, 3)] == [request.lane, request.lane, None]
            assert await store.held(ALICE) == [claims[nth_id(n)] for n in (1, 2, 3)]

    async def test_several_queues_share_caps_and_turns(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([capped(n, most=3, queue="ab"[n % 2]) for n in range(1, 11)])
            claims = await claim_all(store, ["a", "b"])

            assert sorted(Counter(claim.queue for claim in claims).values()) == [1, 2]
            assert await claim_all(store, ["b", "a"]) == []

    async def test_workers_that_claim_at_once_exceed_no_cap(self, world: StoreWorld) -> None:
        async with opened(world) as one, opened(world) as other:
            await one.enqueue([capped(n, key=str(n % 3), most=4) for n in range(1, 100)])
            await one.renew(make_worker(ALICE), LEASE_S)
            await other.renew(make_worker(BOB), LEASE_S)
            most_seen: Counter[int] = Counter()
            running: Counter[int] = Counter()

            async def work(store: Store, worker: Any) -> None:
                for _ in range(20):
                    claims = await store.claim(worker, ["default"], 5)
                    for n in numbers(claims):
                        running[n % 3] += 1
                        most_seen[n % 3] = max(most_seen[n % 3], running[n % 3])
                    for n in numbers(claims):  # counted as ended before it is: never too low
                        running[n % 3] -= 1
                    await store.settle([move(claim, State.SUCCEEDED) for claim in claims])

            await asyncio.gather(*(work(one, ALICE) for _ in range(3)), work(other, BOB))

            assert max(most_seen.values()) <= 4
            assert sum(running.values()) == 0

    async def test_jobs_that_run_together_come_together(self, world: StoreWorld) -> None:
        lane = lane_of(Limits(shares=("t",), together=Together(3, 10_000_000)))
        requests = [make_request(n, lane=lane.id, limits=lane.limits) for n in range(1, 8)]
        async with opened(world) as store:
            await store.enqueue([*requests, make_request(8)])
            claims = await take(store, 3)
            claims += await take(store, 3)
            early = {claim.job_id: claim.batch for claim in claims}
            await world.advance(11.0)
            late = await take(store)

            assert early == {
                **{nth_id(n): nth_id(1) for n in (1, 2, 3)},
                **{nth_id(n): nth_id(4) for n in (4, 5, 6)},
                nth_id(8): None,
            }
            assert [(claim.job_id, claim.batch) for claim in late] == [(nth_id(7), nth_id(7))]

    async def test_the_bell_rings_when_a_batch_has_waited_long_enough(
        self, world: StoreWorld
    ) -> None:
        lane = lane_of(Limits(shares=("t",), together=Together(3, 300_000)))
        async with opened(world) as store:
            await store.enqueue([make_request(1, lane=lane.id, limits=lane.limits)])
            bell = store.listen([queue_topic("default")])
            assert await take(store) == []

            assert await bell.wait(RING_S)
            bell.close()

    async def test_the_holders_of_a_limit_are_named(self, world: StoreWorld) -> None:
        limits = Limits(caps=(Cap("cap", "k", 2),), paces=(Pace("pace", "", 10_000_000, 1),))
        async with opened(world) as store:
            await store.enqueue([capped(n, key="k") for n in (1, 2)])
            await store.enqueue([capped(3, key="other"), paced(4)])
            before = await store.holders(limits)
            await take(store)
            [cap, pace] = await store.holders(limits)

            assert before == [Holder("cap", "k", 2), Holder("pace", "", None, wait_s=0.0)]
            assert cap == Holder("cap", "k", 2, running=(nth_id(1), nth_id(2)))
            assert (pace.name, pace.most) == ("pace", None)
            assert pace.wait_s is not None
            assert 5.0 < pace.wait_s <= 10.0

    async def test_a_full_bucket_is_forgotten(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([paced(1), paced(2)])
            [claim] = await take(store)
            await finish(store, claim, DONE)
            await world.advance(100.0)
            await store.prune(50.0, 10)

            assert numbers(await take(store)) == [2]
