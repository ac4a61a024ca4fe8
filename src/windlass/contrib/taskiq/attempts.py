"""What a worker of Windlass does around each attempt of a task."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from msgspec.structs import replace as with_

from windlass import AttemptCall, Notice, NoticeKind, Outcome, Proceed
from windlass.contrib.taskiq.exceptions import NoResultError, Requeued
from windlass.contrib.taskiq.execution import ASKED_FOR, Executed, execute, has_hook, saved
from windlass.contrib.taskiq.failures import exception_of, with_details
from windlass.contrib.taskiq.message import TaskiqMessage, counts, received
from windlass.contrib.taskiq.parsing import plain
from windlass.core.continuation import Continuation
from windlass.core.tasks import TaskSpec, outcome_told
from windlass.errors import NotEncodable, PayloadTooLarge
from windlass.model.jobs import JobId
from windlass.model.notices import ENDS
from windlass.model.outcomes import Cancelled, Failed, Snoozed, Succeeded


class Attempts:
    """Middleware and observer of a broker's app: runs taskiq's hooks, and decides on retries."""

    kinds = frozenset(ENDS)

    def __init__(self, broker: Any) -> None:
        self._broker = broker
        self._unsaved: dict[JobId, Executed] = {}
        self._saving: set[asyncio.Task[None]] = set()

    async def around(self, call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> Outcome:
        """Run one attempt."""
        task = self._broker.find_task(call.spec.name)
        if task is None:  # one that was defined on the app itself
            return await proceed(call)
        function = _Function(call, proceed)
        try:
            message = self._message(call, task)
            executed = await execute(self._broker, task, message, function.run)
        except ASKED_FOR:
            if function.outcome is None:  # a dependency, or a hook, said so
                raise
            return function.outcome
        except Exception as error:  # of a hook: the policy of the task would run it again at once
            return with_(_failed(call, error, None), retryable=False)
        is_kept = not isinstance(executed.result.error, NoResultError)
        if is_kept and has_hook(self._broker, "post_save"):
            self._unsaved[call.claim.job_id] = executed
        return _outcome(call, executed, function.outcome)

    def __call__(self, notice: Notice) -> None:
        """Take notice of the end of an attempt: its result is in the store now."""
        executed = None if notice.job_id is None else self._unsaved.pop(notice.job_id, None)
        if executed is not None and notice.kind in (NoticeKind.SUCCEEDED, NoticeKind.FAILED):
            saving = asyncio.get_running_loop().create_task(saved(self._broker, executed))
            self._saving.add(saving)
            saving.add_done_callback(self._saving.discard)

    async def finish(self) -> None:
        """Wait until all who were told of kept results have returned."""
        await asyncio.gather(*self._saving, return_exceptions=True)

    def _message(self, call: AttemptCall, task: Any) -> TaskiqMessage:
        """Return the job as a message.  Raises: BadArguments, if it does not fit the code."""
        own, context = call.spec.signature, call.context
        args, kwargs = own.decode(call.claim.payload, call.claim.fingerprint)
        timetable = self._broker.timetable
        labels, given = received(task.labels, timetable, context.headers, context.occasion)
        labels |= counts(context.failures, context.attempt)
        places = [name for name in own.names[len(args) : given] if name in kwargs]
        by_place = [*args, *(kwargs.pop(name) for name in places)]
        return TaskiqMessage(
            task_id=str(context.job_id),
            task_name=call.spec.name,
            labels=labels,
            args=by_place,
            kwargs=kwargs,
        )


class _Function:
    """The task's function, as the executor of its isolation runs it."""

    def __init__(self, call: AttemptCall, proceed: Proceed[AttemptCall, Outcome]) -> None:
        self._call = call
        self._proceed = proceed
        self._value: Any = None
        self._error: BaseException | None = None
        self.outcome: Outcome | None = None

    async def run(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Return what the function returns, or raise what it raises."""
        spec = replace(self._call.spec, function=self._bound(args, kwargs))
        self.outcome = await self._proceed(replace(self._call, spec=spec))
        if self._error is not None:
            raise self._error
        if isinstance(self.outcome, Failed):  # its result is too large, say
            raise exception_of(self.outcome.error)
        return self._value

    def _bound(self, args: list[Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
        spec = self._call.spec

        async def run_async(*_: Any, **__: Any) -> Any:
            try:
                return self._kept(spec, await spec.function(*args, **kwargs))
            except BaseException as error:
                self._error = error
                raise

        def run_plain(*_: Any, **__: Any) -> Any:
            try:
                return self._kept(spec, spec.function(*args, **kwargs))
            except BaseException as error:
                self._error = error
                raise

        return run_async if spec.is_async else run_plain

    def _kept(self, spec: TaskSpec, value: Any) -> Any:
        self._value = value
        return value if isinstance(value, Continuation) else _encodable(spec, value)


def _encodable(spec: TaskSpec, value: Any) -> Any:
    if inspect.isawaitable(value):
        why = "it is awaitable: define the task with `async def`"
        raise NotEncodable(spec.name, None, why)
    try:
        return plain(value)
    except (TypeError, ValueError) as error:
        raise NotEncodable(spec.name, None, str(error)) from error


def _outcome(call: AttemptCall, executed: Executed, outcome: Outcome | None) -> Outcome:
    """Say what becomes of the job, by the result as the hooks left it."""
    result, error = executed.result, executed.error
    if isinstance(error, Requeued):
        return Snoozed(0.0)
    if error is not None and result.again_s is not None:
        failed = _failed(call, error, outcome)
        return with_(failed, retryable=True, after_s=result.again_s)
    if isinstance(result.error, NoResultError):
        return Cancelled(str(result.error))
    if result.error is not None:
        own = outcome if result.error is error else None
        return with_(_failed(call, result.error, own), retryable=False)
    if error is None and outcome is not None and result.return_value is executed.value:
        return outcome
    try:
        return Succeeded(call.spec.result_of(_encodable(call.spec, result.return_value)))
    except (NotEncodable, PayloadTooLarge) as misfit:  # what a hook made of it
        return with_(_failed(call, misfit, None), retryable=False)


def _failed(call: AttemptCall, error: BaseException, outcome: Outcome | None) -> Failed:
    if not isinstance(outcome, Failed):  # the function never ran, or a hook had another opinion
        outcome = outcome_told(call.spec, error, call.context, skip_frames=0)
    assert isinstance(outcome, Failed)
    return with_(outcome, error=with_details(outcome.error, error))
