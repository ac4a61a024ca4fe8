"""What is known of a task: as it was defined, and as a worker was given it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from windlass.contrib.qtasks.results import Task

__all__ = ["Task", "TaskExecSchema", "TaskPrioritySchema"]


@dataclass
class TaskExecSchema:
    """A task as it was defined.

    priority:   less goes first.   generating: "async", "sync" or False.
    extra:      options that only the user's own code knows.
    """

    priority: int
    name: str
    func: Callable[..., Any]
    awaiting: bool = False
    generating: str | bool = False
    echo: bool = False
    max_time: float | None = None
    retry: int | None = None
    retry_on_exc: list[type[Exception]] | None = None
    decode: Callable[..., Any] | None = None
    tags: list[str] | None = None
    description: str | None = None
    generate_handler: Callable[..., Any] | None = None
    executor: type[Any] | None = None
    middlewares_before: list[type[Any]] = field(default_factory=list)
    middlewares_after: list[type[Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def is_async(self) -> bool:
        """Whether only an event loop can run it."""
        return self.awaiting or self.generating == "async"

    def add_middlewares_before(self, middlewares: list[type[Any]]) -> None:
        """Run more middleware before this task."""
        self.middlewares_before.extend(middlewares)

    def add_middlewares_after(self, middlewares: list[type[Any]]) -> None:
        """Run more middleware after this task."""
        self.middlewares_after.extend(middlewares)


@dataclass(order=True)
class TaskPrioritySchema:
    """A task as a worker was given it; instants in seconds since 1970."""

    priority: int
    uuid: UUID = field(compare=False)
    name: str = field(compare=False)
    args: list[Any] = field(default_factory=list, compare=False)
    kwargs: dict[str, Any] = field(default_factory=dict, compare=False)
    created_at: float = field(default=0.0, compare=False)
    updated_at: float = field(default=0.0, compare=False)
