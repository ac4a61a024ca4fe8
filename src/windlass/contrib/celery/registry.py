"""The tasks of an app by name, and functions that are called on the way to them."""

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

from windlass.contrib.celery.exceptions import NotRegistered
from windlass.contrib.celery.task import Task


class Tasks(MutableMapping[str, Task]):
    """The tasks of an app by name."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}

    def __getitem__(self, name: str) -> Task:
        try:
            return self._tasks[name]
        except KeyError:
            raise NotRegistered(name) from None

    def __setitem__(self, name: str, task: Task) -> None:
        self._tasks[name] = task

    def __delitem__(self, name: str) -> None:
        del self._tasks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tasks)

    def __len__(self) -> int:
        return len(self._tasks)


class Hook:
    """Functions to call once: ``@app.on_after_configure.connect``."""

    def __init__(self) -> None:
        self._functions: list[Callable[..., Any]] = []

    def connect(self, *functions: Callable[..., Any], **options: Any) -> Any:
        """Add a function; may stand as a decorator, with or without parentheses."""
        if not functions:
            return self.connect
        self._functions += functions
        return functions[0]

    def send(self, sender: Any) -> None:
        """Call them all."""
        while self._functions:
            self._functions.pop(0)(sender)
