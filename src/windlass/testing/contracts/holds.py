"""What holds promise: what fits does not start, nothing is lost, all of it starts again."""

from typing import Any

import pytest

from windlass.core.lifecycle import after_reschedule
from windlass.errors import TooManyHolds
from windlass.model.holds import HOLDS_MAX, HoldId, HoldRequest
from windlass.model.jobs import Claim, Edge, JobId, Reason, State, WorkerId
from windlass.model.limits import Cap, Limits, lane_of
from windlass.model.outcomes import Failed, Succeeded
from windlass.model.topics import CLOCK, queue_topic
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
    finish,
    make_request,
    make_requests,
    make_worker,
    nth_id,
    opened,
    put_in_state,
    row,
)

KEYED = lane_of(Limits(caps=(Cap("cap", "ann", 9),)))


def make_hold(n: int = 1, reason: Reason = Reason.PAUSED, **fields: Any) -> HoldRequest:
    """Return the ``n``-th hold."""
    return HoldRequest(id=HoldId(f"hold-{n}"), reason=reason, actor="operator", **fields)


async def take_all(store: Store, queues: tuple[str, ...] = ("default",)) -> list[JobId]:
    """Claim for as long as something is set aside or claimed; return what was claimed."""
    await store.renew(make_worker(), LEASE_S)
    claims: list[Claim] = []
    for _ in range(5):
        claims += await store.claim(ALICE, queues, 100)
    return sorted(claim.job_id for claim in claims)


async def lift_and_sweep(store: Store, n: int = 1) -> None:
    """End the ``n``-th hold, and let a sweep find it."""
    assert await store.lift(HoldId(f"hold-{n}"), "operator")
    await store.sweep(SWEEP_MAX, LOSSES_MAX)


