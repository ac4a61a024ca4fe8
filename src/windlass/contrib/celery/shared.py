"""Tasks that name no app: ``@shared_task``."""

from collections.abc import Callable
from typing import Any, overload

from windlass.contrib.celery import current
from windlass.contrib.celery.app import Celery
from windlass.contrib.celery.definitions import share
from windlass.contrib.celery.task import Task
from windlass.contrib.celery.task_options import default_name


class SharedTask:
    """Stands for the task of the current app."""

    def __init__(self, name: str | None, function: Callable[..., Any]) -> None:
        self._name, self._function = name, function
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    @property
    def task(self) -> Task:
        """The task of the current app."""
        app = current.get_app()
        task: Task = app.tasks[self._name or default_name(app, self._function)]
        return task

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        return self.task(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def __repr__(self) -> str:
        return f"<@shared_task: {self._name or self._function.__name__}>"


@overload
def shared_task(function: Callable[..., Any], /, **options: Any) -> SharedTask: ...
@overload
def shared_task(**options: Any) -> Callable[[Callable[..., Any]], SharedTask]: ...
def shared_task(*functions: Callable[..., Any], **options: Any) -> Any:
    """Make a function a task of every app; with or without options, as ``app.task`` takes them."""

    def made(function: Callable[..., Any]) -> SharedTask:
        def make(app: Any) -> Task:
            task: Task = app.task(function, **options)
            return task

        share(make)
        return SharedTask(options.get("name"), function)

    return made(*functions) if functions else made


current.set_default(lambda: Celery("default"))
