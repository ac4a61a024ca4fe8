"""Durable workflows as users hold them: async functions that go on where they were.

``now``, ``random`` and ``uuid4`` are, within a workflow, the same in each of its attempts; in
plain code they are the clock's and chance's own.
"""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any, Generic, Never, ParamSpec, Protocol, TypeVar
from uuid import UUID

from windlass.core import replay
from windlass.core.context import context
from windlass.core.continuation import Continuation
from windlass.core.replay import (
    TIMER,
    Ending,
    Raised,
    Recorded,
    Replay,
    StepEnd,
    Suspended,
)
from windlass.core.retry import Cancel, Retry, Snooze
from windlass.core.signature import Signature
from windlass.core.steps import as_step
from windlass.core.tasks import TaskSpec
from windlass.errors import BadTask, JobCancelled, RefusedInWorkflow, WorkflowDiverged
from windlass.handles import Enqueuer, raise_unless_succeeded
from windlass.model.jobs import PRIORITY_MAX, Finished, JobId, JobRequest, Rule, RunKind
from windlass.model.outcomes import Continued
from windlass.model.runs import RecordedStep
from windlass.stepping import StepOptions, Steppable, calls_are_steps, stepping
from windlass.tasks import Task

P = ParamSpec("P")
R = TypeVar("R")

__all__ = ["Workflow", "WorkflowDecorator", "now", "random", "uuid4", "workflow_spec"]

log = logging.getLogger("windlass.workflows")


def now() -> datetime:
    """Return the instant which it is in the workflow that runs; aware, in UTC.

    It is that at which the step ended which let it go on; before the first, that at which the
    run was enqueued.
    """
    attempt = replay.current()
    return datetime.now(UTC) if attempt is None else attempt.now


def random() -> Random:
    """Return random numbers, which are the same in each attempt of a workflow."""
    attempt = replay.current()
    return Random() if attempt is None else attempt.random  # no secrets


def uuid4() -> UUID:
    """Return a random UUID, which is the same in each attempt of a workflow."""
    return UUID(int=random().getrandbits(128), version=4)


class Suspension(Continuation):
    """What an attempt returns that can go no further: its run waits for steps.

    cancels: steps that nobody waits for any more.
    """

    def __init__(
        self,
        new: Iterable[JobRequest],
        pending: Sequence[JobId],
        cancels: Sequence[JobId],
        rule: Rule,
        turns: Mapping[JobId, int],
    ) -> None:
        headers = context().headers
        requests = tuple(as_step(request, headers) for request in new)
        self._continued = Continued(
            requests,
            (),
            waits=tuple(pending),
            rule=rule,
            cancels=tuple(cancels),
            turns=tuple(turns.items()),
        )

    def continued(self) -> Continued:
        """Return the new steps, and all that the run waits for."""
        return self._continued


class Runner:
    """What an attempt of a run calls: it runs the function over the steps that are recorded."""

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, Any]], enqueuer: Enqueuer
    ) -> None:
        self.function = function
        self._enqueuer = enqueuer
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        current = context()
        history = current.history
        assert history is not None, "the worker brings it"
        journal = [_recorded(each) for each in history.steps]

        def new_timer(due_at: datetime) -> JobRequest:
            # By the store's clock: the workflow's stands where its last step ended, which may
            # be long ago.
            return self._new_timer((due_at - attempt.now).total_seconds())

        attempt = Replay(current.job_id, history.started_at, journal, new_timer)
        with calls_are_steps(_StepsOfWorkflow()):
            ending = attempt.run(lambda: self.function(*args, **kwargs))
        return _returned(current.job_id, ending)

    def _new_timer(self, delay_s: float) -> JobRequest:
        return JobRequest(
            id=self._enqueuer.new_job_id(),
            task=TIMER,
            queue=context().queue,
            payload=b"{}",
            priority=PRIORITY_MAX,  # it does nothing: nobody waits for it, and it for nobody
            delay_s=max(delay_s, 0.0),
        )