class HoldContract:
    """What every store promises of holds."""

    async def test_of_a_queue_that_is_held_as_a_whole_nothing_is_claimed(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(queue="default"))
            await store.enqueue([make_request(1), make_request(2, queue="other")])
            await store.enqueue([make_request(3, lane=KEYED.id, limits=KEYED.limits)])

            assert await take_all(store, ("default", "other")) == [nth_id(2)]
            assert await take_all(store) == []
            assert (await row(store, nth_id(1))).state is State.QUEUED
            await lift_and_sweep(store)
            assert await take_all(store) == [nth_id(1), nth_id(3)]

    @pytest.mark.parametrize(
        "fields",
        [
            {"task": "shop.ship"},
            {"task": "shop.ship", "queue": "default"},
            {"key": "ann"},
            {"arguments": {"customer": 42, "order.region": "eu"}},
        ],
        ids=["task", "task and queue", "key", "arguments"],
    )
    async def test_what_fits_steps_aside_and_comes_back(
        self, world: StoreWorld, fields: dict[str, Any]
    ) -> None:
        payload = b'{"customer":42,"order":{"region":"eu"}}'
        fits = make_request(1, lane=KEYED.id, limits=KEYED.limits, payload=payload)
        others = [
            make_request(2, task="other", payload=b'{"customer":41,"order":{"region":"eu"}}'),
            make_request(3, task="other", payload=b"\xff"),
            make_request(4, task="other", queue="more", payload=b'{"customer":42}'),
        ]
        async with opened(world) as store:
            await store.hold(make_hold(reason=Reason.QUARANTINED, **fields))
            await store.enqueue([fits, *others])
            queues = ("default", "more")

            assert await take_all(store, queues) == [nth_id(2), nth_id(3), nth_id(4)]
            held = await row(store, nth_id(1))
            assert (held.state, held.reason) == (State.HELD, Reason.QUARANTINED)
            assert (held.held_by, held.attempt, held.fence) == ("hold-1", 0, 0)
            await lift_and_sweep(store)
            again = await row(store, nth_id(1))
            assert (again.state, again.reason, again.held_by) == (State.QUEUED, None, None)
            assert await take_all(store, queues) == [nth_id(1)]

    async def test_a_job_without_a_lane_can_be_held_too(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request(n, task="ab"[n % 2]) for n in range(1, 9)])
            await store.hold(make_hold(task="a"))

            assert await take_all(store) == [nth_id(n) for n in (1, 3, 5, 7)]
            assert [hold.jobs for hold in await store.holds()] == [4]

    async def test_many_held_jobs_hide_no_free_one(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(make_requests(300))
            await store.enqueue([make_request(301, task="free")])
            await store.hold(make_hold(task="shop.ship"))
            found = []
            await store.renew(make_worker(), LEASE_S)
            for _ in range(10):
                found += await store.claim(ALICE, ["default"], 40)

            assert [claim.job_id for claim in found] == [nth_id(301)]
            await lift_and_sweep(store)
            assert len(await take_all(store)) == 300

    async def test_what_runs_goes_on_and_its_retry_is_held(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(make_requests(2))
            await store.renew(make_worker(), LEASE_S)
            good, bad = await store.claim(ALICE, ["default"], 2)
            await store.hold(make_hold(task="shop.ship"))
            assert await finish(store, good, Succeeded(None))
            assert await finish(store, bad, Failed(BOOM), retry_s=0.0)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert await take_all(store) == []
            held = await row(store, bad.job_id)
            assert (held.state, held.attempt, held.failures) == (State.HELD, 1, 1)

    async def test_a_held_job_can_be_cancelled_and_can_expire(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(task="shop.ship"))
            await store.enqueue([make_request(1), make_request(2, expires_s=5.0)])
            assert await take_all(store) == []
            assert await cancel(store, nth_id(1))
            await world.advance(6.0)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            await lift_and_sweep(store)

            assert (await row(store, nth_id(1))).state is State.CANCELLED
            assert (await row(store, nth_id(2))).reason is Reason.EXPIRED

    async def test_a_hold_lifts_itself_when_its_time_is_over(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(1, task="shop.ship", expires_s=5.0))
            await store.hold(make_hold(2, queue="whole", expires_s=5.0))
            await store.enqueue([make_request(1), make_request(2, queue="whole")])
            assert await take_all(store, ("default", "whole")) == []
            await world.advance(6.0)
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert swept.lifted == 1
            assert await store.holds() == []
            assert await take_all(store, ("default", "whole")) == [nth_id(1), nth_id(2)]

    async def test_of_two_holds_the_second_still_holds_what_the_first_let_go(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(1, task="shop.ship"))
            await store.hold(make_hold(2, Reason.QUARANTINED, key="ann"))
            await store.enqueue([make_request(1, lane=KEYED.id, limits=KEYED.limits)])
            assert await take_all(store) == []
            await lift_and_sweep(store, 1)
            assert await take_all(store) == []
            held = await row(store, nth_id(1))

            assert (held.reason, held.held_by) == (Reason.QUARANTINED, "hold-2")

    async def test_a_sweep_lifts_no_more_than_its_limit_and_the_next_goes_on(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(task="shop.ship"))
            await store.enqueue(make_requests(10))
            assert await take_all(store) == []
            await store.lift(HoldId("hold-1"), "operator")
            lifted = [(await store.sweep(4, LOSSES_MAX)).lifted for _ in range(4)]

            assert lifted == [4, 4, 2, 0]

    async def test_stepping_aside_and_coming_back_stand_in_the_history(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(task="shop.ship"))
            await store.enqueue([make_request()])
            await take_all(store)
            await lift_and_sweep(store)
            moves = [(e.before, e.after, e.reason) for e in await store.events(nth_id(1))]

            assert moves == [
                (State.QUEUED, State.HELD, Reason.PAUSED),
                (State.HELD, State.QUEUED, None),
            ]

    async def test_the_holds_in_force_are_listed(self, world: StoreWorld) -> None:
        whole: dict[str, Any] = {"why": "the provider is down", "queue": "mail", "expires_s": 60.0}
        async with opened(world) as store:
            await store.hold(make_hold(1, **whole))
            await store.hold(make_hold(1, **whole))  # the same again
            await world.advance(1.0)
            await store.hold(make_hold(2, Reason.QUARANTINED, arguments={"n": [1]}, key="k"))
            first, second = await store.holds()

            assert (first.id, first.reason, first.actor) == ("hold-1", Reason.PAUSED, "operator")
            assert (first.why, first.queue, first.jobs) == ("the provider is down", "mail", 0)
            assert first.expires_at is not None
            assert (first.expires_at - first.created_at).total_seconds() == 60.0
            assert (second.arguments, second.key, second.task) == ({"n": [1]}, "k", None)
            assert second.expires_at is None

    async def test_a_hold_is_lifted_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(queue="q"))

            assert await store.lift(HoldId("hold-1"), "operator")
            assert not await store.lift(HoldId("hold-1"), "operator")
            assert not await store.lift(HoldId("other"), "operator")

    async def test_lifting_rings_the_sweep_and_the_queue(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.hold(make_hold(queue="default"))
            bells = [store.listen([topic]) for topic in (CLOCK, queue_topic("default"))]
            await store.lift(HoldId("hold-1"), "operator")

            assert [await bell.wait(RING_S) for bell in bells] == [True, True]
            for bell in bells:
                bell.close()

    @pytest.mark.parametrize("delay_s", [0.0, 60.0])
    @pytest.mark.parametrize("state", [State.SCHEDULED, State.QUEUED, State.HELD])
    async def test_what_waits_to_start_can_be_rescheduled(
        self, world: StoreWorld, state: State, delay_s: float
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            move = after_reschedule(job, delay_s, "operator")
            if move is None:
                assert (state, delay_s) == (State.QUEUED, 0.0)
                return
            assert await store.settle([move]) == [True]
            moved = await row(store, job.id)
            expected = State.SCHEDULED if delay_s else State.QUEUED

            assert (moved.state, moved.attempt, moved.held_by) == (expected, job.attempt, None)
            assert abs((moved.due_at - job.due_at).total_seconds()) >= delay_s - 5
            [event] = await store.events(job.id)
            assert (event.before, event.after, event.actor) == (state, expected, "operator")

    @pytest.mark.parametrize("state", sorted(set(State) - {"scheduled", "queued", "held"}))
    async def test_nothing_else_can_be_rescheduled(self, world: StoreWorld, state: State) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)

            assert after_reschedule(job, 60.0, "operator") is None

    async def test_a_worker_is_told_to_drain_with_its_next_renewal(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            before = await store.renew(make_worker(), LEASE_S)
            told = await store.drain(ALICE)
            after = [await store.renew(make_worker(), LEASE_S) for _ in range(2)]
            other = await store.renew(make_worker(BOB), LEASE_S)
            await store.leave(ALICE)

            assert (before.drains, told, other.drains) == (False, True, False)
            assert [(lease.held, lease.drains) for lease in after] == [(True, True)] * 2
            assert not await store.drain(ALICE)
            assert not await store.drain(WorkerId("nobody"))

    async def test_only_what_has_ended_is_deleted(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await put_in_state(store, [nth_id(1)], State.SUCCEEDED)
            await put_in_state(store, [nth_id(2)], State.RUNNING)
            [dead] = await put_in_state(store, [nth_id(3)], State.QUEUED)
            await store.renew(make_worker(), LEASE_S)
            [claim] = await store.claim(ALICE, ["table"], 1)
            await finish(store, claim, Failed(BOOM))
            ids = [nth_id(n) for n in (1, 2, 3, 3, 4)]

            assert await store.delete(ids) == 2
            assert [await store.get(nth_id(n)) is None for n in (1, 2, 3)] == [True, False, True]
            assert await store.events(dead.id) == []
            assert await store.delete(ids) == 0

    async def test_every_live_job_has_somebody_who_must_move_it(self, world: StoreWorld) -> None:
        """I12: no state is a dead end."""
        async with opened(world) as store:
            await store.hold(make_hold(task="held"))
            await store.enqueue([make_request(1, task="held"), make_request(2)])
            await store.enqueue([make_request(3, after=(Edge(nth_id(2)),))])
            await store.enqueue([make_request(4, delay_s=60.0)])
            assert await take_all(store) == [nth_id(2)]
            await store.enqueue([make_request(5)])
            held, running, waiting, scheduled, queued = [
                await row(store, nth_id(n)) for n in range(1, 6)
            ]

            assert held.state is State.HELD
            assert held.held_by in {hold.id for hold in await store.holds()}
            assert running.state is State.RUNNING
            assert running.worker in {worker.id for worker in await store.workers()}
            assert (waiting.state, waiting.upstream) == (State.WAITING, 1)
            assert scheduled.state is State.SCHEDULED
            swept = await store.sweep(SWEEP_MAX, LOSSES_MAX)
            assert swept.next_due_s is not None
            assert 0 < swept.next_due_s <= 60.0
            assert queued.state is State.QUEUED
            assert await take_all(store) == [nth_id(5)]

    async def test_there_are_only_so_many_holds(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            for n in range(HOLDS_MAX):
                await store.hold(make_hold(n, queue=f"q{n}"))

            with pytest.raises(TooManyHolds):
                await store.hold(make_hold(HOLDS_MAX, queue="one more"))
            await store.hold(make_hold(0, queue="q0"))  # it is there: no error
