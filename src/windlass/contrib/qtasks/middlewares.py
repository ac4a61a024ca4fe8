"""The middleware of tasks: classes whose instances are called before or after a run."""

from typing import Any


class BaseMiddleware:
    """The root of middleware."""

    def __init__(self, name: str) -> None:
        self.name = name


class TaskMiddleware(BaseMiddleware):
    """Called once before or after each run of a task; ``async`` in an async app.

    task_executor: what runs the task: see ``executors.BaseTaskExecutor``.

    What a call returns, if it is true, is the executor that the next middleware is given.  What
    it raises is the task's error.
    """

    def __init__(self, task_executor: Any) -> None:
        super().__init__("TaskMiddleware")
        self.task_executor = task_executor

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what this middleware is for."""
