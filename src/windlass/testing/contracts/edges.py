"""What edges promise: who waits is let go once, or given up, and never left hanging."""

import asyncio
import random
from typing import Any

import pytest

from windlass.core.lifecycle import OWN_RESULT, UPSTREAM_FAILED, after_attempt, decode_error
from windlass.errors import JobNotFound
from windlass.model.jobs import Edge, Input, JobId, JobRequest, Reason, State
from windlass.model.outcomes import Cancelled, Continued, Failed, Succeeded
from windlass.model.topics import queue_topic
from windlass.ports import Store
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    BOOM,
    LEASE_S,
    LOSSES_MAX,
    SILENCE_S,
    SWEEP_MAX,
    StoreWorld,
    begin,
    cancel,
    claim_all,
    finish,
    lose,
    make_request,
    make_requests,
    make_worker,
    nth_id,
    opened,
    pass_time,
    row,
)

DONE = Succeeded(None)


def after(n: int, *parents: int, slot: str | None = None, **fields: Any) -> JobRequest:
    """Return the ``n``-th request, which waits for others."""
    edges = tuple(Edge(nth_id(parent), slot, place) for place, parent in enumerate(parents))
    return make_request(n, after=edges, **fields)


async def states(store: Store, *numbers: int) -> list[State]:
    """Return the states of jobs."""
    return [(await row(store, nth_id(n))).state for n in numbers]


