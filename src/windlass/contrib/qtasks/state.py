"""Which app is meant where none is named, and the tasks that every app has.

Code written for qtasks asks for a result by its id alone, and shares tasks with apps that are
made elsewhere; so this front end, unlike Windlass itself, has to remember both for the process.
"""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from windlass.errors import AppNotConnected


@dataclass(frozen=True, slots=True)
class Attempt:
    """The attempt in which code runs: of which app, and what was made for it."""

    app: Any
    injected: dict[str, Any]


@dataclass(slots=True)
class _Process:
    latest: "weakref.ref[Any] | None" = None
    apps: "weakref.WeakSet[Any]" = field(default_factory=weakref.WeakSet)
    shared: dict[str, Any] = field(default_factory=dict)


_process = _Process()
_attempt: ContextVar[Attempt] = ContextVar("windlass_qtasks_attempt")


def current_app() -> Any:
    """Return the app of the attempt that runs; elsewhere the one that was made last.

    Raises: AppNotConnected.
    """
    try:
        return _attempt.get().app
    except LookupError:
        app = _process.latest and _process.latest()
        if app is None:
            raise AppNotConnected("QueueTasks(), before its tasks are used") from None
        return app


def make_current(app: Any) -> None:
    """Take an app as the one that is meant where none is named."""
    _process.latest = weakref.ref(app)
    _process.apps.add(app)


def share(task_func: Any) -> None:
    """Give a task to every app there is, and to those that will be made."""
    _process.shared[task_func.name] = task_func
    for app in list(_process.apps):
        app.adopt_shared(task_func)


def shared_tasks() -> list[Any]:
    """Return the tasks that every app has."""
    return list(_process.shared.values())


def current_attempt() -> Attempt | None:
    """Return the attempt in which this code runs."""
    return _attempt.get(None)


@contextmanager
def within(attempt: Attempt) -> Iterator[None]:
    """Run a block as an attempt."""
    token = _attempt.set(attempt)
    try:
        yield
    finally:
        _attempt.reset(token)
