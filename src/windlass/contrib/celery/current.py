"""Which app is the current one, and which tasks run here: what Celery keeps for a whole process.

``shared_task`` and ``signature("name")`` name no app, so they ask here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from windlass.contrib.celery.request import Request

Frame = tuple[Any, Request]  # a task and what it was called with

_app: list[Any] = []  # the current app; empty before there is one
_make_default: list[Callable[[], Any]] = []
_frames: ContextVar[tuple[Frame, ...]] = ContextVar("windlass_celery_frames", default=())


def set_app(app: Any) -> None:
    """Make an app the current one."""
    _app[:] = [app]


def set_default(make: Callable[[], Any]) -> None:
    """Say how an app is made where one is asked for before there is any."""
    _make_default[:] = [make]


def get_app() -> Any:
    """Return the current app: the last one made, or a default one."""
    if not _app:
        _app.append(_make_default[0]())
    return _app[0]


@contextmanager
def running(task: Any, request: Request) -> Iterator[None]:
    """Have a task run, for as long as a block does, in this thread."""
    token = _frames.set((*_frames.get(), (task, request)))
    try:
        yield
    finally:
        _frames.reset(token)


def request_of(task: Any) -> Request:
    """Return what a task was called with; one of its own where it does not run."""
    for running_task, request in reversed(_frames.get()):
        if running_task is task:
            return request
    return Request(task=task.name)


def innermost() -> Frame | None:
    """Return the task that runs here, and what it was called with; None outside of tasks."""
    frames = _frames.get()
    return frames[-1] if frames else None


def worker_frame() -> Frame | None:
    """Return the task of the job that runs here, and its request; None outside of jobs."""
    for task, request in reversed(_frames.get()):
        if not request.called_directly and not request.is_eager:
            return task, request
    return None


class CurrentApp:
    """Stands for whatever app is the current one."""

    def __getattr__(self, name: str) -> Any:
        return getattr(get_app(), name)

    def __repr__(self) -> str:
        return repr(get_app())


class CurrentTask:
    """Stands for the task that runs here; false where none does."""

    def __getattr__(self, name: str) -> Any:
        frame = innermost()
        if frame is None:
            raise AttributeError(f"no task runs here, so there is no {name!r} of it")
        return getattr(frame[0], name)

    def __bool__(self) -> bool:
        return innermost() is not None

    def __repr__(self) -> str:
        frame = innermost()
        return repr(frame[0] if frame else None)