def _recorded(each: RecordedStep) -> Recorded:
    step, finished = each.step, each.finished
    ended = None
    if finished is not None:
        assert step.ended_at is not None
        ended = StepEnd(step.ended_at, lambda: finished, step.turn)
    return Recorded(step.name, step.nth, step.print, step.job_id, ended)


def _returned(run: JobId, ending: Ending[Any]) -> Any:
    """Return what an attempt's function would, or raise what it would.

    Raises: WorkflowDiverged, where a step that was made is not asked for any more.
    """
    if ending.unreached:
        first = ending.unreached[0]
        raise WorkflowDiverged(run, first.name, first.nth, first.print, "")
    if isinstance(ending, Suspended):
        facts = ending.pending, ending.abandoned, Rule.ONE_DONE, ending.turns
        return Suspension(ending.new, *facts)
    for error in ending.unhandled:
        log.warning("workflow %s: nobody looked at %r", run, error)
    if ending.abandoned:  # no step outlives its run
        facts = ending.abandoned, ending.abandoned, Rule.ALL_DONE, ending.turns
        return Suspension((), *facts)
    if not isinstance(ending, Raised):
        return ending.value
    if isinstance(ending.error, Snooze | Retry):  # each replay would come to it again
        feature = f"raise {type(ending.error).__name__}"
        raise RefusedInWorkflow(
            feature, "a task may; here, await asyncio.sleep()"
        ) from ending.error
    if _is_cancel(ending.error):
        raise Cancel(str(ending.error)) from ending.error
    raise ending.error


def _is_cancel(error: BaseException) -> bool:
    """Tell whether a function raised only because steps of it were cancelled."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_cancel, error.exceptions))
    return isinstance(error, asyncio.CancelledError | JobCancelled)


class _StepsOfWorkflow:
    """Makes a call of a task, in a workflow, a step to be awaited."""

    is_awaited = True

    def call(
        self,
        task: Steppable,
        options: StepOptions,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Return the step.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadLimitKey, BadComposition.
        """
        request = task.prepare_whole_step(*args, **kwargs)
        form = task.spec.signature.form(args, kwargs, request.payload)
        return replay.step(request, functools.partial(_value, task), form)

    def refuse_store(self) -> Never:
        """Refuse an enqueue, or whatever else is asked of the store: each replay would do it."""
        raise RefusedInWorkflow(
            "the store (to enqueue, or to look at jobs)",
            "await the task, which makes a step of it; do all else in a task, and await that",
        )


def _value(task: Steppable, finished: Finished) -> Any:
    raise_unless_succeeded(finished)
    return task.spec.signature.decode_result(finished.result)


class Workflow(Task[P, Coroutine[Any, Any, R], R], Generic[P, R]):
    """A durable function under a name: each of its jobs is a run.

    What it awaits of tasks are steps: jobs of their own, each made once. After a crash, or when
    it has waited, the function runs again from its start, and steps that have ended return at
    once. It is enqueued, scheduled and backfilled as a task is.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function here and now, as plain code; in a run, make its run a step."""
        if stepping() is not None:
            return super().__call__(*args, **kwargs)
        assert isinstance(self.spec.function, Runner)
        return self.spec.function.function(*args, **kwargs)


class WorkflowDecorator(Protocol):
    """What ``@app.workflow(...)`` makes: it turns a function into a workflow of the same type."""

    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]:
        """Register the function."""
        ...


def workflow_spec(spec: TaskSpec, enqueuer: Enqueuer) -> TaskSpec:
    """Return the definition of a workflow, of that of its function.  Raises: BadTask."""
    if not spec.is_async:
        raise BadTask(spec.name, "the function of a workflow is async: it awaits its steps")
    if spec.needs is not None:
        raise BadTask(spec.name, "a workflow has no dependencies; those of its steps' tasks do")
    runner = Runner(spec.function, enqueuer)
    kind = RunKind.WORKFLOW
    return replace(spec, function=runner, kind=kind, is_async=False, isolation="thread")


async def _timer() -> None:
    """Do nothing: a timer's job has only to start at its time."""


TIMER_SPEC = TaskSpec(
    name=TIMER,
    function=_timer,
    signature=Signature(TIMER, _timer),
    isolation="loop",
    is_async=True,
)
