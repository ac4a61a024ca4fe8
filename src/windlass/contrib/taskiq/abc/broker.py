"""Brokers: what they have in common, wherever their tasks run."""

import os
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ParamSpec, Self, TypeVar, overload
from uuid import uuid4

from windlass.contrib.taskiq.abc.result_backend import AsyncResultBackend
from windlass.contrib.taskiq.decor import AsyncTaskiqDecoratedTask
from windlass.contrib.taskiq.exceptions import PACKAGE, refuse
from windlass.contrib.taskiq.lifecycle import Lifecycle
from windlass.contrib.taskiq.message import Entry, TaskiqMessage

P = ParamSpec("P")
R = TypeVar("R")
Decorated = AsyncTaskiqDecoratedTask[P, R]
AnyDecorated = AsyncTaskiqDecoratedTask[Any, Any]

# Tasks of ``async_shared_broker``, which any broker may send and run.
shared_tasks: dict[str, AnyDecorated] = {}


class AsyncBroker(Lifecycle):
    """A registry of tasks, and the way on which they are sent."""

    decorator_class: type[AnyDecorated] = AsyncTaskiqDecoratedTask

    def __init__(
        self, result_backend: AsyncResultBackend, make_id: Callable[[], str] | None = None
    ) -> None:
        super().__init__()
        self.local_task_registry: dict[str, AnyDecorated] = {}
        self.timetable: dict[str, Entry] = {}
        self._make_id = make_id
        self.with_result_backend(result_backend)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.__module__.startswith(PACKAGE):
            refuse("a broker of your own", "jobs are in a store: SQLite or PostgreSQL")

    # -- tasks ---------------------------------------------------------------

    @overload
    def task(self, task_name: Callable[P, R], **labels: Any) -> Decorated[P, R]: ...
    @overload
    def task(
        self, task_name: str | None = None, **labels: Any
    ) -> Callable[[Callable[P, R]], Decorated[P, R]]: ...
    def task(self, task_name: Any = None, **labels: Any) -> Any:
        """Make a function a task, with or without a name and labels of its own.

        Raises: BadTask, for a name that is taken; NotSupported; BadTrigger, BadOption.
        """

        def decorate(function: Callable[..., Any]) -> AnyDecorated:
            name = task_name if isinstance(task_name, str) else default_name(function)
            task = self.decorator_class(self, name, function, labels)
            self.adopt(task)
            return task

        return decorate(task_name) if callable(task_name) else decorate

    def register_task(
        self, func: Callable[P, R], task_name: str | None = None, **labels: Any
    ) -> Decorated[P, R]:
        """Make a function a task, as ``task`` does."""
        return self.task(task_name, **labels)(func)

    def adopt(self, task: AnyDecorated) -> None:
        """Take in a task.  Raises: BadTask, for a name that is taken."""
        self.local_task_registry[task.task_name] = task

    def find_task(self, task_name: str) -> AnyDecorated | None:
        """Return a task of this broker, or a shared one; None, where there is none."""
        return self.local_task_registry.get(task_name) or shared_tasks.get(task_name)

    def get_all_tasks(self) -> Mapping[str, AnyDecorated]:
        """Return the tasks of this broker, and the shared ones."""
        return {**shared_tasks, **self.local_task_registry}

    # -- sending -------------------------------------------------------------

    @abstractmethod
    async def kick(self, message: TaskiqMessage, run_at: datetime | None = None) -> None:
        """Send a message, to be run now or at an instant."""

    @abstractmethod
    def id_generator(self) -> str:
        """Return the id of a task to be."""

    def new_message(self, task_name: str, task_id: str | None, **facts: Any) -> TaskiqMessage:
        """Return a message of this id, or of one that is made for it."""
        own_id = None
        if task_id is None and self._make_id is not None:
            task_id = self._make_id()
        if task_id is None:
            task_id = own_id = self.id_generator()
        return TaskiqMessage(task_id=task_id, own_id=own_id, task_name=task_name, **facts)

    # -- how it is made ------------------------------------------------------

    def with_result_backend(self, result_backend: AsyncResultBackend) -> Self:
        """Have results kept as a result backend says; return the broker.

        Raises: NotSupported, for one that is not of this package, and one that comes too late.
        """
        if not isinstance(result_backend, AsyncResultBackend):
            refuse(f"the result backend {result_backend!r}", "RedisAsyncResultBackend from here")
        if result_backend.result_ttl_s is not None and self.local_task_registry:
            refuse("a result backend behind the tasks", "name it where the broker is made")
        result_backend.bind(self)
        self.result_backend = result_backend
        return self

    def with_id_generator(self, task_id_generator: Callable[[], str]) -> Self:
        """Have tasks get ids of your making; return the broker."""
        self._make_id = task_id_generator
        return self

    def with_serializer(self, serializer: Any) -> Self:
        """Refuse.  Raises: NotSupported."""
        refuse("with_serializer", "the setting `serializer` says how jobs are stored")

    def with_formatter(self, formatter: Any) -> Self:
        """Refuse.  Raises: NotSupported."""
        refuse("with_formatter", "a payload is the arguments by their names, as JSON")


def default_name(function: Callable[..., Any]) -> str:
    """Return the name of a task that has none: ``module:function``."""
    module, name = function.__module__, function.__name__
    if module == "__main__":
        path = os.path.normpath(sys.argv[0]).removesuffix(".py")
        module = ".".join(path.split(os.path.sep))
    return f"{module}:lambda_{uuid4().hex}" if name == "<lambda>" else f"{module}:{name}"
