"""From a task of the front end to a task of Windlass."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import windlass
from windlass import Context, Rate, Schedule, Snooze, context
from windlass.contrib.celery.attempt import Replaced, perform
from windlass.contrib.celery.canvas import maybe_signature
from windlass.contrib.celery.exceptions import Retry, SoftTimeLimitExceeded, refuse
from windlass.contrib.celery.failures import carry_arguments
from windlass.contrib.celery.group_result import GroupResult
from windlass.contrib.celery.laying import Layout
from windlass.contrib.celery.request import Request, facts_in, own_headers_in
from windlass.contrib.celery.task_options import check_task
from windlass.contrib.celery.values import from_plain, to_plain
from windlass.core.continuation import Continuation
from windlass.core.retry import ATTEMPTS_MAX
from windlass.model.outcomes import Continued

# Each retry is asked for by a Retry with its own delay; beyond these a snooze goes on counting.
COUNTED_MAX = ATTEMPTS_MAX - 2
POLICY = windlass.Retry(ATTEMPTS_MAX, on=(), never=Exception)

_PER_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Beyond(Snooze):
    """A retry of a task that has had more than a retry policy counts."""


class Replacement(Continuation):
    """What a replaced task goes on as."""

    def __init__(self, app: Any, request: Request, sig: Any) -> None:
        whole = sig.clone()
        for errback in request.errbacks:
            whole.link_error(maybe_signature(errback, app))
        layout = Layout(app, request.root, request.id)
        result = layout.lay(whole)
        ends = layout.ends_of(result)  # it may add a job
        is_list = isinstance(result, GroupResult)
        self._continued = Continued(tuple(layout.requests), ends, is_list=is_list)

    def continued(self) -> Continued:
        """Return the jobs, and which of them give the result."""
        return self._continued


def register(task: Any, schedules: list[Schedule]) -> None:
    """Make a task known to the app's workers.  Raises: BadTask, BadOption, NotSupported."""
    check_task(task)
    conf, app = task.app.conf, task.app.windlass_registry
    time_limit = conf.task_time_limit if task.time_limit is None else task.time_limit
    time_limit = time_limit or None  # as Celery has it, 0 is no limit
    isolation = task.isolation or conf.isolation
    if time_limit is not None or task.soft_time_limit or conf.task_soft_time_limit:
        isolation = "process"  # a thread cannot be stopped
    task.isolation = isolation
    expires = task.expires
    task.windlass_task = app.task(
        name=task.name,
        queue=conf.queue_of(task.name, task),
        priority=0 if task.priority is None else conf.priority_of(task.priority),
        retry=POLICY,
        timeout=time_limit,
        expires=expires if isinstance(expires, int | float) else None,
        isolation=isolation,
        recycle_after_jobs=conf.worker_max_tasks_per_child if isolation == "process" else None,
        limits=_limits(task),
        schedule=schedules or None,
        store_result=not task.ignores_result,
        result_ttl=None if task.ignores_result else conf.result_ttl,
    )(attempt_of(task))
    task.windlass_task.upcaster(task.shape.unfold_unknown)


def _limits(task: Any) -> list[Rate]:
    rate = task.app.conf.task_default_rate_limit if task.rate_limit is None else task.rate_limit
    if not rate:
        return []
    most, _, unit = str(rate).partition("/")
    per_s = _PER_S.get(unit or "s")
    if per_s is None or not most.replace(".", "", 1).isdigit():
        refuse(f"rate_limit={rate!r}", '"10/s", "10/m" or "10/h"')
    number = float(most)
    if number == 0:
        return []
    return [Rate(int(number), per_s) if number.is_integer() else Rate(1, per_s / number)]


def attempt_of(task: Any) -> Callable[..., Any]:
    """Return the function that workers run for a task: its own, by the names of parameters."""

    def attempt(**arguments: Any) -> Any:
        request = request_in(task, context(), arguments)
        try:
            with _connections_of_django(), _softly_limited(task):
                return to_plain(perform(task, request))
        except Replaced as replaced:
            return Replacement(task.app, request, replaced.signature)
        except Retry as asked:
            carry_arguments(asked)
            if context().failures >= COUNTED_MAX:
                raise Beyond(asked.after_s or 0.0) from asked
            raise
        except Exception as error:
            carry_arguments(error)
            raise

    attempt.__module__, attempt.__doc__ = task.run.__module__, task.run.__doc__
    attempt.__name__ = attempt.__qualname__ = task.name
    attempt.__signature__ = task.shape.parameters()  # type: ignore[attr-defined]
    attempt.__annotations__ = {}
    return attempt


def request_in(task: Any, running: Context, arguments: dict[str, Any]) -> Request:
    """Return how a job's task was called; let it wait, if its time counts from here.

    Raises: Snooze.
    """
    headers = running.headers
    facts = facts_in(headers)
    if running.attempt == 1 and facts.get("countdown"):
        raise Snooze(float(facts["countdown"]))
    values = {name: from_plain(value) for name, value in arguments.items()}
    args, kwargs = task.shape.call(values, facts.get("args"))
    # Beyond what a policy counts, attempts are counted.
    counted = running.failures < COUNTED_MAX
    return Request(
        task=task.name,
        id=running.job_id,
        args=args,
        kwargs=kwargs,
        retries=facts.get("retries", 0) + (running.failures if counted else running.attempt - 1),
        root_id=facts.get("root") or running.job_id,
        parent_id=facts.get("parent"),
        group=facts.get("group"),
        called_directly=False,
        headers=own_headers_in(headers),
        delivery_info={"routing_key": running.queue},
        errbacks=facts.get("errbacks") or [],
    )


@contextmanager
def _connections_of_django() -> Iterator[None]:
    """Where Django is in use, close its connections that are broken or too old, as Celery does."""
    db = sys.modules.get("django.db")
    if db is None or not sys.modules["django.conf"].settings.configured:
        yield
        return
    db.close_old_connections()
    try:
        yield
    finally:
        db.close_old_connections()


@contextmanager
def _softly_limited(task: Any) -> Iterator[None]:
    """Raise SoftTimeLimitExceeded in the task's code when its soft limit is over.

    Its code runs on the main thread of a child process: ``register`` sees to that.
    """
    default = task.app.conf.task_soft_time_limit
    limit_s = default if task.soft_time_limit is None else task.soft_time_limit
    if not limit_s:
        yield
        return

    def exceed(number: int, frame: FrameType | None) -> None:
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGALRM, exceed)
    signal.setitimer(signal.ITIMER_REAL, float(limit_s))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
