"""What ``settle`` promises (I4, I6, I7, I8, I14)."""

import pytest

from windlass.core.lifecycle import after_attempt, after_cancel, decode_error
from windlass.model.jobs import TERMINAL, Claim, Reason, State
from windlass.model.outcomes import (
    Cancelled,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    Unknown,
)
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    BOOM,
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
    put_in_state,
    row,
)

# outcome, the policy's delay -> state, reason, attempt and failures after the first attempt
OUTCOMES: list[tuple[Outcome, float | None, State, Reason | None, int, int]] = [
    (Succeeded(b"42"), None, State.SUCCEEDED, None, 1, 0),
    (Failed(BOOM), None, State.FAILED, Reason.ERROR, 1, 1),
    (Failed(BOOM, reason=Reason.TIMEOUT), None, State.FAILED, Reason.TIMEOUT, 1, 1),
    (Failed(BOOM), 60.0, State.SCHEDULED, Reason.RETRY, 1, 1),
    (Failed(BOOM, retryable=False), 60.0, State.FAILED, Reason.ERROR, 1, 1),
    (Snoozed(60.0), None, State.SCHEDULED, Reason.SNOOZE, 1, 0),
    (Cancelled(), None, State.CANCELLED, None, 1, 0),
    (Released(started=True), None, State.QUEUED, None, 1, 0),
    (Released(started=False), None, State.QUEUED, None, 0, 0),
    (Unknown(60.0), None, State.SCHEDULED, Reason.UNKNOWN_TASK, 0, 0),
]

# What would put the job back in line; a requested cancel turns each into cancelled.
AGAIN: list[tuple[Outcome, float | None]] = [
    (Failed(BOOM), 60.0),
    (Failed(BOOM), 0.0),
    (Snoozed(60.0), None),
    (Released(), None),
    (Unknown(60.0), None),
]


