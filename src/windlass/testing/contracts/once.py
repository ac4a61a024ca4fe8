"""What ``once`` promises: repeated calls become one job, and none is lost."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace as with_

from windlass.core.lifecycle import after_attempt
from windlass.errors import KeyConflict
from windlass.model.jobs import JobFilter, JobRequest, State
from windlass.model.once import Once, once_by_key
from windlass.model.outcomes import Failed, Succeeded
from windlass.ports import Store
from windlass.testing.contracts.world import (
    BOOM,
    LOSSES_MAX,
    SWEEP_MAX,
    StoreWorld,
    claim_all,
    finish,
    make_request,
    nth_id,
    opened,
    row,
)


def once(n: int, kind: Any, wait_s: float = 0.0, *, key: str = "k", **fields: Any) -> JobRequest:
    """Return the ``n``-th request under a rule, with its number as its payload."""
    most_s = fields.pop("most_s", None)
    rule = Once(
        name="shop.ship",
        key=key,
        kind=kind,
        wait_us=round(wait_s * 1e6),
        most_us=None if most_s is None else round(most_s * 1e6),
    )
    return make_request(n, once=rule, payload=b'{"n":%d}' % n, **fields)


def keyed(n: int, payload: bytes = b"{}", *, key: str = "k") -> JobRequest:
    """Return the ``n``-th request under an idempotency key."""
    return make_request(n, once=once_by_key("shop.ship", key), payload=payload)


async def stands_for(store: Store, request: JobRequest) -> int:
    """Enqueue, and return the number of the job that stands for it."""
    [job_id] = await store.enqueue([request])
    return next(n for n in range(1, 100) if nth_id(n) == job_id)


async def later(world: StoreWorld, store: Store, seconds: float) -> None:
    """Let less than a lease pass, and sweep."""
    await world.advance(seconds)
    await store.sweep(SWEEP_MAX, LOSSES_MAX)


class OnceContract:
    """What every store promises of repeated calls."""

    async def test_unique_until_start_lets_one_wait_beside_one_that_runs(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            first = [await stands_for(store, once(n, "started")) for n in (1, 2)]
            [claim] = await claim_all(store)
            second = [await stands_for(store, once(n, "started")) for n in (3, 4)]
            other = await stands_for(store, once(5, "started", key="other"))
            await finish(store, claim, Failed(BOOM), retry_s=0.0)  # it waits, but has begun
            await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert (first, second, other) == ([1, 1], [3, 3], 5)
            assert await stands_for(store, once(6, "started")) == 3

    async def test_unique_for_a_period_counts_from_the_enqueue_however_it_ended(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            first = await stands_for(store, once(1, "period", 60.0))
            [claim] = await claim_all(store)
            await finish(store, claim, Succeeded(None))
            await world.advance(50.0)
            within = await stands_for(store, once(2, "period", 60.0))
            await world.advance(11.0)
            after = await stands_for(store, once(3, "period", 60.0))

            assert (first, within, after) == (1, 1, 3)

    async def test_a_debounce_runs_the_last_call_once_it_is_quiet(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            first = await stands_for(store, once(1, "trailing", 10.0))
            await world.advance(6.0)
            second = await stands_for(store, once(2, "trailing", 10.0))
            await later(world, store, 5.0)
            job = await row(store, nth_id(1))
            assert (first, second, job.state, job.payload) == (1, 1, State.SCHEDULED, b'{"n":2}')
            await later(world, store, 5.5)
            [claim] = await claim_all(store)
            again = await stands_for(store, once(3, "trailing", 10.0))

            assert (claim.job_id, claim.payload, again) == (nth_id(1), b'{"n":2}', 3)

    async def test_a_debounce_does_not_wait_for_ever(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            for n in range(1, 6):
                await stands_for(store, once(n, "trailing", 10.0, most_s=25.0))
                await world.advance(6.0)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            [claim] = await claim_all(store)

            assert (claim.job_id, claim.payload) == (nth_id(1), b'{"n":5}')

    async def test_a_leading_debounce_runs_the_first_call_and_none_until_it_is_quiet(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            stood = []
            for n, wait_s in enumerate((0.0, 6.0, 6.0, 11.0), 1):
                await world.advance(wait_s)
                stood.append(await stands_for(store, once(n, "leading", 10.0)))
            payloads = [claim.payload for claim in await claim_all(store)]

            assert stood == [1, 1, 1, 4]
            assert payloads == [b'{"n":1}', b'{"n":4}']

    async def test_a_throttle_runs_the_first_call_and_then_the_last_of_each_span(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            stood = [await stands_for(store, once(n, "throttle", 10.0)) for n in (1, 2, 3)]
            first = await claim_all(store)
            await later(world, store, 10.5)
            second = await claim_all(store)
            stood += [await stands_for(store, once(n, "throttle", 10.0)) for n in (4, 5)]
            nothing = await claim_all(store)
            await later(world, store, 10.5)
            third = await claim_all(store)
            await later(world, store, 12.0)
            stood.append(await stands_for(store, once(6, "throttle", 10.0)))
            fourth = await claim_all(store)

            assert stood == [1, 2, 2, 4, 4, 6]
            runs = [[claim.payload for claim in claims] for claims in (first, second, third)]
            assert runs == [[b'{"n":1}'], [b'{"n":3}'], [b'{"n":5}']]
            assert [nothing, [claim.payload for claim in fourth]] == [[], [b'{"n":6}']]

    async def test_the_same_request_again_changes_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            request = once(1, "throttle", 10.0)

            assert await stands_for(store, request) == await stands_for(store, request) == 1
            assert len(await claim_all(store)) == 1

    async def test_calls_that_come_together_become_one(self, world: StoreWorld) -> None:
        async with opened(world) as one, opened(world) as other:
            ids = await asyncio.gather(
                *(one.enqueue([once(n, "trailing", 60.0)]) for n in range(1, 20)),
                *(other.enqueue([once(n, "trailing", 60.0)]) for n in range(20, 40)),
            )

            assert len({job_id for [job_id] in ids}) == 1

    async def test_a_batch_may_hold_repeated_and_other_calls(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            ids = await store.enqueue(
                [
                    once(1, "started"),
                    make_request(2),
                    once(3, "started"),
                    once(4, "started", key="x"),
                ]
            )

            assert ids == [nth_id(n) for n in (1, 2, 1, 4)]

    async def test_a_call_that_a_worker_has_taken_is_not_replaced(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await stands_for(store, once(1, "trailing", 5.0))
            await later(world, store, 6.0)
            [claim] = await claim_all(store)
            second = await stands_for(store, once(2, "trailing", 5.0))
            job = await row(store, nth_id(1))

            assert (second, claim.payload, job.payload) == (2, b'{"n":1}', b'{"n":1}')

    async def test_a_mark_that_decides_nothing_is_forgotten(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await stands_for(store, once(1, "period", 10.0))
            [claim] = await claim_all(store)
            await store.settle([after_attempt(claim, Succeeded(None), None)])
            await world.advance(100.0)
            await store.prune(50.0, 10)

            assert await stands_for(store, once(2, "period", 10.0)) == 2

    async def test_an_idempotency_key_gives_the_same_job_for_as_long_as_that_is_kept(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            first = [await stands_for(store, keyed(n)) for n in (1, 2)]
            [claim] = await claim_all(store)
            await store.settle([after_attempt(claim, Succeeded(None), None)])
            await world.advance(100.0)
            await store.prune(200.0, 10)  # which forgets marks, and not yet the job
            ended = await stands_for(store, keyed(3))
            await store.prune(50.0, 10)

            assert (first, ended) == ([1, 1], 1)
            assert await stands_for(store, keyed(4)) == 4

    async def test_an_idempotency_key_with_another_body_is_a_conflict_and_stores_nothing(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([keyed(1)])
            with pytest.raises(KeyConflict) as refused:
                await store.enqueue([make_request(2), keyed(3, b"other")])
            with pytest.raises(KeyConflict):
                await store.enqueue([keyed(4, b"a", key="new"), keyed(5, b"b", key="new")])

            assert (refused.value.key, refused.value.job_id) == ("k", nth_id(1))
            assert [await store.get(nth_id(n)) for n in (2, 3, 4, 5)] == [None] * 4
            assert await stands_for(store, keyed(6)) == 1

    async def test_a_key_on_the_id_of_another_call_is_a_conflict_and_stores_nothing(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            same = [keyed(1), keyed(2, key="2")]
            assert await store.enqueue(same) == await store.enqueue(same)
            [claim, _] = await claim_all(store)
            await store.settle([after_attempt(claim, Succeeded(None), None)])
            other_body, other_task = keyed(1, b"other"), with_(keyed(2, key="2"), task="other")
            for batch in ([other_body], [keyed(3, key="3"), other_body], [other_task]):
                with pytest.raises(KeyConflict) as refused:
                    await store.enqueue(batch)
                assert refused.value.job_id == batch[-1].id
            twice = [keyed(4, key="4"), with_(keyed(4, key="4"), task="other")]
            with pytest.raises(KeyConflict):
                await store.enqueue(twice)

            assert [await store.get(nth_id(n)) for n in (3, 4)] == [None] * 2
            assert await store.enqueue(same) == [nth_id(1), nth_id(2)]

    async def test_a_delay_counts_with_an_idempotency_key_too(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([with_(keyed(1), delay_s=60.0)])
            await store.enqueue([with_(keyed(n, key=f"{n}"), delay_s=60.0) for n in (2, 3)])

            states = {job.state for job in await store.jobs(JobFilter(), limit=10)}
            assert states == {State.SCHEDULED}

    async def test_many_idempotency_keys_in_one_batch_are_each_one_job(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.enqueue([keyed(1, key="a")])
            batch = [keyed(n, key=key) for n, key in enumerate("abcb", start=2)]
            first = await store.enqueue(batch)
            again = await store.enqueue([keyed(n, key=key) for n, key in enumerate("cab", start=6)])
            repeated = await store.enqueue(batch)

            assert first == [nth_id(n) for n in (1, 3, 4, 3)]
            assert again == [nth_id(n) for n in (4, 1, 3)]
            assert repeated == first
            assert len(await store.jobs(JobFilter(), limit=10)) == 3

    async def test_of_many_racing_for_an_idempotency_key_one_wins(self, world: StoreWorld) -> None:
        async with opened(world) as one, opened(world) as other:
            ids = await asyncio.gather(
                *(one.enqueue([keyed(n)]) for n in range(1, 20)),
                *(other.enqueue([keyed(n)]) for n in range(20, 40)),
            )

            assert len({job_id for [job_id] in ids}) == 1
