"""What ``expire_results`` promises: late results are dropped, and nothing else changes."""

from msgspec.structs import replace as with_

from windlass.core.lifecycle import after_attempt
from windlass.model.jobs import Claim, Edge, State
from windlass.model.outcomes import Failed, Outcome, Succeeded
from windlass.ports import Store
from windlass.testing.contracts.world import (
    BOOM,
    StoreWorld,
    begin,
    claim_all,
    make_request,
    make_requests,
    nth_id,
    opened,
    row,
)


async def end(store: Store, claim: Claim, outcome: Outcome, ttl_s: float | None) -> None:
    """End an attempt of a task whose results are kept for a time."""
    assert await store.settle([after_attempt(claim, outcome, None, ttl_s)]) == [True]


class ResultContract:
    """What every store promises of results that are kept for a time."""

    async def test_a_late_result_is_dropped_and_the_job_stays(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, *make_requests(1))
            await end(store, claim, Succeeded(b"7"), 30)
            before = await row(store, claim.job_id)
            assert await store.expire_results(10) == 0
            await world.advance(31)
            aged = await row(store, claim.job_id)
            assert aged.result == b"7"  # until upkeep comes
            assert await store.expire_results(10) == 1
            assert await store.expire_results(10) == 0
            finished = (await store.results([claim.job_id]))[claim.job_id]

            assert await row(store, claim.job_id) == with_(aged, result=None)
            assert before.result_until is not None
            assert before.ended_at is not None
            assert (before.result_until - before.ended_at).total_seconds() == 30
            assert (finished.state, finished.result) == (State.SUCCEEDED, None)
            assert finished.expired_at == aged.result_until

    async def test_what_is_there_or_never_was_has_not_expired(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(4))
            await end(store, claims[0], Succeeded(b"7"), 3_600)
            await end(store, claims[1], Succeeded(b"7"), None)
            await end(store, claims[2], Succeeded(None), 5)
            await end(store, claims[3], Failed(BOOM), 5)
            await world.advance(60)
            assert await store.expire_results(10) == 0
            ended = await store.results([nth_id(n) for n in range(1, 5)])

            assert [ended[nth_id(n)].expired_at for n in range(1, 5)] == [None] * 4
            assert [ended[nth_id(n)].result for n in range(1, 5)] == [b"7", b"7", None, None]

    async def test_a_late_result_is_kept_while_a_job_that_waited_for_it_may_ask(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [parent] = await begin(store, *make_requests(1))
            child = make_request(2, after=(Edge(nth_id(1), "n"),))
            await store.enqueue([child])
            await end(store, parent, Succeeded(b"7"), 1)
            await world.advance(60)
            assert await store.expire_results(10) == 0
            [claim] = await claim_all(store)
            assert [given.result for given in await store.inputs(nth_id(2))] == [b"7"]
            await end(store, claim, Succeeded(None), None)
            assert await store.expire_results(10) == 1
            await store.enqueue([make_request(3, after=(Edge(nth_id(1), "n"),))])
            [given] = await store.inputs(nth_id(3))

            assert given.result is None
            assert given.expired_at == (await row(store, nth_id(1))).result_until

    async def test_no_more_than_the_limit_are_dropped_the_oldest_first(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3))
            for claim, ttl_s in zip(claims, (30.0, 10.0, 20.0), strict=True):
                await end(store, claim, Succeeded(b"7"), ttl_s)
            await world.advance(60)
            assert await store.expire_results(1) == 1
            assert (await row(store, nth_id(2))).result is None
            assert await store.expire_results(10) == 2
