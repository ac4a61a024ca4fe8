"""What ``enqueue`` promises (I1, I3, I32)."""

import asyncio
from datetime import timedelta

import pytest

from windlass.core.lifecycle import after_attempt
from windlass.model.jobs import LIVE, JobFilter, Reason, State
from windlass.model.outcomes import Failed, Succeeded
from windlass.testing.contracts.world import (
    BOB,
    BOOM,
    StoreWorld,
    begin,
    claim_all,
    finish,
    make_request,
    make_requests,
    move,
    nth_id,
    opened,
    row,
)


class EnqueueContract:
    """What every store's ``enqueue`` promises."""

    async def test_enqueue_returns_the_ids_in_the_order_given(self, world: StoreWorld) -> None:
        requests = [make_request(n) for n in (3, 1, 2)]
        async with opened(world) as store:
            ids = await store.enqueue(requests)

            assert ids == [nth_id(3), nth_id(1), nth_id(2)]

    async def test_enqueue_of_nothing_is_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert await store.enqueue([]) == []
            assert await store.counts() == {}

    async def test_an_enqueued_job_is_queued_with_all_that_was_said(
        self, world: StoreWorld
    ) -> None:
        said = make_request(
            task="shop.été", queue="mail", payload=b"\x00\xff", priority=-7, unique_key="k"
        )
        async with opened(world) as store:
            await store.enqueue([said])
            job = await row(store, said.id)

            assert (job.task, job.queue, job.payload) == ("shop.été", "mail", b"\x00\xff")
            assert (job.state, job.reason, job.priority) == (State.QUEUED, None, -7)
            assert (job.attempt, job.failures, job.losses, job.fence) == (0, 0, 0, 0)
            assert (job.unique_key, job.retry_of, job.worker) == ("k", None, None)
            assert (job.result, job.error, job.error_type) == (None, None, None)
            assert (job.started_at, job.ended_at, job.resolved_at) == (None, None, None)
            assert job.created_at.utcoffset() == timedelta(0)

    async def test_the_same_request_again_changes_nothing(self, world: StoreWorld) -> None:
        request = make_request(unique_key="k")
        async with opened(world) as store:
            first = await store.enqueue([request])
            before = await row(store, request.id)
            again = await store.enqueue([request])

            assert again == first
            assert await row(store, request.id) == before

    async def test_a_request_repeated_after_its_job_ended_changes_nothing(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(unique_key="k"))
            await finish(store, claim, Succeeded(b"1"))
            await store.enqueue([make_request(2, unique_key="k")])
            before = await row(store, claim.job_id)
            again = await store.enqueue([make_request(unique_key="k")])

            assert again == [claim.job_id]
            assert await row(store, claim.job_id) == before

    async def test_a_request_twice_in_one_batch_is_one_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            ids = await store.enqueue([make_request(1), make_request(2), make_request(1)])

            assert ids == [nth_id(1), nth_id(2), nth_id(1)]
            assert await store.counts() == {("default", State.QUEUED): 2}

    @pytest.mark.parametrize("state", sorted(LIVE))
    async def test_a_unique_key_is_held_by_a_live_job(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1, unique_key="k"))
            if state is not State.RUNNING:
                assert await store.settle([move(claim, state)]) == [True]
            ids = await store.enqueue([make_request(2, unique_key="k"), make_request(3)])

            assert ids == [nth_id(1), nth_id(3)]
            assert await store.get(nth_id(2)) is None

    @pytest.mark.parametrize(
        "state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED]
    )
    async def test_a_unique_key_is_free_again_once_its_job_has_ended(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1, unique_key="k"))
            assert await store.settle([move(claim, state)]) == [True]
            ids = await store.enqueue([make_request(2, unique_key="k")])

            assert ids == [nth_id(2)]

    async def test_a_unique_key_is_about_one_task(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            ids = await store.enqueue(
                [make_request(1, unique_key="k"), make_request(2, unique_key="k", task="other")]
            )

            assert ids == [nth_id(1), nth_id(2)]

    async def test_a_unique_key_twice_in_one_batch_is_one_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            ids = await store.enqueue(
                [make_request(1, unique_key="k"), make_request(2, unique_key="k"), make_request(3)]
            )

            assert ids == [nth_id(1), nth_id(1), nth_id(3)]
            assert await store.get(nth_id(2)) is None

    async def test_of_many_racing_for_a_unique_key_one_wins(self, world: StoreWorld) -> None:
        async with opened(world) as one, opened(world) as other:
            answers = await asyncio.gather(
                *(
                    (one, other)[n % 2].enqueue([make_request(n, unique_key="k")])
                    for n in range(1, 17)
                )
            )
            winners = {job_id for [job_id] in answers}

            assert len(winners) == 1
            assert [job.id for job in await one.jobs(JobFilter(), limit=20)] == list(winners)

    async def test_a_retry_resolves_the_dead_letter_it_repeats(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await finish(store, claim, Failed(BOOM))
            await store.enqueue([make_request(2, retry_of=claim.job_id)])
            old, new = await row(store, nth_id(1)), await row(store, nth_id(2))

            assert old.state is State.FAILED
            assert old.resolved_at is not None
            assert new.retry_of == old.id
            assert await store.dead_letters(limit=10) == []

    async def test_a_retry_of_what_has_not_failed_resolves_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await finish(store, claim, Succeeded(None))
            before = await row(store, claim.job_id)
            await store.enqueue([make_request(2, retry_of=claim.job_id)])

            assert await row(store, claim.job_id) == before

    async def test_a_delayed_job_is_scheduled_that_much_later(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(delay_s=90.5)])
            job = await row(store, nth_id(1))

            assert (job.state, job.reason) == (State.SCHEDULED, Reason.DELAY)
            assert job.due_at - job.created_at == timedelta(seconds=90.5)

    async def test_a_job_with_a_time_is_scheduled_for_it(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1)])
            at = (await row(store, nth_id(1))).created_at + timedelta(hours=1, microseconds=1)
            await store.enqueue([make_request(2, run_at=at)])
            job = await row(store, nth_id(2))

            assert (job.state, job.reason, job.due_at) == (State.SCHEDULED, Reason.DELAY, at)

    async def test_a_job_with_a_time_in_the_past_is_queued(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1)])
            past = (await row(store, nth_id(1))).created_at - timedelta(hours=1)
            await store.enqueue([make_request(2, run_at=past)])
            claims = await claim_all(store)

            assert [claim.job_id for claim in claims] == [nth_id(1), nth_id(2)]

    async def test_an_expiry_is_kept_as_an_instant(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(1, expires_s=30.0)])
            job = await row(store, nth_id(1))
            at = job.created_at + timedelta(hours=2)
            await store.enqueue([make_request(2, expires_at=at)])

            assert job.expires_at == job.created_at + timedelta(seconds=30)
            assert (await row(store, nth_id(2))).expires_at == at

    async def test_a_large_batch_is_enqueued_at_once(self, world: StoreWorld) -> None:
        requests = make_requests(2_500)
        async with opened(world) as store:
            ids = await store.enqueue(requests)

            assert ids == [request.id for request in requests]
            assert await store.counts() == {("default", State.QUEUED): 2_500}

    async def test_an_enqueued_job_is_seen_by_another_store_of_the_same_data(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as one, opened(world) as other:
            await one.enqueue([make_request(1)])
            [claim] = await claim_all(other, worker=BOB)
            [applied] = await other.settle([after_attempt(claim, Succeeded(b"2"), None)])

            assert applied
            assert (await row(one, claim.job_id)).state is State.SUCCEEDED
