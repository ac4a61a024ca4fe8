"""What ``listen`` promises: hints that come soon when nothing is in their way."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from windlass.model.jobs import State
from windlass.model.outcomes import Snoozed, Succeeded
from windlass.model.progress import ProgressReport
from windlass.model.topics import CLOCK, DONE, PROGRESS, queue_topic, worker_topic
from windlass.ports import Store
from windlass.testing.contracts.world import (
    ALICE,
    LOSSES_MAX,
    RING_S,
    SILENCE_S,
    StoreWorld,
    begin,
    cancel,
    finish,
    make_request,
    move,
    nth_id,
    opened,
)

Act = Callable[[StoreWorld, Store], Awaitable[object]]


async def _nothing(_world: StoreWorld, _store: Store) -> None:
    pass


async def _begin(_world: StoreWorld, store: Store) -> None:
    await begin(store, make_request(1))


async def _delay(world: StoreWorld, store: Store) -> None:
    await store.enqueue([make_request(1, delay_s=5)])
    await world.advance(6)


async def _leave(_world: StoreWorld, store: Store) -> None:
    await begin(store, make_request(1))
    await store.leave(ALICE)


async def _expire(world: StoreWorld, store: Store) -> None:
    await store.enqueue([make_request(1, expires_s=5)])
    await world.advance(6)


async def _enqueue(_world: StoreWorld, store: Store) -> None:
    await store.enqueue([make_request(1)])


async def _enqueue_later(_world: StoreWorld, store: Store) -> None:
    await store.enqueue([make_request(1, delay_s=60)])


async def _sweep(_world: StoreWorld, store: Store) -> None:
    await store.sweep(10, LOSSES_MAX)


async def _cancel(_world: StoreWorld, store: Store) -> None:
    await cancel(store, nth_id(1))


async def _progress(_world: StoreWorld, store: Store) -> None:
    assert await store.report_progress([ProgressReport(nth_id(1), 1, 0.5, "")]) == [True]


def _settle(after: State) -> Act:
    async def act(_world: StoreWorld, store: Store) -> None:
        job = await store.get(nth_id(1))
        assert job is not None
        assert await store.settle([move(job, after)]) == [True]

    return act


# before, the act, the topic that it rings
RINGS: dict[str, tuple[Act, Act, str]] = {
    "an enqueue rings its queue": (_nothing, _enqueue, queue_topic("default")),
    "a delayed enqueue rings the clock": (_nothing, _enqueue_later, CLOCK),
    "a release rings the queue": (_begin, _settle(State.QUEUED), queue_topic("default")),
    "a retry rings the clock": (_begin, _settle(State.SCHEDULED), CLOCK),
    "a success rings done": (_begin, _settle(State.SUCCEEDED), DONE),
    "a failure rings done": (_begin, _settle(State.FAILED), DONE),
    "a promotion rings the queue": (_delay, _sweep, queue_topic("default")),
    "a rescue rings the queue": (_leave, _sweep, queue_topic("default")),
    "an expiry rings done": (_expire, _sweep, DONE),
    "a progress rings progress": (_begin, _progress, PROGRESS),
    "a cancel of a queued job rings done": (_enqueue, _cancel, DONE),
    "a cancel of a running job rings its worker": (_begin, _cancel, worker_topic(ALICE)),
}


class BellContract:
    """What every store's ``listen`` promises."""

    @pytest.mark.parametrize("case", RINGS)
    async def test_a_bell_rings_in_the_same_store(self, world: StoreWorld, case: str) -> None:
        prepare, act, topic = RINGS[case]
        async with opened(world) as store:
            await prepare(world, store)
            bell = store.listen([topic])
            await act(world, store)

            assert await bell.wait(RING_S)

            bell.close()

    @pytest.mark.parametrize("case", RINGS)
    async def test_a_bell_rings_in_another_store_of_the_same_data(
        self, world: StoreWorld, case: str
    ) -> None:
        prepare, act, topic = RINGS[case]
        async with opened(world) as store, opened(world) as other:
            await prepare(world, store)
            bell = other.listen([topic])
            while await bell.wait(SILENCE_S):  # what came before is not what is awaited
                pass
            waiting = asyncio.create_task(bell.wait(RING_S))
            await asyncio.sleep(0.05)
            await act(world, store)

            assert await waiting

            bell.close()

    async def test_a_ring_before_the_wait_is_kept_and_rings_are_merged(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            bell = store.listen([queue_topic("default")])
            await store.enqueue([make_request(1)])
            await store.enqueue([make_request(2)])
            await asyncio.sleep(SILENCE_S)

            assert await bell.wait(RING_S)
            assert not await bell.wait(SILENCE_S)

            bell.close()

    async def test_other_topics_do_not_ring(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            bell = store.listen([queue_topic("mail"), CLOCK, worker_topic(ALICE)])
            while await bell.wait(SILENCE_S):  # a bell may ring when it begins to hear
                pass
            await store.enqueue([make_request(1)])

            assert not await bell.wait(SILENCE_S)

            bell.close()

    async def test_a_bell_may_listen_to_several_topics(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            bell = store.listen([queue_topic("mail"), DONE])
            [claim] = await begin(store, make_request(1))
            await finish(store, claim, Succeeded(None))

            assert await bell.wait(RING_S)

            bell.close()

    async def test_bells_are_rung_each_for_itself(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            bells = [store.listen([CLOCK]) for _ in range(3)]
            bells[0].close()
            bells[0].close()
            [claim] = await begin(store, make_request(1))
            await finish(store, claim, Snoozed(60))

            assert await asyncio.gather(*(bell.wait(RING_S) for bell in bells[1:])) == [True, True]

            for bell in bells:
                bell.close()

    async def test_closing_the_store_ends_its_bells(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            store.listen([CLOCK, DONE])
