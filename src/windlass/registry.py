"""The registry of tasks: what an app and a router have in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, overload

from windlass.core.budget import budget_of
from windlass.core.dependencies import needs_of
from windlass.core.limits import Batch, Limit, check_limits
from windlass.core.middleware import AttemptMiddleware, EnqueueMiddleware, check_middleware
from windlass.core.names import check_name, nearest
from windlass.core.once import OnceRule, check_once
from windlass.core.replay import TIMER
from windlass.core.retry import Delay, Retry, seconds_of
from windlass.core.schedules import Schedule, check_schedules
from windlass.core.signature import Signature
from windlass.core.sizes import Size
from windlass.core.tasks import (
    TaskSpec,
    check_format,
    check_options,
    check_priority,
    check_results,
    check_retry,
    isolation_of,
)
from windlass.dags import Dag, DagDecorator, dag_spec
from windlass.errors import BadTask, TaskNotFound
from windlass.handles import Enqueuer
from windlass.model.jobs import RunKind
from windlass.model.triggers import Trigger
from windlass.tasks import AnyTask, Task, TaskDecorator, TaskFunction
from windlass.workflows import Workflow, WorkflowDecorator, workflow_spec

RUN_OPTIONS = (
    "name",
    "queue",
    "priority",
    "expires",
    "serializer",
    "around_enqueue",
    "limits",
    "once",
    "schedule",
    "result_ttl",
    "store_result",
)

TASK_OPTIONS = (
    "name",
    "queue",
    "priority",
    "retry",
    "timeout",
    "expires",
    "isolation",
    "serializer",
    "memory_limit",
    "cpu_limit",
    "recycle_after_jobs",
    "around_attempt",
    "around_enqueue",
    "limits",
    "once",
    "schedule",
    "result_ttl",
    "store_result",
)

# What users hold of a definition, by what its jobs are runs of.
HELD_AS: Mapping[RunKind | None, type[AnyTask]] = {
    None: Task,
    RunKind.DAG: Dag,
    RunKind.WORKFLOW: Workflow,
}

P = ParamSpec("P")
R = TypeVar("R")
AM = TypeVar("AM", bound=AttemptMiddleware)
EM = TypeVar("EM", bound=EnqueueMiddleware)


class Registry(ABC):
    """Tasks by name, and the middleware around all of them.

    queue: where the jobs of tasks wait that name no queue of their own.
    """

    def __init__(self, queue: str = "default") -> None:
        self._queue = check_name("queue", queue)
        self._tasks: dict[str, AnyTask] = {}
        self._specs: dict[str, TaskSpec] = {}
        self._around_attempt: list[AttemptMiddleware] = []
        self._around_enqueue: list[EnqueueMiddleware] = []

    @property
    def specs(self) -> Mapping[str, TaskSpec]:
        """The definitions of the tasks, by name."""
        return MappingProxyType(self._specs)

    @property
    def dags(self) -> "tuple[Dag[Any, Any], ...]":
        """The DAGs, by name."""
        named = sorted(self._tasks.items())
        return tuple(task for _, task in named if isinstance(task, Dag))

    @overload
    def task(
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> "Task[P, Coroutine[Any, Any, R], R]": ...
    @overload
    def task(self, function: Callable[P, R], /) -> Task[P, R, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        retry: Retry | None = None,
        timeout: Delay | None = None,
        expires: Delay | None = None,
        isolation: str | None = None,
        serializer: str | None = None,
        memory_limit: Size | None = None,
        cpu_limit: Delay | None = None,
        recycle_after_jobs: int | None = None,
        around_attempt: Sequence[AttemptMiddleware] = (),
        around_enqueue: Sequence[EnqueueMiddleware] = (),
        limits: Sequence[Limit] = (),
        once: OnceRule | None = None,
        schedule: Trigger | Schedule | Sequence[Trigger | Schedule] | None = None,
        result_ttl: Delay | None = None,
        store_result: bool = True,
    ) -> TaskDecorator: ...
    def task(self, *functions: TaskFunction, **options: Any) -> Any:
        """Register a function as a task; with or without options.

        name:      ``module.function`` by default; what workers look up.
        queue:     the line in which its jobs wait; "default", or what the router says.
        priority:  -100 to 100, higher first.
        retry:     a policy; without one a task has a single attempt.
        timeout:   limit of one attempt.  A plain function needs ``isolation="process"``.
        expires:   after this long in the queue a job does not start any more.
        isolation: "process" runs each attempt in a warm child which can be killed.
        serializer: the format of its arguments and results; the setting ``serializer`` says
                   which where it is None.  "pickle" needs the setting ``pickle_key``.
        memory_limit, cpu_limit: bytes (or "512MB") and seconds of CPU which an attempt may use,
                   and recycle_after_jobs: attempts which a child serves.  With "process" only.
        around_attempt, around_enqueue: middleware of this task, inside that of the app.
        limits:    how many of its jobs may run, or start, and whose turn it is; all hold.
        once:      how repeated calls become one job: a Unique, a Debounce or a Throttle.
        schedule:  when it is to be started by itself: a trigger, a Schedule, or several.
        result_ttl: how long a result is kept after the end; by default as long as the job.
        store_result: False keeps no result at all: who waits gets None.
        Raises:    BadTask, BadOption, BadMiddleware, UnknownSerializer.
        """
        check_options(options, TASK_OPTIONS)

        def register(function: TaskFunction) -> AnyTask:
            return self._register(self._spec(function, **options))

        return register(*functions) if functions else register

    @overload
    def dag(self, function: Callable[P, R], /) -> Dag[P, R]: ...
    @overload
    def dag(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        expires: Delay | None = None,
        serializer: str | None = None,
        around_enqueue: Sequence[EnqueueMiddleware] = (),
        limits: Sequence[Limit] = (),
        once: OnceRule | None = None,
        schedule: Trigger | Schedule | Sequence[Trigger | Schedule] | None = None,
        result_ttl: Delay | None = None,
        store_result: bool = True,
    ) -> DagDecorator: ...
    def dag(self, *functions: TaskFunction, **options: Any) -> Any:
        """Register a function that declares a DAG; with or without options.

        The function is called once, before the first run.  Its calls of tasks are the steps, and
        what they return stands for their results: passed to another call it makes an edge.  What
        the function returns is the result of a run.  Its parameters are those of each run.
        limits: how many runs may be under way; a run counts until it has ended.
        Others: as for ``task``.  Retries, time limits and the like are options of the steps' tasks.
        Raises: BadDag, BadTask, BadOption, BadMiddleware, UnknownSerializer.
        """
        check_options(options, RUN_OPTIONS)

        def register(function: TaskFunction) -> AnyTask:
            return self._register(dag_spec(self._run_spec(function, **options)))

        return register(*functions) if functions else register

    @overload
    def workflow(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def workflow(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        expires: Delay | None = None,
        serializer: str | None = None,
        around_enqueue: Sequence[EnqueueMiddleware] = (),
        limits: Sequence[Limit] = (),
        once: OnceRule | None = None,
        schedule: Trigger | Schedule | Sequence[Trigger | Schedule] | None = None,
        result_ttl: Delay | None = None,
        store_result: bool = True,
    ) -> WorkflowDecorator: ...
    def workflow(self, *functions: TaskFunction, **options: Any) -> Any:
        """Register an async function as a durable workflow; with or without options.

        What it awaits of tasks, DAGs and workflows are steps: jobs of their own, each made once.
        It may sleep, for weeks too, gather, and set timeouts, with asyncio's own means. Its code
        between the steps runs again each time it goes on; whatever it asks of the world outside
        is work for a task.
        limits: how many runs may be under way; a run counts until it has ended.
        Others: as for ``task``.
        Raises: BadTask, BadOption, BadMiddleware, UnknownSerializer.
        """
        check_options(options, RUN_OPTIONS)

        def register(function: TaskFunction) -> AnyTask:
            return self._register(
                workflow_spec(self._run_spec(function, **options), self._enqueuer())
            )

        return register(*functions) if functions else register

    def task_named(self, name: str) -> AnyTask:
        """Return a registered task.  Raises: TaskNotFound."""
        try:
            return self._tasks[name]
        except KeyError:
            raise TaskNotFound(name, nearest(name, self._tasks)) from None

    def _spec(
        self,
        function: TaskFunction,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: int = 0,
        retry: Retry | None = None,
        timeout: Delay | None = None,
        expires: Delay | None = None,
        isolation: str | None = None,
        serializer: str | None = None,
        memory_limit: Size | None = None,
        cpu_limit: Delay | None = None,
        recycle_after_jobs: int | None = None,
        around_attempt: Sequence[AttemptMiddleware] = (),
        around_enqueue: Sequence[EnqueueMiddleware] = (),
        limits: Sequence[Limit] = (),
        once: OnceRule | None = None,
        schedule: Trigger | Schedule | Sequence[Trigger | Schedule] | None = None,
        result_ttl: Delay | None = None,
        store_result: bool = True,
    ) -> TaskSpec:
        task_name = check_name("name", name or f"{function.__module__}.{function.__qualname__}")
        timeout_s = None if timeout is None else seconds_of("timeout", timeout)
        runs_in = isolation_of(task_name, function, isolation, timeout_s)
        stores_result, result_ttl_s = check_results(store_result, result_ttl)
        needs = needs_of(task_name, function, runs_in)
        signature = Signature(
            task_name,
            function,
            needs.names if needs else (),
            serializer=check_format(serializer),
        )
        budget = budget_of(task_name, isolation, memory_limit, cpu_limit, recycle_after_jobs)
        if any(isinstance(limit, Batch) for limit in limits) and signature.sole_list is None:
            raise BadTask(task_name, "a Batch needs one parameter, which is a list[…]")
        return TaskSpec(
            name=task_name,
            function=function,
            signature=signature,
            isolation=runs_in,
            is_async=asyncio.iscoroutinefunction(function),
            queue=self._queue if queue is None else check_name("queue", queue),
            priority=check_priority(priority),
            retry=check_retry(retry),
            timeout_s=timeout_s,
            expires_s=None if expires is None else seconds_of("expires", expires),
            memory_limit_bytes=budget.memory_bytes,
            cpu_limit_s=budget.cpu_s,
            recycle_after_jobs=budget.jobs,
            around_attempt=tuple(map(check_middleware, around_attempt)),
            around_enqueue=tuple(map(check_middleware, around_enqueue)),
            lanes=check_limits(task_name, limits, signature.names),
            once=check_once(task_name, once, signature.names),
            needs=needs,
            schedules=check_schedules(schedule),
            stores_result=stores_result,
            result_ttl_s=result_ttl_s,
        )

    def _run_spec(self, function: TaskFunction, **options: Any) -> TaskSpec:
        """Return the definition of what a run calls.  Raises: as ``_spec``."""
        spec = self._spec(function, **options)
        if spec.lanes is not None and spec.lanes.is_batch:
            raise BadTask(spec.name, "a Batch is for tasks: runs cannot run together in one call")
        return spec

    @abstractmethod
    def _enqueuer(self) -> Enqueuer:
        """Return what stores the jobs of its tasks."""

    def _register(self, spec: TaskSpec) -> AnyTask:
        task: AnyTask = HELD_AS[spec.kind](self._enqueuer(), spec)
        self.adopt(spec, task)
        return task

    @abstractmethod
    def adopt(self, spec: TaskSpec, task: AnyTask) -> None:
        """Take in a task under its name.  Raises: BadTask."""

    def _enter(self, spec: TaskSpec, task: AnyTask) -> None:
        if spec.name == TIMER:
            raise BadTask(spec.name, "this name is that of the sleeps of workflows; pass name=…")
        if spec.name in self._tasks:
            raise BadTask(spec.name, "a task of this name is already registered; pass name=…")
        self._specs[spec.name] = spec
        self._tasks[spec.name] = task

    def around_attempt(self, middleware: AM) -> AM:
        """Run a middleware around each attempt of every task; may stand as a decorator.

        ``async def (call: AttemptCall, proceed) -> Outcome``, or a generator ``def (call)``
        which yields once.  Those registered first stand outermost.  What one raises is the
        attempt's failure, under the task's retry policy, even after the function returned.
        Raises: BadMiddleware.
        """
        self._around_attempt.append(self._admitted(middleware))
        return middleware

    def around_enqueue(self, middleware: EM) -> EM:
        """Run a middleware around each enqueue, once for a whole batch; may be a decorator.

        ``async def (call: EnqueueCall, proceed) -> Sequence[JobId]``, or a generator ``def
        (call)`` which yields once.  What one raises, the enqueuer gets; nothing is stored
        unless it had proceeded.  Blocking calls run it on the app's own event loop.
        Raises: BadMiddleware.
        """
        self._around_enqueue.append(self._admitted(middleware))
        return middleware

    def _admitted(self, middleware: Any) -> Any:
        """Return a middleware that may be registered here.  Raises: BadMiddleware."""
        return check_middleware(middleware)
