"""I4 and I5: only the moves of ``lifecycle.MOVES`` exist, whoever asks and with which fence."""

import pytest

from windlass.core.lifecycle import MOVES, SETTLE_MOVES, SWEEP_MOVES, after_cancel
from windlass.model.jobs import LIVE, Job, State
from windlass.model.outcomes import Transition
from windlass.ports import Store
from windlass.testing.contracts.world import (
    ALICE,
    LEASE_S,
    LOSSES_MAX,
    SWEEP_MAX,
    StoreWorld,
    make_request,
    make_worker,
    move,
    nth_id,
    opened,
    pass_time,
    put_in_state,
    row,
)

RIGHT, STALE, NONE = 2, 1, 0  # ``put_in_state`` leaves every job at fence 2
STATES = list(State)


async def rows(store: Store, jobs: list[Job]) -> list[Job]:
    """Return these jobs as they are now."""
    return [await row(store, job.id) for job in jobs]


class TableContract:
    """What every store promises about the table of moves."""

    @pytest.mark.parametrize("fence", [STALE, NONE, RIGHT + 1])
    @pytest.mark.parametrize("state", STATES)
    async def test_no_settle_without_the_right_fence_changes_anything(
        self, world: StoreWorld, state: State, fence: int
    ) -> None:
        async with opened(world) as store:
            jobs = await put_in_state(store, [nth_id(n) for n in range(9)], state)
            applied = await store.settle(
                [
                    move(job, after, fence=fence, actor="operator")
                    for job, after in zip(jobs, STATES, strict=True)
                ]
            )

            assert applied == [False] * 9
            assert await rows(store, jobs) == jobs
            assert [await store.events(job.id) for job in jobs] == [[]] * 9

    @pytest.mark.parametrize("state", STATES)
    async def test_no_settle_from_another_state_changes_anything(
        self, world: StoreWorld, state: State
    ) -> None:
        pairs = [(before, after) for before in STATES if before is not state for after in STATES]
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            applied = await store.settle(
                [
                    move(job, after, before=before, fence=fence, actor="operator")
                    for before, after in pairs
                    for fence in (RIGHT, STALE, NONE)
                ]
            )

            assert not any(applied)
            assert await row(store, job.id) == job
            assert await store.events(job.id) == []

    @pytest.mark.parametrize("state", STATES)
    async def test_a_settle_moves_a_job_if_and_only_if_the_table_has_the_move(
        self, world: StoreWorld, state: State
    ) -> None:
        legal = [(state, after) in SETTLE_MOVES for after in STATES]
        async with opened(world) as store:
            jobs = await put_in_state(store, [nth_id(n) for n in range(9)], state)
            applied = await store.settle(
                [move(job, after) for job, after in zip(jobs, STATES, strict=True)]
            )
            after = await rows(store, jobs)

            assert applied == legal
            for was, now, wanted, moved in zip(jobs, after, STATES, legal, strict=True):
                assert now.state is (wanted if moved else state)
                assert moved or now == was

    async def test_a_running_job_moves_to_itself_only_for_a_cancel_request(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], State.RUNNING)

            assert await store.settle([move(job, State.RUNNING, reason=None)]) == [False]
            assert await row(store, job.id) == job

    @pytest.mark.parametrize("state", STATES)
    async def test_a_claim_takes_queued_jobs_only(self, world: StoreWorld, state: State) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            claims = await store.claim(ALICE, ["table"], 10)

            if state is State.QUEUED:
                assert [claim.fence for claim in claims] == [RIGHT + 1]
            else:
                assert claims == []
                assert await row(store, job.id) == job

    @pytest.mark.parametrize("fence", [RIGHT, STALE, NONE])
    @pytest.mark.parametrize("state", STATES)
    async def test_a_cancel_changes_live_jobs_only_and_under_the_right_fence(
        self, world: StoreWorld, state: State, fence: int
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            decided = after_cancel(job, "operator")
            if decided is None:
                assert state not in LIVE
                return
            applied = await store.settle([_with_fence(decided, fence)])

            assert applied == [fence == RIGHT]
            if fence != RIGHT:
                assert await row(store, job.id) == job

    @pytest.mark.parametrize("state", STATES)
    async def test_a_sweep_with_nothing_due_changes_nothing(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)

            assert await row(store, job.id) == job

    @pytest.mark.parametrize("state", STATES)
    async def test_a_sweep_makes_only_the_moves_of_the_clock(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            jobs = await put_in_state(store, [nth_id(n) for n in range(3)], state)
            await store.leave(ALICE)
            await world.advance(7200)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            after = {job.state for job in await rows(store, jobs)}
            moves = {b for a, b in SWEEP_MOVES if a is state}

            assert after <= moves | {state}
            assert state in LIVE or after == {state}

    @pytest.mark.parametrize("state", STATES)
    async def test_a_retry_of_a_job_changes_it_only_if_it_has_failed(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            await store.enqueue([make_request(2, retry_of=job.id)])
            after = await row(store, job.id)

            assert after.state is state
            assert (after == job) == (state is not State.FAILED)
            assert (after.resolved_at is not None) == (state is State.FAILED)

    @pytest.mark.parametrize("state", STATES)
    async def test_resolving_a_job_changes_it_only_if_it_has_failed(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            answer = await store.resolve([job.id], "operator")
            after = await row(store, job.id)

            assert answer == [state is State.FAILED]
            assert after.state is state
            assert (after == job) == (state is not State.FAILED)

    @pytest.mark.parametrize("state", [state for state in STATES if not MOVES[state]])
    async def test_an_ended_job_stays_as_it_ended_whatever_comes(
        self, world: StoreWorld, state: State
    ) -> None:
        async with opened(world) as store:
            [job] = await put_in_state(store, [nth_id(1)], state)
            await store.settle([move(job, after, before=b) for b in STATES for after in STATES])
            await store.renew(make_worker(), LEASE_S)
            await store.claim(ALICE, ["table"], 10)
            await pass_time(world, store, LEASE_S * 3)
            await store.leave(ALICE)
            await store.sweep(SWEEP_MAX, LOSSES_MAX)
            after = await row(store, job.id)

            assert (after.state, after.reason, after.fence) == (job.state, job.reason, job.fence)
            assert (after.result, after.error, after.worker) == (job.result, job.error, job.worker)
            assert await store.events(job.id) == []


def _with_fence(transition: Transition, fence: int) -> Transition:
    return Transition(
        job_id=transition.job_id,
        fence=fence,
        before=transition.before,
        after=transition.after,
        attempt=transition.attempt,
        failures=transition.failures,
        reason=transition.reason,
        actor=transition.actor,
    )
