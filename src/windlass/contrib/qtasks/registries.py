"""Tasks as their callers hold them, and as a task with ``echo=True`` is given itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from types import GenericAlias
from typing import Any
from uuid import UUID

from windlass.contrib.qtasks.contexts import AsyncContext, SyncContext
from windlass.contrib.qtasks.results import Task
from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.contrib.qtasks.state import current_app, current_attempt
from windlass.portal import loop_is_running


class _TaskOfApp:
    """What both kinds of task have: the options of the definition, read only."""

    def __init__(self, task_func: TaskExecSchema, app: Any, priority: int | None) -> None:
        self._task_func = task_func
        self._own_app = app
        self.task_name = task_func.name
        self.priority = task_func.priority if priority is None else priority
        self.echo = task_func.echo
        self.max_time = task_func.max_time
        self.retry = task_func.retry
        self.retry_on_exc = task_func.retry_on_exc
        self.decode = task_func.decode
        self.tags = task_func.tags
        self.description = task_func.description
        self.executor = task_func.executor
        self.middlewares_before = task_func.middlewares_before
        self.middlewares_after = task_func.middlewares_after
        self.extra = task_func.extra

    def __class_getitem__(cls, kinds: Any) -> GenericAlias:
        return GenericAlias(cls, kinds)  # an annotation such as ``SyncTask[[int], str]``

    @property
    def func(self) -> Callable[..., Any]:
        """The function itself."""
        return self._task_func.func

    @property
    def _app(self) -> Any:
        return self._own_app or current_app()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_name!r}>"


class SyncTask(_TaskOfApp):
    """A task of plain code: what the decorators make of a function.

    Called, it prepares a call (:class:`SyncTaskCls`) and runs nothing; ``func`` is the function.
    """

    def __init__(
        self,
        task_func: TaskExecSchema,
        app: Any = None,
        *,
        priority: int | None = None,
        task_uuid: UUID | None = None,
    ) -> None:
        super().__init__(task_func, app, priority)
        self.ctx = SyncContext(task_func.name, task_uuid, task_func.generate_handler, app)

    def add_task(
        self,
        *args: Any,
        priority: int | None = None,
        timeout: float | None = None,
        task_name: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Store a call of this task, or of another by its name; blocks until it is durable.

        priority: less goes first; -100 to 100.
        timeout:  without one the task is returned as it was stored; with one, as it ended, or
                  None when the time is over.
        Raises:   NotEncodable, BadOption, StoreUnavailable, ….
        """
        priority = self.priority if priority is None else priority
        name, app = task_name or self.task_name, self._app
        if current_attempt() is None or loop_is_running():
            return app.add_task(name, *args, priority=priority, timeout=timeout, **kwargs)
        # A plain function on a thread: in an async app too, where nobody could await it.
        task = app.jobs.store(name, args, kwargs, priority)
        return task if timeout is None else app.jobs.wait(task.uuid, timeout, app.log)

    def __call__(
        self,
        *args: Any,
        priority: int | None = None,
        timeout: float | None = None,
        task_name: str | None = None,
        **kwargs: Any,
    ) -> "SyncTaskCls":
        """Prepare a call, to be stored by its own ``add_task()``."""
        name = task_name or self.task_name
        prepared = SyncTaskCls(name, priority or self.priority, timeout, args, kwargs)
        prepared.bind(self)
        return prepared


class AsyncTask(_TaskOfApp):
    """A task of async code; see :class:`SyncTask`."""

    def __init__(
        self,
        task_func: TaskExecSchema,
        app: Any = None,
        *,
        priority: int | None = None,
        task_uuid: UUID | None = None,
    ) -> None:
        super().__init__(task_func, app, priority)
        self.ctx = AsyncContext(task_func.name, task_uuid, task_func.generate_handler, app)

    async def add_task(
        self,
        *args: Any,
        priority: int | None = None,
        timeout: float | None = None,
        task_name: str | None = None,
        **kwargs: Any,
    ) -> Task | None:
        """Store a call of this task, or of another by its name; see :meth:`SyncTask.add_task`."""
        priority = self.priority if priority is None else priority
        name = task_name or self.task_name
        added: Task | None = await self._app.add_task(
            name, *args, priority=priority, timeout=timeout, **kwargs
        )
        return added

    def __call__(
        self,
        *args: Any,
        priority: int | None = None,
        timeout: float | None = None,
        task_name: str | None = None,
        **kwargs: Any,
    ) -> "AsyncTaskCls":
        """Prepare a call, to be stored by its own ``add_task()``."""
        name = task_name or self.task_name
        prepared = AsyncTaskCls(name, priority or self.priority, timeout, args, kwargs)
        prepared.bind(self)
        return prepared


@dataclass
class _PreparedCall:
    task_name: str | None = None
    priority: int | None = None
    timeout: float | None = None
    args: tuple[Any, ...] = field(default_factory=tuple, compare=False)
    kwargs: dict[str, Any] = field(default_factory=dict, compare=False)

    def bind(self, task: Any) -> None:
        """Say of which task this is a call."""
        self._task = task

    def _given(self) -> dict[str, Any]:
        options = {"priority": self.priority, "timeout": self.timeout, "task_name": self.task_name}
        return {**self.kwargs, **options}


class SyncTaskCls(_PreparedCall):
    """A call that is prepared, and may be changed until it is stored."""

    def add_task(self) -> Any:
        """Store the call; see :meth:`SyncTask.add_task`."""
        return self._task.add_task(*self.args, **self._given())


class AsyncTaskCls(_PreparedCall):
    """A call that is prepared, and may be changed until it is stored."""

    async def add_task(self) -> Task | None:
        """Store the call; see :meth:`SyncTask.add_task`."""
        added: Task | None = await self._task.add_task(*self.args, **self._given())
        return added
