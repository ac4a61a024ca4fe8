"""What must hold of runs and their steps after every change, and when a run ends."""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace as with_

from tests.simulation.invariants import WatchedData
from tests.simulation.loop import VirtualLoop
from tests.simulation.run_rules import decided
from windlass.model.jobs import LIVE, TERMINAL, Job, JobId, Reason, RunKind, State
from windlass.model.limits import Cap, decode_limits

log = logging.getLogger("windlass.simulation")

OWN = ""  # the slot of those that give a job its own result


class RunData(WatchedData):
    """Rows of runs and of steps; what is wrong with them is told as a defect.

    lag:    how much earlier than they are seen ends are dated, as by a transaction that began then.
    on_end: told of each run that has ended.
    """

    __slots__ = (
        "_ended",
        "_is_look_due",
        "_lag",
        "_loop_of",
        "_on_end",
        "dropped",
        "let_go",
        "robbed",
        "unfolded",
    )

    def __init__(
        self, loop: VirtualLoop, lag: Callable[[], timedelta], on_end: Callable[[Job], None]
    ) -> None:
        super().__init__(loop)
        self._loop_of = loop
        self._is_look_due = False
        self._lag = lag
        self._on_end = on_end
        self._ended: list[Job] = []
        self.let_go: Counter[JobId] = Counter()
        self.dropped: set[JobId] = set()
        self.robbed: set[JobId] = set()  # runs that have lost steps, after their end
        self.unfolded: set[JobId] = set()  # runs that have gone on as their steps

    def put(self, job: Job) -> None:
        """Check the change, make it, and look at all rows when the transaction is over."""
        old = self.jobs.get(job.id)
        if old is not None and old.ended_at is not None:
            job = with_(job, ended_at=old.ended_at)
        elif job.ended_at is not None:
            job = with_(job, ended_at=max(job.created_at, job.ended_at - self._lag()))
        super().put(job)
        if old is None:
            self.let_go[job.id] += job.state is not State.WAITING
        elif old.state is not job.state:
            self._check(self._look_at_change, old, job)
        if not self._is_look_due:
            self._is_look_due = True
            self._loop_of.call_soon(self._look)

    def _check(self, look: Callable[..., object], *arguments: Any) -> None:
        """Tell what is wrong as a defect; raised here it would stop a transaction half way."""
        try:
            look(*arguments)
        except AssertionError:
            log.exception("an invariant broke at %.3f s", self._loop_of.time())

    def drop(self, job_id: JobId) -> None:
        """Forget a job, but not what a live run is made of."""
        if (step := self.steps.get(job_id)) is not None:
            self._check(check_droppable, job_id, self.jobs.get(step.run))
            self.robbed.add(step.run)
        self.dropped.add(job_id)
        super().drop(job_id)

    def _look_at_change(self, old: Job, job: Job) -> None:
        waited = (old.state, old.reason) == (State.WAITING, Reason.UPSTREAM)
        if waited and job.state in (State.QUEUED, State.SCHEDULED):
            self.let_go[job.id] += 1
            assert self.let_go[job.id] == 1, f"{job.id} was let go twice (I21)"
        if job.kind is not None and job.state is State.WAITING and job.reason is Reason.CHILDREN:
            self.unfolded.add(job.id)
        if job.state is State.RUNNING and job.limits is not None:
            self._check_caps(job)
        if job.state in TERMINAL and job.kind is not None:
            check_closed(self, job)
            self._ended.append(job)  # its events are not written yet

    def _check_caps(self, job: Job) -> None:
        """A run counts from its start to its end, a plain job while it runs (I28)."""
        for cap in caps_of(job):
            holders = [
                each.id
                for each in self.in_state(*LIVE)
                if cap in caps_of(each)
                and (each.state is State.RUNNING or each.id in self.unfolded)
            ]
            assert len(holders) <= cap.most, f"{len(holders)} hold {cap}: {holders} (I28)"

    def _look(self) -> None:
        self._is_look_due = False
        self._check(check_movers, self)
        ended, self._ended = self._ended, []
        for run in ended:
            self._check(self._on_end, run)


def caps_of(job: Job) -> tuple[Cap, ...]:
    """Return the caps under which a job stands."""
    return () if job.limits is None else decode_limits(job.limits).caps


def _is_cancelled(run: Job) -> bool:
    return run.kind is RunKind.WORKFLOW and run.state is State.CANCELLED


def check_droppable(job_id: JobId, run: Job | None) -> None:
    """A step is kept for as long as its run may ask for it."""
    assert run is None or run.state in TERMINAL, f"{job_id} was dropped from a live run (I1)"


def check_closed(data: WatchedData, run: Job) -> None:
    """A run that ends leaves no step behind, but what a workflow has asked to stop (I22).

    One that is cancelled ends first, and its steps are cancelled behind it.
    """
    if _is_cancelled(run):
        return
    for job_id, step in data.steps.items():
        if step.run == run.id and data.jobs[job_id].state in LIVE:
            job = data.jobs[job_id]
            is_left = run.kind is RunKind.WORKFLOW and is_stopping(data, job)
            assert is_left, f"{run.id} ({run.task}) ended before {_told(job)} (I22)"


def check_acknowledged(data: WatchedData, run: JobId) -> None:
    """Once the cancel of a workflow is acknowledged, nothing of it is left to begin (I38)."""
    if not _is_cancelled(data.jobs[run]):
        return  # it had ended before
    for job_id, step in data.steps.items():
        job = data.jobs[job_id]
        if step.run == run and job.state in LIVE:
            assert is_stopping(data, job), f"{_told(job)} is left of a cancelled run (I38)"


def is_stopping(data: WatchedData, job: Job) -> bool:
    """Tell whether a live job has been asked to stop, or is a DAG of which all steps have."""
    if job.reason is Reason.CANCEL_REQUESTED or job.kind is not RunKind.DAG:
        return job.reason is Reason.CANCEL_REQUESTED
    steps = [data.jobs[each] for each, step in data.steps.items() if step.run == job.id]
    return bool(steps) and all(step.state in TERMINAL or is_stopping(data, step) for step in steps)


def check_movers(data: WatchedData) -> None:
    """Each live row has something that moves it (I12); rules are obeyed at once (I21)."""
    for job in data.in_state(State.WAITING):
        awaited = [data.jobs[each] for each in data.awaited[job.id]]
        ends = tuple(sorted(each.state for each in awaited if each.state in TERMINAL))
        assert len(ends) < len(awaited), f"{_told(job)}: all that it awaits has ended (I12)"
        waits = data.waits.get(job.id)
        if waits is not None:
            told = decided(waits[0], ends, len(awaited) - len(ends))
            assert told is None, f"{_told(job)} by {waits[0]} of {ends}: {told} (I21)"
        else:
            bad = [end for end in ends if end is not State.SUCCEEDED]
            assert not bad, f"{_told(job)} waits in vain for {ends} (I12)"
    for job in data.in_state(State.HELD):
        assert job.held_by in data.holds, f"{_told(job)} is held by nobody (I12)"
    for job in data.in_state(State.RUNNING):
        assert job.worker in data.workers, f"{_told(job)} runs nowhere (I12)"
    for job in data.in_state(*LIVE):
        step = data.steps.get(job.id)
        run = None if step is None else data.jobs.get(step.run)
        if run is not None and run.state in TERMINAL:
            is_left = _is_cancelled(run) or is_stopping(data, job)
            assert is_left, f"{_told(job)} outlives its run (I22)"


def _told(job: Job) -> str:
    return f"{job.id} ({job.task}, {job.state}, {job.reason})"
