"""Tasks that name no app: ``@shared_task``."""

from collections.abc import Callable
from typing import Any

from windlass.contrib.celery import current
from windlass.contrib.celery.app import Celery
from windlass.contrib.celery.definitions import share
from windlass.contrib.celery.task import Task


class SharedTask:
    """Stands for the task of the current app."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name = name
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__wrapped__ = function

    @property
    def task(self) -> Task:
        """The task of the current app."""
        task: Task = current.get_app().tasks[self._name]
        return task

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        return self.task(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.task, name)

    def __repr__(self) -> str:
        return f"<@shared_task: {self._name}>"


def shared_task(*functions: Callable[..., Any], **options: Any) -> Any:
    """Make a function a task of every app; with or without options, as ``app.task`` takes them."""

    def made(function: Callable[..., Any]) -> SharedTask:
        def make(app: Any) -> Task:
            task: Task = app.task(function, **options)
            return task

        share(make)
        name = options.get("name") or f"{function.__module__}.{function.__name__}"
        return SharedTask(name, function)

    return made(*functions) if functions else made


current.set_default(lambda: Celery("default"))