class SettleContract:
    """What every store's ``settle`` promises."""

    @pytest.mark.parametrize(
        ("outcome", "retry_s", "state", "reason", "attempt", "failures"), OUTCOMES
    )
    async def test_an_outcome_is_written_as_decided(
        self,
        world: StoreWorld,
        outcome: Outcome,
        retry_s: float | None,
        state: State,
        reason: Reason | None,
        attempt: int,
        failures: int,
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())

            assert await finish(store, claim, outcome, retry_s)

            job = await row(store, claim.job_id)
            assert (job.state, job.reason) == (state, reason)
            assert (job.attempt, job.failures, job.fence, job.losses) == (attempt, failures, 1, 0)
            assert (job.ended_at is not None) == (state in TERMINAL)
            assert job.result == (b"42" if state is State.SUCCEEDED else None)
            assert job.resolved_at is None

    async def test_an_error_is_kept_with_its_type(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, Failed(BOOM))
            job = await row(store, claim.job_id)

            assert job.error is not None
            assert decode_error(job.error) == BOOM
            assert job.error_type == BOOM.type

    async def test_a_delay_counts_from_the_stores_now(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, Snoozed(60.0))
            await store.enqueue([make_request(2, delay_s=60.0)])
            snoozed, delayed = await row(store, nth_id(1)), await row(store, nth_id(2))

            assert abs((delayed.due_at - snoozed.due_at).total_seconds()) < 5

    async def test_a_retry_without_delay_is_due_at_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, Failed(BOOM), 0.0)
            await world.advance(0.01)
            await store.sweep(10, 3)
            [again] = await claim_all(store)

            assert (again.fence, again.attempt, again.failures) == (2, 2, 1)

    async def test_a_released_job_can_be_claimed_at_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, Released())
            [again] = await claim_all(store, worker=BOB)

            assert (again.fence, again.attempt) == (2, 1)

    @pytest.mark.parametrize(("outcome", "retry_s"), [case[:2] for case in OUTCOMES])
    async def test_the_same_transition_again_is_refused(
        self, world: StoreWorld, outcome: Outcome, retry_s: float | None
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, outcome, retry_s)
            before, events = await row(store, claim.job_id), await store.events(claim.job_id)

            assert not await finish(store, claim, outcome, retry_s)
            assert await row(store, claim.job_id) == before
            assert await store.events(claim.job_id) == events

    async def test_the_same_transition_twice_in_a_batch_counts_once(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            failed = after_attempt(claim, Failed(BOOM), None)

            assert await store.settle([failed, failed]) == [True, False]
            assert len(await store.events(claim.job_id)) == 1

    async def test_a_stale_attempt_cannot_finish_the_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stale] = await begin(store, make_request())
            await lose(store, ALICE)
            [fresh] = await claim_all(store, worker=BOB)
            before = await row(store, fresh.job_id)

            assert not await finish(store, stale, Succeeded(b"late"))
            assert await row(store, fresh.job_id) == before
            assert await finish(store, fresh, Succeeded(b"now"))
            assert (await row(store, fresh.job_id)).result == b"now"

    async def test_an_attempt_whose_job_was_rescued_cannot_finish_it(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await lose(store, ALICE)
            before = await row(store, claim.job_id)

            assert before.state is State.QUEUED
            assert not await finish(store, claim, Succeeded(b"late"))
            assert await row(store, claim.job_id) == before

    async def test_a_lapsed_lease_that_nobody_noticed_still_lets_the_outcome_in(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await world.advance(3600)

            assert await finish(store, claim, Succeeded(b"1"))

    async def test_a_transition_of_an_unknown_job_is_refused(self, world: StoreWorld) -> None:
        ghost = Claim(nth_id(9), 1, 1, 0, "shop.ship", "default", b"{}")
        async with opened(world) as store:
            assert not await finish(store, ghost, Succeeded(None))
            assert await store.events(nth_id(9)) == []

    async def test_settling_nothing_is_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert await store.settle([]) == []

    async def test_a_batch_answers_for_each_transition_in_order(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(4))
            await finish(store, claims[1], Cancelled())
            applied = await store.settle(
                [
                    after_attempt(claims[2], Failed(BOOM), None),
                    after_attempt(claims[1], Succeeded(b"x"), None),
                    after_attempt(claims[3], Snoozed(60.0), None),
                    move(claims[3], State.SUCCEEDED, fence=7),
                    after_attempt(claims[0], Succeeded(b"0"), None),
                ]
            )
            states = [(await row(store, claim.job_id)).state for claim in claims]

            assert applied == [True, False, True, False, True]
            assert states == [State.SUCCEEDED, State.CANCELLED, State.FAILED, State.SCHEDULED]

    async def test_a_large_batch_is_settled_at_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(1_000))
            applied = await store.settle(
                [after_attempt(claim, Succeeded(claim.job_id.encode()), None) for claim in claims]
            )
            found = await store.results([claim.job_id for claim in claims])

            assert applied == [True] * 1_000
            assert {end.job_id: end.result for end in found.values()} == {
                claim.job_id: claim.job_id.encode() for claim in claims
            }

    # -- cancel --------------------------------------------------------------

    @pytest.mark.parametrize("state", [State.WAITING, State.SCHEDULED, State.QUEUED, State.HELD])
    async def test_a_job_that_does_not_run_is_cancelled_at_once(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)

            assert await cancel(store, job.id)

            after = await row(store, job.id)
            assert (after.state, after.reason) == (State.CANCELLED, None)
            assert after.ended_at is not None

    async def test_a_cancel_of_a_running_job_is_a_request(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())

            assert await cancel(store, claim.job_id)

            job = await row(store, claim.job_id)
            assert (job.state, job.reason) == (State.RUNNING, Reason.CANCEL_REQUESTED)
            assert (job.fence, job.attempt, job.worker) == (1, 1, ALICE)
            assert job.ended_at is None

    async def test_a_cancel_asked_for_again_changes_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            request = after_cancel(await row(store, claim.job_id), "operator")
            assert request is not None
            await store.settle([request])
            before, events = await row(store, claim.job_id), await store.events(claim.job_id)

            assert await store.settle([request]) == [False]
            assert await row(store, claim.job_id) == before
            assert await store.events(claim.job_id) == events

    @pytest.mark.parametrize(("outcome", "retry_s"), AGAIN)
    async def test_a_job_to_be_cancelled_does_not_go_back_in_line(
        self, world: StoreWorld, outcome: Outcome, retry_s: float | None
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await cancel(store, claim.job_id)

            assert await finish(store, claim, outcome, retry_s)

            job = await row(store, claim.job_id)
            assert (job.state, job.reason) == (State.CANCELLED, None)
            assert job.ended_at is not None

    @pytest.mark.parametrize(
        ("outcome", "state"),
        [
            (Succeeded(b"1"), State.SUCCEEDED),
            (Failed(BOOM), State.FAILED),
            (Cancelled(), State.CANCELLED),
        ],
    )
    async def test_an_end_that_came_before_the_cancel_did_stands(
        self, world: StoreWorld, outcome: Outcome, state: State
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await cancel(store, claim.job_id)

            assert await finish(store, claim, outcome)
            assert (await row(store, claim.job_id)).state is state

    async def test_a_cancel_decided_before_the_claim_is_refused(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue([make_request()])
            decided = after_cancel(await row(store, nth_id(1)), "operator")
            assert decided is not None
            [claim] = await claim_all(store)

            assert await store.settle([decided]) == [False]
            assert (await row(store, claim.job_id)).reason is None

    # -- events --------------------------------------------------------------

    async def test_the_happy_path_writes_no_event(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await finish(store, claim, Succeeded(b"1"))

            assert await store.events(claim.job_id) == []

    async def test_each_failure_and_each_act_writes_one_event(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [first] = await begin(store, make_request())
            await finish(store, first, Failed(BOOM), 60.0)
            await world.advance(61)
            await store.sweep(10, 3)
            [second] = await claim_all(store, worker=BOB)
            await cancel(store, second.job_id)
            await finish(store, second, Failed(BOOM))
            failed, asked, ended = await store.events(second.job_id)

            assert failed.seq < asked.seq < ended.seq
            assert failed.at <= asked.at <= ended.at
            assert (failed.before, failed.after) == (State.RUNNING, State.SCHEDULED)
            assert (failed.reason, failed.actor) == (Reason.RETRY, None)
            assert (failed.attempt, failed.fence, failed.worker) == (1, 1, ALICE)
            assert failed.error is not None
            assert decode_error(failed.error) == BOOM
            assert (asked.before, asked.after) == (State.RUNNING, State.RUNNING)
            assert (asked.reason, asked.actor) == (Reason.CANCEL_REQUESTED, "operator")
            assert (asked.attempt, asked.fence, asked.error) == (2, 2, None)
            assert (ended.before, ended.after) == (State.RUNNING, State.FAILED)
            assert (ended.reason, ended.attempt, ended.fence) == (Reason.ERROR, 2, 2)

    async def test_a_refused_transition_writes_no_event(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await store.settle([move(claim, State.FAILED, fence=9, actor="operator", error=b"{}")])

            assert await store.events(claim.job_id) == []

    async def test_an_event_of_a_cancel_that_won_says_cancelled(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request())
            await cancel(store, claim.job_id)
            await finish(store, claim, Failed(BOOM), 60.0)
            last = (await store.events(claim.job_id))[-1]

            assert (last.before, last.after) == (State.RUNNING, State.CANCELLED)
