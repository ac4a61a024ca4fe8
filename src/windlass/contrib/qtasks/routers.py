"""Routers: tasks of a module that knows no app."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

from windlass.contrib.qtasks.definitions import defined
from windlass.contrib.qtasks.refusals import HOOKS, refused
from windlass.contrib.qtasks.registries import AsyncTask, SyncTask
from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.errors import BadTask

T = TypeVar("T", SyncTask, AsyncTask)


class _Router(Generic[T]):
    """Tasks by name; an app that includes it gets those too which are defined later."""

    _kind: Callable[[TaskExecSchema], T]

    def __init__(self) -> None:
        self.tasks: dict[str, TaskExecSchema] = {}
        self._apps: list[Any] = []

    add_plugin = refused("router.add_plugin()", HOOKS)

    @overload
    def task(self, name: Callable[..., Any]) -> T: ...
    @overload
    def task(
        self, name: str | None = None, **options: Any
    ) -> Callable[[Callable[..., Any]], T]: ...
    def task(self, name: str | Callable[..., Any] | None = None, **options: Any) -> Any:
        """Make a task of a function; with or without options.

        options: see ``definitions.defined``.
        Raises:  BadTask, for a name that is taken; what an app raises that has included it.
        """

        def register(function: Callable[..., Any]) -> T:
            task_func = defined(function, name=None if callable(name) else name, **options)
            if task_func.name in self.tasks:
                raise BadTask(task_func.name, "the router has a task of this name already")
            for app in self._apps:
                app.adopt(task_func)
            self.tasks[task_func.name] = task_func
            return self._kind(task_func)

        return register(name) if callable(name) else register

    def join(self, app: Any) -> None:
        """Give all tasks, now and later, to an app.  For ``include_router``."""
        if app in self._apps:
            return
        for task_func in self.tasks.values():
            app.adopt(task_func)
        self._apps.append(app)


class SyncRouter(_Router[SyncTask]):
    """Plain tasks that are defined before, or far from, their app."""

    _kind = SyncTask


class AsyncRouter(_Router[AsyncTask]):
    """Async tasks that are defined before, or far from, their app."""

    _kind = AsyncTask