class EdgeContract:
    """What every store promises of jobs that wait for others."""

    async def test_a_job_waits_until_the_one_before_has_succeeded(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1), after(2, 1)])
            waiting = await row(store, nth_id(2))
            [claim] = await claim_all(store)
            assert (waiting.state, waiting.reason) == (State.WAITING, Reason.UPSTREAM)
            assert (claim.job_id, claim.has_inputs) == (nth_id(1), False)
            assert await finish(store, claim, DONE)
            let_go = await row(store, nth_id(2))
            [claim] = await claim_all(store)

            assert (let_go.state, let_go.reason, let_go.upstream) == (State.QUEUED, None, 0)
            assert (claim.job_id, claim.has_inputs) == (nth_id(2), True)
            assert await store.held(ALICE) == [claim]

    async def test_a_job_waits_for_all_of_many(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([*make_requests(50), after(51, *range(1, 51))])
            claims = await claim_all(store)
            random.Random(1).shuffle(claims)
            for claim in claims[:-1]:
                assert await finish(store, claim, DONE)
            assert await states(store, 51) == [State.WAITING]
            assert await finish(store, claims[-1], DONE)

            assert await states(store, 51) == [State.QUEUED]

    async def test_many_that_end_together_let_go_exactly_once(self, world: StoreWorld) -> None:
        """I21, for the edges of plain jobs."""
        async with opened(world) as one, opened(world) as other:
            await one.enqueue(make_requests(200))
            await one.enqueue([after(201, *range(1, 201)), after(202, 201)])
            await one.renew(make_worker(ALICE), LEASE_S)
            await other.renew(make_worker(BOB), LEASE_S)

            async def work(store: Store, worker: Any) -> None:
                while claims := await store.claim(worker, ["default"], 7):
                    await asyncio.gather(*(finish(store, claim, DONE) for claim in claims))

            await asyncio.gather(work(one, ALICE), work(other, BOB))
            await work(one, ALICE)  # what was let go when the others had looked

            assert await states(one, 201, 202) == [State.SUCCEEDED] * 2
            body = await row(one, nth_id(201))
            assert (body.attempt, body.upstream) == (1, 0)

    @pytest.mark.parametrize(
        ("outcome", "state", "reason"),
        [
            (Failed(BOOM), State.FAILED, Reason.UPSTREAM),
            (Cancelled(), State.CANCELLED, None),
        ],
        ids=["failed", "cancelled"],
    )
    async def test_what_waits_for_one_that_ends_badly_ends_too_all_the_way_down(
        self, world: StoreWorld, outcome: Any, state: State, reason: Reason | None
    ) -> None:
        async with opened(world) as store:
            first, second = await begin(store, *make_requests(2))
            await store.enqueue([after(3, 1, 2), after(4, 3), after(5, 4), after(6, 2)])
            assert await finish(store, first, outcome)

            assert await states(store, 3, 4, 5, 6) == [state] * 3 + [State.WAITING]
            for n in (3, 4, 5):
                job = await row(store, nth_id(n))
                assert (job.reason, job.error_type) == (reason, UPSTREAM_FAILED)
                assert job.error is not None
                assert nth_id(1) in decode_error(job.error).message
                [event] = await store.events(job.id)
                assert (event.before, event.after) == (State.WAITING, state)
            assert await finish(store, second, DONE)
            assert await states(store, 3, 6) == [state, State.QUEUED]

    async def test_a_retry_leaves_those_that_wait_waiting(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue([after(2, 1)])
            assert await finish(store, claim, Failed(BOOM), retry_s=0.0)
            assert await states(store, 2) == [State.WAITING]
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            [again] = await claim_all(store)
            assert await finish(store, again, DONE)

            assert await states(store, 2) == [State.QUEUED]

    async def test_what_waits_for_one_that_has_ended_already_goes_at_once(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            good, bad, off = await begin(store, *make_requests(3))
            await finish(store, good, DONE)
            await finish(store, bad, Failed(BOOM))
            await finish(store, off, Cancelled())
            await store.enqueue([after(4, 1), after(5, 2), after(6, 3), after(7, 6), after(8, 4)])

            assert await states(store, 4, 5, 6, 7, 8) == [
                State.QUEUED,
                State.FAILED,
                State.CANCELLED,
                State.CANCELLED,
                State.WAITING,
            ]

    async def test_poison_expiry_and_a_cancel_of_what_waits_reach_those_below(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await begin(store, make_request(1))
            await store.enqueue([after(2, 1)])
            await lose(store, ALICE, losses_max=1)
            await store.enqueue([make_request(3, delay_s=60.0, expires_s=5.0), after(4, 3)])
            await store.enqueue([make_request(5, delay_s=60.0), after(6, 5), after(7, 6)])
            await pass_time(world, store, 6.0)
            assert await cancel(store, nth_id(6))

            assert await states(store, 2, 4) == [State.FAILED] * 2
            assert await states(store, 5, 6, 7) == [
                State.SCHEDULED,
                State.CANCELLED,
                State.CANCELLED,
            ]

    async def test_a_job_that_does_not_exist_cannot_be_waited_for(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            with pytest.raises(JobNotFound):
                await store.enqueue([make_request(1), after(2, 1), after(3, 99)])

            assert [await store.get(nth_id(n)) for n in (1, 2, 3)] == [None] * 3

    async def test_the_same_requests_again_change_nothing(self, world: StoreWorld) -> None:
        """I3: an enqueue whose answer was lost is repeated."""
        requests = [make_request(1), after(2, 1), after(3, 1, 2)]
        async with opened(world) as store:
            ids = await store.enqueue(requests)
            assert await store.enqueue(requests) == ids
            [claim] = await claim_all(store)
            await finish(store, claim, DONE)
            assert await store.enqueue(requests) == ids

            assert await states(store, 1, 2, 3) == [State.SUCCEEDED, State.QUEUED, State.WAITING]
            assert (await row(store, nth_id(3))).upstream == 1

    async def test_a_job_with_a_taken_key_is_stood_for_by_the_one_that_has_it(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [holder] = await begin(store, make_request(1, unique_key="k"))
            ids = await store.enqueue([make_request(2, unique_key="k"), after(3, 2)])
            assert ids == [nth_id(1), nth_id(3)]
            await finish(store, holder, DONE)

            assert await states(store, 3) == [State.QUEUED]

    async def test_a_delay_counts_from_the_enqueue(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1), after(2, 1, delay_s=60.0), after(3, 1)])
            [claim] = await claim_all(store)
            await finish(store, claim, DONE)
            later = await row(store, nth_id(2))
            assert (later.state, later.reason) == (State.SCHEDULED, Reason.DELAY)
            await world.advance(61.0)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert await states(store, 2, 3) == [State.QUEUED, State.QUEUED]

    async def test_the_inputs_come_in_the_order_of_the_edges(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3))
            await store.enqueue([after(4, 3, 1, 2, slot="parts")])
            for n, claim in enumerate(claims, 1):
                await finish(store, claim, Succeeded(b"%d" % n))

            assert await store.inputs(nth_id(4)) == [
                Input(nth_id(n), "shop.ship", "parts", place, b"%d" % n)
                for place, n in enumerate((3, 1, 2))
            ]
            assert await store.inputs(nth_id(1)) == []

    async def test_a_result_is_kept_as_long_as_somebody_may_ask_for_it(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            first, second = await begin(store, *make_requests(2))
            await store.enqueue([after(3, 1, 2, slot="parts"), after(4, 1)])
            await finish(store, first, Succeeded(b"1"))
            await cancel(store, nth_id(4))
            await world.advance(100.0)
            assert await store.prune(50.0, 10) == 1  # the one that was cancelled
            assert await store.delete([nth_id(1)]) == 0
            await store.renew(make_worker(), LEASE_S)
            await finish(store, second, Succeeded(b"2"))
            [body] = await claim_all(store, worker=BOB)
            assert [one.result for one in await store.inputs(nth_id(3))] == [b"1", b"2"]
            await finish(store, body, DONE)
            await world.advance(100.0)

            assert await store.prune(50.0, 10) == 3

    async def test_a_job_goes_on_as_jobs_that_are_stored_with_it(self, world: StoreWorld) -> None:
        requests = (make_request(2), after(3, 2))
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue([after(4, 1)])
            go_on = after_attempt(claim, Continued(requests, (nth_id(3),)), None)
            assert await store.settle([go_on]) == [True]
            assert await store.settle([go_on]) == [False]
            waiting = await row(store, nth_id(1))
            assert (waiting.state, waiting.reason) == (State.WAITING, Reason.CHILDREN)
            assert (waiting.worker, waiting.upstream) == (None, 1)
            assert await states(store, 2, 3, 4) == [State.QUEUED] + [State.WAITING] * 2
            for result in (b"2", b"3"):
                [child] = await claim_all(store)
                await finish(store, child, Succeeded(result))
            [again] = await claim_all(store)

            assert (again.job_id, again.fence, again.has_inputs) == (nth_id(1), 2, True)
            [own] = await store.inputs(nth_id(1))
            assert (own.parent, own.slot, own.result) == (nth_id(3), OWN_RESULT, b"3")
            assert await states(store, 4) == [State.WAITING]

    async def test_a_stale_attempt_cannot_go_on(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await lose(store, ALICE)
            go_on = after_attempt(claim, Continued((make_request(2),), (nth_id(2),)), None)

            assert await store.settle([go_on]) == [False]
            assert await store.get(nth_id(2)) is None
            assert await states(store, 1) == [State.QUEUED]

    async def test_what_goes_on_after_its_cancel_is_cancelled_and_makes_nothing(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue([after(3, 1)])
            await cancel(store, nth_id(1))
            go_on = after_attempt(claim, Continued((make_request(2),), (nth_id(2),)), None)

            assert await store.settle([go_on]) == [True]
            assert await store.get(nth_id(2)) is None
            assert await states(store, 1, 3) == [State.CANCELLED] * 2

    async def test_letting_go_rings_the_queue_of_the_child(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue([after(2, 1, queue="below")])
            bell = store.listen([queue_topic("below")])
            await bell.wait(SILENCE_S)  # a store may ring when it begins to listen
            await finish(store, claim, DONE)

            assert await bell.wait(5.0)
            bell.close()

    async def test_two_edges_to_the_same_job_count_as_one(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue([after(2, 1, 1, slot="pair")])
            await finish(store, claim, Succeeded(b"7"))
            ids = [one.parent for one in await store.inputs(nth_id(2))]

            assert await states(store, 2) == [State.QUEUED]
            assert ids == [JobId(nth_id(1))] * 2
