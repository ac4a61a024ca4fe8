"""What a run that has ended must have come to: verdicts, values, and the result of plain code."""

import asyncio
import logging
from contextvars import copy_context
from typing import Any

from tests.simulation.loop import VirtualLoop
from tests.simulation.run_invariants import RunData
from tests.simulation.run_plans import NUMBERS, DagPlan, Node, StepPlan, is_like_plain, step_name
from tests.simulation.run_rules import EARLY, START, outcome
from tests.simulation.run_tasks import BAD, SURE, RunBook, value_of
from windlass import App
from windlass.core.context import Context
from windlass.core.replay import TIMER
from windlass.executors.attempt import attempt_plain
from windlass.model.jobs import Claim, Job, JobId, Reason, Rule, State
from windlass.model.outcomes import Succeeded
from windlass.model.runs import History, RecordedStep
from windlass.stores.memory import MemoryStore

OWN = ""  # the slot of those that give a job its own result
REASONS = {State.FAILED: Reason.UPSTREAM, State.CANCELLED: None, State.SKIPPED: Reason.RULE}

PLANNED = {"fails": State.FAILED, "gives_up": State.CANCELLED}
RAISES = object()


class Reckoning:
    """Looks at runs as they end, and once more when the world has."""

    def __init__(
        self,
        app: App,
        book: RunBook,
        dags: dict[str, DagPlan],
        programs: dict[str, Node],
    ) -> None:
        self._app = app
        self._book = book
        self._dags = dags
        self.data: RunData
        self._plain = plain_results(app, programs)
        self._histories: list[tuple[Job, History]] = []
        self.compared = self.dags_checked = 0

    def ended(self, run: Job) -> None:
        """Check a run that ends now."""
        if run.task in self._dags:
            self._check_dag(run, self._dags[run.task])
        elif (number := self._arguments(run)["number"]) is not None:
            self._check_flow(run, self._plain.get((run.task, number)))

    # -- DAGs ----------------------------------------------------------------

    def _check_dag(self, run: Job, plan: DagPlan) -> None:
        steps = {self.data.steps[each].name: self.data.jobs[each] for each in self._steps(run)}
        if not steps:
            assert run.state is not State.SUCCEEDED, f"{run.id} succeeded without steps"
            return
        self.dags_checked += 1
        assert len(steps) == len(plan.steps), f"{run.id} has {len(steps)} steps"
        jobs = [steps[step_name(place)] for place in range(len(plan.steps))]
        for step, job in zip(plan.steps, jobs, strict=True):
            self._check_verdict(step, job, [jobs[parent] for parent in sorted(step.parents)])
            if job.state is State.SUCCEEDED and step.task in SURE:
                self._check_given(step, job, run, jobs)
        states = {job.state for job in jobs}
        bad = (state for state in (State.FAILED, State.CANCELLED) if state in states)
        expected = next(bad, State.SUCCEEDED)
        was_harmed = run.reason is Reason.POISON or self._actors(run)
        assert run.state is expected or was_harmed, f"{run.id} is {run.state}, not {expected} (I22)"
        if run.state is State.SUCCEEDED:
            ends = plan.ends if isinstance(plan.ends, tuple) else (plan.ends,)
            values = [None if end is None else self._result(jobs[end]) for end in ends]
            expected_value = values if isinstance(plan.ends, tuple) else values[0]
            assert self._result(run) == expected_value, f"{run.id}: another result than its steps'"

    def _check_verdict(self, step: StepPlan, job: Job, parents: list[Job]) -> None:
        """Each started exactly once if its rule held, and else ended as that says (I21)."""
        ends = tuple(sorted(parent.state for parent in parents))
        rule = step.rule or Rule.ALL_SUCCESS
        verdict = outcome(rule, ends) if parents else START
        what = f"{job.id} ({job.task}) by {rule} of {ends}: {verdict}"
        if self.data.let_go[job.id]:
            assert verdict == START, f"{what}, but it started (I21)"
        elif not (job.state is State.CANCELLED and self._actors(job)):
            assert verdict == job.state, f"{what}, but it is {job.state} (I21)"
            assert (job.reason, job.attempt) == (REASONS[job.state], 0), f"{what}, {job.reason}"

    def _check_given(self, step: StepPlan, job: Job, run: Job, jobs: list[Job]) -> None:
        """It was given the results of its parents, and its result is made of that (I23)."""
        given = self._book.given.get((job.id, job.fence))
        assert given is not None, f"{job.id} succeeded under fence {job.fence}, which never began"
        assert (job.id, job.fence) in self._book.produced
        assert self._result(job) == value_of(*given), f"{job.id}: another result than was made"
        number, one, many = given
        told = self._arguments(run)["number"] if step.number is None else step.number
        assert number == told, f"{job.id} was given {number}, not {told}"
        if isinstance(step.one, int):
            assert one in self._given_by(step, jobs[step.one]), f"{job.id} was given {one!r}"
        elif step.one is None:
            assert one is None, f"{job.id} was given {one!r} by nobody"
        else:
            assert one in self._given_to(run), f"{job.id} was given {one!r} of its run"
        assert len(many or ()) == len(step.many), f"{job.id} was given {many!r}"
        for parent, value in zip(step.many, many or (), strict=True):
            assert value in self._given_by(step, jobs[parent]), f"{job.id} was given {many!r}"

    def _given_by(self, step: StepPlan, parent: Job) -> list[Any]:
        """Return what a step may have been given: nothing of one that had not ended."""
        return [self._result(parent), None] if step.rule in EARLY else [self._result(parent)]

    def _given_to(self, run: Job) -> list[Any]:
        edges = [edge for edge in self.data.edges.get(run.id, ()) if edge.slot == "one"]
        if not edges:
            return [self._arguments(run)["one"]]
        return [self._result(self.data.jobs[edges[0].parent]), None]

    # -- workflows -----------------------------------------------------------

    def _check_flow(self, run: Job, plain: Any) -> None:
        """It comes to what plain code comes to, if nobody meddled (I24)."""
        began = self.data.let_go[run.id]
        if (
            plain is None
            or not began
            or self._actors(run)
            or run.reason in (Reason.POISON, Reason.EXPIRED)
        ):
            return
        if not self._is_as_planned(run):
            return
        self.compared += 1
        if plain is RAISES:
            assert run.state is not State.SUCCEEDED, f"{run.id}: plain code raises (I24)"
            return
        assert run.state is State.SUCCEEDED, f"{run.id} ({run.task}): {run.error!r} (I24)"
        assert self._result(run) == plain, f"{run.id}: {self._result(run)!r} for {plain!r} (I24)"

    def _is_as_planned(self, run: Job) -> bool:
        """Tell whether each step of a run came to what its task comes to, or was given up."""
        if run.id in self.data.robbed:
            return False
        for job in (self.data.jobs[each] for each in self._steps(run)):
            if job.reason is Reason.POISON or self._actors(job) - {run.task}:
                return False
            if run.task in self._actors(job):
                continue  # the workflow did not need it any more
            if job.kind is not None:
                if not self._is_as_planned(job):
                    return False
                continue
            assert job.task in (*SURE, *BAD, TIMER), job.task
            if job.state is not PLANNED.get(job.task, State.SUCCEEDED):
                return False
        return True

    # -- when the world has ended ---------------------------------------------

    async def collect(self, store: MemoryStore) -> None:
        """Keep the journals of workflows that succeeded."""
        for run in self.data.in_state(State.SUCCEEDED):
            is_flow = run.kind is not None and run.task not in self._dags
            if is_flow and run.id not in self.data.robbed:
                steps = await store.runs.steps(run.id, limit=1_000)
                ends = await store.results([step.job_id for step in steps])
                recorded = tuple(RecordedStep(step, ends[step.job_id]) for step in steps)
                self._histories.append((run, History(run.created_at, recorded)))

    def replay(self) -> None:
        """Replay each journal as a whole: it comes to the same bytes (I24).  Outside of a loop."""
        for run, history in self._histories:
            spec = self._app.specs[run.task]
            facts = run.id, run.fence, run.attempt, run.failures, run.task, run.queue, run.payload
            context = Context(claim := Claim(*facts))
            context.history = history
            outcome = copy_context().run(attempt_plain, spec, claim, context)
            assert isinstance(outcome, Succeeded), f"{run.id}: its replay came to {outcome} (I24)"
            assert outcome.result == run.result, f"{run.id}: its replay has another result (I24)"

    def check_keys(self) -> None:
        """No run has two steps of one key (I23), and continued jobs have the results of others."""
        keys = {(step.run, step.name, step.nth) for step in self.data.steps.values()}
        assert len(keys) == len(self.data.steps), "two steps have one key (I23)"
        for job in self.data.in_state(State.SUCCEEDED):
            own = [edge for edge in self.data.edges.get(job.id, ()) if edge.slot == OWN]
            if job.kind is None and own and self.data.dropped.isdisjoint(e.parent for e in own):
                values = [self._result(self.data.jobs[edge.parent]) for edge in own]
                told = values if own[0].position is not None else values[0]
                assert self._result(job) == told, f"{job.id} went on, and has another result"

    # -- rows ----------------------------------------------------------------

    def _steps(self, run: Job) -> list[JobId]:
        return [job_id for job_id, step in self.data.steps.items() if step.run == run.id]

    def _actors(self, job: Job) -> set[str]:
        return {event.actor for event in self.data.events.get(job.id, ()) if event.actor}

    def _result(self, job: Job) -> Any:
        if job.state is not State.SUCCEEDED or job.result is None:
            return None
        return self._app.specs[job.task].signature.decode_result(job.result)

    def _arguments(self, run: Job) -> dict[str, Any]:
        signature = self._app.specs[run.task].signature
        return {"one": None, **signature.bound(*signature.decode(run.payload, run.fingerprint))}


def plain_results(app: App, programs: dict[str, Node]) -> dict[tuple[str, int], Any]:
    """Run workflows as the plain code that they are; those of which that makes sense."""
    alike: set[str] = set()
    found: dict[tuple[str, int], Any] = {}
    logger = logging.getLogger("asyncio")
    logger.disabled, before = True, logger.disabled  # of errors that nobody looks at
    try:
        for name, program in programs.items():
            if is_like_plain(program, alike):
                alike.add(name)
                for number in range(NUMBERS):
                    found[name, number] = _plain_result(app, name, number)
    finally:
        logger.disabled = before
    return found


def _plain_result(app: App, name: str, number: int) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            return runner.run(app.task_named(name)(number))
        except Exception:
            return RAISES
