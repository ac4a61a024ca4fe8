"""Tasks that every app has."""

from collections.abc import Callable
from typing import Any, Literal, overload

from windlass.contrib.qtasks.definitions import defined
from windlass.contrib.qtasks.registries import AsyncTask, SyncTask
from windlass.contrib.qtasks.state import share


@overload
def shared_task(name: Callable[..., Any]) -> SyncTask: ...
@overload
def shared_task(
    name: str | None = None, *, awaiting: Literal[False] | None = None, **options: Any
) -> Callable[[Callable[..., Any]], SyncTask]: ...
@overload
def shared_task(
    name: str | None = None, *, awaiting: Literal[True], **options: Any
) -> Callable[[Callable[..., Any]], AsyncTask]: ...
def shared_task(
    name: str | Callable[..., Any] | None = None, *, awaiting: bool | None = None, **options: Any
) -> Any:
    """Make a function a task of each app there is or will be; with or without options.

    awaiting: True makes an AsyncTask, whose ``add_task`` is awaited.
    options:  see ``definitions.defined``.
    Raises:   BadTask, for a name that an app has already.
    """

    def register(function: Callable[..., Any]) -> SyncTask | AsyncTask:
        task_func = defined(function, name=None if callable(name) else name, **options)
        share(task_func)
        return AsyncTask(task_func) if awaiting else SyncTask(task_func)

    return register(name) if callable(name) else register
