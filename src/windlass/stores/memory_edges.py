"""Edges of the store in memory: who waits for whom, let go or given up."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace as with_

from windlass.core.lifecycle import UPSTREAM_FAILED, encode_error, upstream_error
from windlass.core.rules import Verdict, verdict
from windlass.model.jobs import TERMINAL, Edge, Job, JobId, JobRequest, Reason, Rule, State
from windlass.model.outcomes import Transition
from windlass.model.runs import Counts
from windlass.stores.memory_rows import MemoryData


class MemoryEdges:
    """Has jobs wait for others, and tells them when those have ended."""

    def __init__(self, data: MemoryData) -> None:
        self._data = data

    def add(self, request: JobRequest, stands: Mapping[JobId, JobId], now: datetime) -> None:
        """Have a new job wait.  stands: which job stands for each that is inserted with it."""
        edges = [with_(edge, parent=stands.get(edge.parent, edge.parent)) for edge in request.after]
        self._wait(request.id, edges, request.rule, now)

    def go_on(
        self, step: Transition, job: Job, stands: Mapping[JobId, JobId], now: datetime
    ) -> None:
        """Have a job that runs wait for others, which may have been inserted with it."""
        edges = [
            with_(edge, parent=stands.get(edge.parent, edge.parent)) for edge in step.after_children
        ]
        lane = job.lane
        if job.kind is not None and lane is not None:
            self._data.begun.add(job.id)
            lane = None
        waiting: dict[str, Any] = {
            "state": State.WAITING,
            "reason": Reason.CHILDREN,
            "worker": None,
            "attempt": step.attempt,
            "failures": step.failures,
            "losses": 0,  # it came further: those before that are not held against it
            "lane": lane,
            "expires_at": None,  # it has started in time
            "upstream": 0 if step.rule else len({edge.parent for edge in edges}),
        }
        self._data.put(with_(job, **waiting))
        self._data.turns.update(step.turns)
        self._wait(job.id, edges, step.rule, now)

    def _wait(self, child: JobId, edges: Sequence[Edge], rule: Rule | None, now: datetime) -> None:
        parents = list(dict.fromkeys(edge.parent for edge in edges))
        self._data.awaited[child] = set(parents)
        self._data.waits.pop(child, None)
        if rule is not None:
            self._data.waits[child] = rule, Counts(len(parents))
        kept = self._data.edges.setdefault(child, [])
        kept += [edge for edge in edges if edge not in kept]
        for parent in parents:
            children = self._data.children.setdefault(parent, [])
            if child not in children:
                children.append(child)
            if self._data.jobs[parent].state in TERMINAL:
                self._tell(self._data.jobs[parent], [child], now)

    def advance(self, job: Job, now: datetime) -> None:
        """Let go, or give up, what waits for a job, if it has ended."""
        if job.state in TERMINAL:
            self._tell(job, self._data.children.get(job.id, ()), now)

    def _tell(self, parent: Job, children: Sequence[JobId], now: datetime) -> None:
        there = (self._data.jobs.get(child) for child in list(children))
        for child in filter(None, there):  # one that was cancelled may have been deleted since
            if parent.id not in self._data.awaited.get(child.id, ()):
                continue  # it does not wait for it any more
            if child.id in self._data.waits:
                self._count(parent, child, now)
            elif child.state is State.WAITING and child.upstream:
                if parent.state is State.SUCCEEDED:
                    self._count_down(child, now)
                else:
                    cancelled = parent.state is State.CANCELLED
                    self._give_up(parent, child, cancelled, now)

    def _count_down(self, child: Job, now: datetime) -> None:
        assert child.upstream is not None
        child = with_(child, upstream=child.upstream - 1)
        self._data.put(child)
        if not child.upstream:
            self._let_go(with_(child, due_at=max(child.due_at, now)), now)

    def _let_go(self, child: Job, now: datetime) -> None:
        is_due = child.due_at <= now
        state, reason = (State.QUEUED, None) if is_due else (State.SCHEDULED, Reason.DELAY)
        let_go = with_(child, state=state, reason=reason)
        self._data.put(let_go)
        self._data.announce(let_go)

    def _count(self, parent: Job, child: Job, now: datetime) -> None:
        rule, counts = self._data.waits[child.id]
        how = str(parent.state)
        counts = with_(counts, **{how: getattr(counts, how) + 1})
        self._data.waits[child.id] = rule, counts
        if child.state is not State.WAITING:
            return
        match verdict(rule, counts):
            case Verdict.START:
                self._let_go(child, now)
            case Verdict.FAIL | Verdict.CANCEL as decided:
                bad = State.FAILED if decided is Verdict.FAIL else State.CANCELLED
                cause = self._first(child, bad)
                self._give_up(cause, child, decided is Verdict.CANCEL, now)
            case Verdict.SKIP:
                self._end(child, State.SKIPPED, Reason.RULE, None, now)

    def _first(self, child: Job, state: State) -> Job:
        """Return the first parent of a job that has ended so."""
        parents = self._data.awaited[child.id]
        return next(
            job for job in map(self._data.jobs.get, sorted(parents)) if job and job.state is state
        )

    def _give_up(self, cause: Job, child: Job, cancelled: bool, now: datetime) -> None:
        if cause.error_type == UPSTREAM_FAILED:
            error = cause.error  # the first that went wrong is the cause of all
        else:
            told = upstream_error(cause.id, cause.task, cause.state, cause.error_type)
            error = encode_error(told)
        state = State.CANCELLED if cancelled else State.FAILED
        self._end(child, state, None if cancelled else Reason.UPSTREAM, error, now)

    def _end(
        self, child: Job, state: State, reason: Reason | None, error: bytes | None, now: datetime
    ) -> None:
        ended = with_(
            child,
            state=state,
            reason=reason,
            error=child.error if error is None else error,
            error_type=child.error_type if error is None else UPSTREAM_FAILED,
            ended_at=now,
        )
        self._data.put(ended)
        self._data.record(child, ended, now, error=error)
        self._data.announce(ended)
        self.advance(ended, now)
