"""What every store promises of runs, of their steps, and of jobs that wait by a rule."""

import asyncio
from typing import Any

import pytest

from windlass.core.lifecycle import OWN_RESULT, UPSTREAM_FAILED, after_attempt, decode_error
from windlass.model.jobs import (
    Claim,
    Edge,
    JobFilter,
    JobId,
    JobRequest,
    Reason,
    Rule,
    RunKind,
    State,
    StepOf,
)
from windlass.model.limits import Cap, Limits, lane_of
from windlass.model.outcomes import Cancelled, Continued, Diverged, Failed, Outcome, Succeeded
from windlass.ports import Store
from windlass.testing.contracts.edges import after, states
from windlass.testing.contracts.world import (
    ALICE,
    BOB,
    BOOM,
    LEASE_S,
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
OK, BAD, OFF = DONE, Failed(BOOM), Cancelled()
WAITING, QUEUED = State.WAITING, State.QUEUED


def step(n: int, run: int, *parents: int, rule: Rule | None = None, **fields: Any) -> JobRequest:
    """Return the ``n``-th request, a step of the ``run``-th job."""
    of = StepOf(nth_id(run), f"step-{n}", print=f"print-{n}")
    rule = rule or (Rule.ALL_SUCCESS if parents else None)
    return after(n, *parents, rule=rule, step=of, **fields)


def unfolded(*requests: JobRequest, ends: tuple[JobId, ...] = ()) -> Continued:
    """Return how a run goes on as its steps, until all of them are done."""
    ids = tuple(request.id for request in requests)
    return Continued(requests, ends, waits=ids, rule=Rule.ALL_DONE)


async def begin_run(store: Store, n: int = 1, kind: RunKind = RunKind.DAG, **fields: Any) -> Claim:
    """Enqueue and claim the job of a run."""
    [claim] = await begin(store, make_request(n, kind=kind, **fields))
    return claim


async def go_on(store: Store, claim: Claim, outcome: Continued) -> None:
    """Have a run go on as its steps."""
    assert await store.settle([after_attempt(claim, outcome, None)]) == [True]


class RunContract:
    """What every store promises of runs, steps and rules."""

    @pytest.mark.parametrize(
        ("rule", "ends", "expected"),
        [
            (Rule.ALL_SUCCESS, [OK, OK], QUEUED),
            (Rule.ALL_SUCCESS, [OK, BAD], State.FAILED),
            (Rule.ALL_SUCCESS, [BAD], State.FAILED),
            (Rule.ALL_SUCCESS, [OFF], WAITING),
            (Rule.ALL_SUCCESS, [OFF, OK], State.CANCELLED),
            (Rule.ALL_SUCCESS, [OFF, BAD], State.FAILED),
            (Rule.ALL_DONE, [BAD], WAITING),
            (Rule.ALL_DONE, [BAD, OFF], QUEUED),
            (Rule.ONE_SUCCESS, [BAD], WAITING),
            (Rule.ONE_SUCCESS, [OK], QUEUED),
            (Rule.ONE_SUCCESS, [OFF, BAD], State.FAILED),
            (Rule.ONE_FAILED, [OK], WAITING),
            (Rule.ONE_FAILED, [BAD], QUEUED),
            (Rule.ONE_FAILED, [OK, OK], State.SKIPPED),
            (Rule.ONE_DONE, [OFF], QUEUED),
            (Rule.ALL_FAILED, [OK], State.SKIPPED),
            (Rule.ALL_FAILED, [BAD, OFF], QUEUED),
            (Rule.NONE_FAILED, [OK, BAD], State.FAILED),
            (Rule.ALL_SKIPPED, [OK], State.SKIPPED),
        ],
        ids=str,
    )
    async def test_a_rule_decides_whether_a_job_starts(
        self, world: StoreWorld, rule: Rule, ends: list[Outcome], expected: State
    ) -> None:
        """``core.rules`` has the whole table; here it is that the store counts right."""
        async with opened(world) as store:
            claims = await begin(store, *make_requests(2))
            await store.enqueue([after(3, 1, 2, rule=rule)])
            for claim, outcome in zip(claims, ends, strict=False):
                assert await finish(store, claim, outcome)

            job = await row(store, nth_id(3))
            assert job.state is expected
            if expected is State.SKIPPED:
                assert (job.reason, job.error) == (Reason.RULE, None)
            if expected in (State.FAILED, State.CANCELLED):
                bad = 1 + ends.index(BAD if expected is State.FAILED else OFF)
                assert job.error_type == UPSTREAM_FAILED
                assert nth_id(bad) in decode_error(job.error or b"").message
            if job.ended_at is not None:
                [event] = await store.events(job.id)
                assert (event.before, event.after) == (WAITING, expected)

    async def test_the_ends_of_one_batch_are_counted_together(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claims = await begin(store, *make_requests(3))
            await store.enqueue([after(4, 1, 2, 3, rule=Rule.ALL_DONE)])
            outcomes: list[Outcome] = [OK, BAD, OFF]
            moves = [
                after_attempt(claim, outcome, None)
                for claim, outcome in zip(claims, outcomes, strict=True)
            ]
            assert await store.settle(moves) == [True] * 3

            assert await states(store, 4) == [QUEUED]

    async def test_a_job_that_waits_by_a_rule_sees_what_has_ended_already(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            good, bad = await begin(store, *make_requests(2))
            await finish(store, good, OK)
            await finish(store, bad, BAD)
            await store.enqueue(
                [
                    after(3, 1, 2, rule=Rule.ALL_DONE),
                    after(4, 1, rule=Rule.ONE_FAILED),
                    after(5, 2, rule=Rule.ONE_SUCCESS),
                    after(6, 1, rule=Rule.ALL_SUCCESS, delay_s=60.0),
                    after(7, 4, 5, rule=Rule.ALL_DONE),
                ]
            )

            found = await states(store, 3, 4, 5, 6, 7)
            assert found == [QUEUED, State.SKIPPED, State.FAILED, State.SCHEDULED, QUEUED]

    async def test_what_a_rule_ends_is_told_to_those_below(self, world: StoreWorld) -> None:
        """Skips go on through rules, failures through rules and plain edges."""
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue(
                [
                    after(2, 1, rule=Rule.ONE_FAILED),  # skipped
                    after(3, 2, rule=Rule.ALL_SUCCESS),  # so this too
                    after(4, 3, rule=Rule.NONE_FAILED),  # and this starts
                    after(5, 3, rule=Rule.NONE_SKIPPED),  # and this does not
                    after(6, 2),  # plain: it asked for a success
                    after(7, 6, rule=Rule.ALL_SUCCESS),
                    after(8, 7, rule=Rule.ALL_DONE),
                ]
            )
            assert await finish(store, claim, OK)

            skipped = [State.SKIPPED] * 2
            failed = [State.FAILED] * 2
            found = await states(store, 2, 3, 4, 5, 6, 7, 8)
            assert found == [*skipped, QUEUED, State.SKIPPED, *failed, QUEUED]

    async def test_what_is_given_up_by_a_plain_edge_is_told_to_who_waits_by_a_rule(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue(
                [
                    after(2, 1),
                    after(3, 2),
                    after(4, 3, rule=Rule.ALL_DONE),
                    after(5, 4),
                    after(6, 3, rule=Rule.ALL_SUCCESS),
                ]
            )
            assert await finish(store, claim, BAD)

            found = await states(store, 2, 3, 4, 5, 6)
            assert found == [State.FAILED, State.FAILED, QUEUED, WAITING, State.FAILED]

    async def test_the_same_waiting_requests_again_change_nothing(self, world: StoreWorld) -> None:
        requests = [make_request(1), make_request(2), after(3, 1, 2, rule=Rule.ALL_DONE)]
        async with opened(world) as store:
            ids = await store.enqueue(requests)
            first, second = await claim_all(store)
            await finish(store, first, BAD)
            assert await store.enqueue(requests) == ids
            assert await states(store, 3) == [WAITING]
            await finish(store, second, OK)

            assert await states(store, 3) == [QUEUED]

    async def test_many_that_end_together_start_a_waiting_job_exactly_once(
        self, world: StoreWorld
    ) -> None:
        """I21, for rules: among them one that could start it, or give it up, many times over."""
        async with opened(world) as one, opened(world) as other:
            await one.enqueue(make_requests(200))
            parents = range(1, 201)
            rules = (Rule.ALL_DONE, Rule.ONE_SUCCESS, Rule.ONE_FAILED, Rule.ALL_SUCCESS)
            await one.enqueue([after(201 + n, *parents, rule=rule) for n, rule in enumerate(rules)])
            await one.renew(make_worker(ALICE), LEASE_S)
            await other.renew(make_worker(BOB), LEASE_S)

            async def work(store: Store, worker: Any) -> None:
                while claims := await store.claim(worker, ["default"], 7):
                    outcomes = [BAD if claim.job_id < nth_id(101) else OK for claim in claims]
                    ends = zip(claims, outcomes, strict=True)
                    await asyncio.gather(*(finish(store, claim, end) for claim, end in ends))

            await asyncio.gather(work(one, ALICE), work(other, BOB))
            await work(one, ALICE)

            assert await states(one, 201, 202, 203) == [State.SUCCEEDED] * 3
            assert await states(one, 204) == [State.FAILED]
            for n in (201, 202, 203):
                assert (await row(one, nth_id(n))).attempt == 1

    async def test_what_waited_and_was_deleted_since_holds_up_nobody(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [claim] = await begin(store, make_request(1))
            await store.enqueue([after(2, 1), after(3, 1, rule=Rule.ALL_DONE), after(4, 1)])
            await cancel(store, nth_id(2))
            await cancel(store, nth_id(3))
            assert await store.delete([nth_id(2), nth_id(3)]) == 2
            assert await finish(store, claim, OK)

            assert await states(store, 4) == [QUEUED]

    # -- runs ------------------------------------------------------------------

    async def test_a_run_is_a_job_of_its_kind(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.enqueue(
                [
                    make_request(1, kind=RunKind.DAG),
                    make_request(2, kind=RunKind.WORKFLOW, unique_key="k"),
                    make_request(3),
                ]
            )
            await store.enqueue([make_request(4, kind=RunKind.DAG)])
            kinds = [(await row(store, nth_id(n))).kind for n in (1, 2, 3, 4)]
            dags = await store.jobs(JobFilter(kinds=(RunKind.DAG,)), limit=9)
            runs = await store.jobs(JobFilter(kinds=tuple(RunKind)), limit=2)

            assert kinds == [RunKind.DAG, RunKind.WORKFLOW, None, RunKind.DAG]
            assert [job.id for job in dags] == [nth_id(4), nth_id(1)]
            assert [job.id for job in runs] == [nth_id(4), nth_id(2)]

    async def test_a_run_goes_on_as_its_steps_until_all_are_done(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claim = await begin_run(store)
            assert await store.runs.tally(nth_id(1)) == {}
            steps = [step(2, 1), step(3, 1), step(4, 1, 2, 3), step(5, 1, 3, queue="other")]
            await go_on(store, claim, unfolded(*steps, ends=(nth_id(4),)))
            run = await row(store, nth_id(1))
            assert (run.state, run.reason, run.worker) == (WAITING, Reason.CHILDREN, None)
            assert await store.runs.tally(nth_id(1)) == {QUEUED: 2, WAITING: 2}
            good, bad = await claim_all(store)
            await finish(store, good, Succeeded(b"2"))
            await finish(store, bad, BAD)
            [again] = await claim_all(store)
            tally = await store.runs.tally(nth_id(1))

            assert (again.job_id, again.fence, again.has_inputs) == (nth_id(1), 2, True)
            assert tally == {State.SUCCEEDED: 1, State.FAILED: 3}
            [own] = await store.inputs(nth_id(1))
            assert (own.parent, own.slot, own.result) == (nth_id(4), OWN_RESULT, None)

    async def test_the_steps_of_a_run_are_listed_with_what_became_of_them(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claim = await begin_run(store)
            steps = [step(2, 1), step(3, 1, 2), step(4, 1, 3, rule=Rule.ALL_DONE)]
            await go_on(store, claim, unfolded(*steps))
            [first] = await claim_all(store)
            await finish(store, first, BAD)
            found = await store.runs.steps(nth_id(1), limit=10)
            failed = await store.runs.steps(nth_id(1), limit=10, states=[State.FAILED])
            page = await store.runs.steps(nth_id(1), limit=1, after=nth_id(2))

            assert [one.job_id for one in found] == [nth_id(n) for n in (2, 3, 4)]
            ended, given_up, let_go = found
            assert (ended.run, ended.name, ended.nth) == (nth_id(1), "step-2", 0)
            assert (ended.print, ended.task, ended.queue) == ("print-2", "shop.ship", "default")
            assert (ended.state, ended.reason, ended.attempt) == (State.FAILED, Reason.ERROR, 1)
            assert (ended.rule, ended.error_type) == (None, BOOM.type)
            assert ended.started_at is not None
            assert ended.ended_at is not None
            assert (given_up.reason, given_up.rule) == (Reason.UPSTREAM, Rule.ALL_SUCCESS)
            assert (let_go.state, let_go.rule, let_go.ended_at) == (QUEUED, Rule.ALL_DONE, None)
            by_run = JobFilter(run=nth_id(1), states=(State.FAILED,))
            jobs = await store.jobs(by_run, limit=9)
            assert [job.id for job in jobs] == [nth_id(3), nth_id(2)]
            assert failed == [ended, given_up]
            assert page == [given_up]
            assert await store.runs.steps(nth_id(9), limit=10) == []

    async def test_a_run_waits_anew_and_is_let_go_by_what_it_waits_for_now(
        self, world: StoreWorld
    ) -> None:
        """A workflow: each time it goes on it waits for the first of some steps, old and new."""
        async with opened(world) as store:
            claim = await begin_run(store, kind=RunKind.WORKFLOW)
            steps = (step(2, 1), step(3, 1), step(4, 1))
            ids = tuple(one.id for one in steps)
            await go_on(store, claim, Continued(steps, (), waits=ids, rule=Rule.ONE_DONE))
            second, third, fourth = await claim_all(store)
            await finish(store, second, Succeeded(b"2"))
            [claim] = await claim_all(store, worker=BOB)
            assert claim.job_id == nth_id(1)
            await finish(store, third, OK)  # while it runs: not to be missed
            waits = Continued((), (), waits=(nth_id(3), nth_id(4)), rule=Rule.ONE_DONE)
            await go_on(store, claim, waits)
            assert await states(store, 1) == [QUEUED]
            [claim] = await claim_all(store, worker=BOB)
            more = Continued((step(5, 1),), (), waits=(nth_id(4), nth_id(5)), rule=Rule.ALL_DONE)
            await go_on(store, claim, more)
            [fifth] = await claim_all(store, worker=BOB)
            await finish(store, fifth, OK)
            assert await states(store, 1) == [WAITING]
            await finish(store, fourth, OK)
            [claim] = await claim_all(store, worker=BOB)
            await finish(store, claim, Succeeded(b"over"))

            assert await states(store, 1) == [State.SUCCEEDED]
            assert await store.runs.tally(nth_id(1)) == {State.SUCCEEDED: 4}

    async def test_ends_of_an_earlier_wait_do_not_count_for_a_later_one(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            claim = await begin_run(store, kind=RunKind.WORKFLOW)
            steps = (step(2, 1), step(3, 1), step(4, 1))
            ids = (nth_id(2), nth_id(3))
            await go_on(store, claim, Continued(steps, (), waits=ids, rule=Rule.ONE_DONE))
            second, third, fourth = await claim_all(store)
            await finish(store, second, OK)
            [claim] = await claim_all(store, worker=BOB)
            later = Continued((), (nth_id(2),), waits=(nth_id(4),), rule=Rule.ALL_DONE)
            await go_on(store, claim, later)
            await finish(store, third, BAD)
            assert await states(store, 1) == [WAITING]
            await finish(store, fourth, OK)

            assert await states(store, 1) == [QUEUED]
            [own] = await store.inputs(nth_id(1))
            assert (own.parent, own.slot) == (nth_id(2), OWN_RESULT)

    async def test_what_started_by_a_rule_goes_on_as_others_in_its_own_way(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            first, second = await begin(store, *make_requests(2))
            await store.enqueue([after(3, 1, 2, rule=Rule.ONE_SUCCESS)])
            await finish(store, first, OK)
            [third] = await claim_all(store)
            await go_on(store, third, Continued((make_request(4),), (nth_id(4),)))
            await finish(store, second, BAD)
            assert await states(store, 3) == [WAITING]
            [fourth] = await claim_all(store)
            await finish(store, fourth, Succeeded(b"4"))
            [again] = await claim_all(store)

            assert again.job_id == nth_id(3)
            slots = [one.slot for one in await store.inputs(nth_id(3))]
            assert slots == [OWN_RESULT]

    async def test_the_turn_in_which_a_run_saw_an_end_is_kept(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claim = await begin_run(store, kind=RunKind.WORKFLOW)
            steps = (step(2, 1), step(3, 1), step(4, 1))
            ids = tuple(one.id for one in steps)
            await go_on(store, claim, Continued(steps, (), waits=ids, rule=Rule.ONE_DONE))
            for child in (await claim_all(store))[:2]:
                await finish(store, child, OK)
            [claim] = [one for one in await claim_all(store) if one.job_id == nth_id(1)]
            turns = ((nth_id(3), 1), (nth_id(2), 2))
            await go_on(
                store,
                claim,
                Continued((), (), waits=(nth_id(4),), rule=Rule.ONE_DONE, turns=turns),
            )
            found = await store.runs.steps(nth_id(1), limit=9)

            assert [(one.job_id, one.turn) for one in found] == [
                (nth_id(2), 2),
                (nth_id(3), 1),
                (nth_id(4), None),
            ]

    async def test_a_run_whose_cancel_was_asked_for_makes_no_steps(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claim = await begin_run(store)
            await cancel(store, nth_id(1))
            await go_on(store, claim, unfolded(step(2, 1)))

            assert await states(store, 1) == [State.CANCELLED]
            assert await store.get(nth_id(2)) is None
            assert await store.runs.tally(nth_id(1)) == {}

    async def test_going_on_without_new_steps_heeds_a_cancel_too(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claim = await begin_run(store, kind=RunKind.WORKFLOW)
            waits = Continued((step(2, 1),), (), waits=(nth_id(2),), rule=Rule.ONE_DONE)
            await go_on(store, claim, waits)
            [child] = await claim_all(store)
            await finish(store, child, OK)
            [claim] = await claim_all(store)
            await cancel(store, nth_id(1))
            await go_on(store, claim, Continued((), (), waits=(nth_id(2),), rule=Rule.ONE_DONE))

            assert await states(store, 1) == [State.CANCELLED]

    async def test_a_run_that_diverged_is_held_with_its_error(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claim = await begin_run(store, kind=RunKind.WORKFLOW)
            assert await finish(store, claim, Diverged(BOOM))
            job = await row(store, nth_id(1))

            assert (job.state, job.reason) == (State.HELD, Reason.DIVERGED)
            assert decode_error(job.error or b"") == BOOM

    async def test_a_begun_run_counts_for_its_limits_until_it_has_ended(
        self, world: StoreWorld
    ) -> None:
        """Also while nothing of it runs; and its own end is never held up by them."""
        limits = Limits(caps=(Cap("one", "", 1),))
        lane = lane_of(limits)
        limited: dict[str, Any] = {"lane": lane.id, "limits": lane.limits, "kind": RunKind.DAG}
        async with opened(world) as store:
            claim = await begin_run(store, **limited)
            await store.enqueue([make_request(2, **limited)])
            await go_on(store, claim, unfolded(step(3, 1)))
            [child] = await claim_all(store)
            assert child.job_id == nth_id(3)
            [holder] = await store.holders(limits)
            await finish(store, child, OK)
            [again] = await claim_all(store)
            assert again.job_id == nth_id(1)
            assert await claim_all(store) == []
            assert await finish(store, again, OK)
            [following] = await claim_all(store)

            assert following.job_id == nth_id(2)
            assert holder.running == (nth_id(1),)

    async def test_a_workflow_that_loses_workers_is_left_to_who_can_end_its_steps(
        self, world: StoreWorld
    ) -> None:
        """A sweep alone would leave them behind (I22)."""
        async with opened(world) as store:
            await begin_run(store, kind=RunKind.WORKFLOW)
            await begin(store, make_request(2, kind=RunKind.DAG))
            await lose(store, ALICE, losses_max=1)
            jobs = [await row(store, nth_id(n)) for n in (1, 2)]

            assert [(job.state, job.reason, job.losses) for job in jobs] == [
                (QUEUED, None, 1),
                (State.FAILED, Reason.POISON, 1),
            ]

    async def test_what_went_on_has_lost_no_worker_since(self, world: StoreWorld) -> None:
        """A run that lives for a year is no poison because of a crash in each season."""
        async with opened(world) as store:
            await begin_run(store, kind=RunKind.WORKFLOW)
            await lose(store, ALICE)
            [claim] = await claim_all(store, worker=BOB)
            assert (await row(store, claim.job_id)).losses == 1
            await go_on(store, claim, unfolded(step(2, 1)))

            assert (await row(store, claim.job_id)).losses == 0

    async def test_the_steps_of_a_live_run_are_kept(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            claim = await begin_run(store, kind=RunKind.WORKFLOW)
            for n in (2, 3):
                await go_on(
                    store,
                    claim,
                    Continued((step(n, 1),), (), waits=(nth_id(n),), rule=Rule.ONE_DONE),
                )
                [child] = await claim_all(store)
                await finish(store, child, Succeeded(b"kept"))
                [claim] = await claim_all(store)
            await world.advance(100.0)
            assert await store.prune(50.0, 10) == 0
            assert await store.delete([nth_id(2)]) == 0
            await store.renew(make_worker(), LEASE_S)
            found = await store.results([nth_id(2), nth_id(3)])
            assert [found[nth_id(n)].result for n in (2, 3)] == [b"kept"] * 2
            assert await finish(store, claim, OK)
            await world.advance(100.0)
            assert await store.prune(50.0, 10) == 3

            assert await store.runs.steps(nth_id(1), limit=9) == []

    async def test_a_job_that_has_begun_and_waits_does_not_expire(self, world: StoreWorld) -> None:
        """To expire is not to start in time."""
        async with opened(world) as store:
            claim = await begin_run(store, expires_s=10.0)
            await go_on(store, claim, unfolded(step(2, 1)))
            [child] = await claim_all(store, lease_s=1_000.0)
            await pass_time(world, store, 60.0)
            assert await states(store, 1) == [WAITING]
            await finish(store, child, OK)
            [again] = await claim_all(store)

            assert again.job_id == nth_id(1)

    async def test_a_run_in_a_chain_keeps_what_it_was_given(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [first] = await begin(store, make_request(1))
            given = (Edge(nth_id(1), "day"),)
            await store.enqueue([make_request(2, after=given, kind=RunKind.DAG)])
            await finish(store, first, Succeeded(b"1"))
            [claim] = await claim_all(store)
            await go_on(store, claim, unfolded(step(3, 2), ends=(nth_id(3),)))
            [child] = await claim_all(store)
            await finish(store, child, Succeeded(b"3"))
            [again] = await claim_all(store)

            assert again.job_id == nth_id(2)
            slots = {one.slot: one.result for one in await store.inputs(nth_id(2))}
            assert slots["day"] == b"1"
            assert slots[OWN_RESULT] == b"3"
