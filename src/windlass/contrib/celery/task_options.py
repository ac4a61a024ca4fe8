"""Options of ``app.task``, and the class that is made of a function with them."""

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from windlass import BadOption, BadTask
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.options import queue_name
from windlass.contrib.celery.setting_checks import check_seconds
from windlass.contrib.celery.task import Task
from windlass.core.names import check_name

MEANT = frozenset({
    "autoretry_for", "bind", "default_retry_delay", "dont_autoretry_for", "expires",
    "ignore_result", "isolation", "max_retries", "name", "priority", "queue", "rate_limit",
    "retry_backoff", "retry_backoff_max", "retry_jitter", "retry_kwargs", "serializer",
    "soft_time_limit", "throws", "time_limit", "track_started",
})  # fmt: skip
HANDLERS = frozenset({"after_return", "before_start", "on_failure", "on_retry", "on_success"})
# An outcome is always written before a job is let go; errors are always kept; the rest tunes
# what is not there.
HARMLESS = frozenset({
    "abstract", "acks_late", "acks_on_failure", "acks_on_failure_or_timeout", "acks_on_timeout",
    "lazy", "reject_on_worker_lost", "resultrepr_maxsize", "send_events", "shared",
    "store_errors_even_if_ignored", "trail",
})  # fmt: skip
REFUSED: Mapping[str, str] = {
    "typing": "arguments that fit the function: they are always checked at the call",
    "compression": "a reference to large data in place of it",
    "delivery_mode": "every job is durable",
    "exchange": "queue=…",
    "routing_key": "queue=…",
    "filter": "a decorator below @app.task",
    "pydantic": "a task of Windlass: app.windlass_app.task takes pydantic models",
    "Strategy": "a task of Windlass: app.windlass_app.task",
    "Request": "before_start and on_failure of a base class",
    "backend": "the store of the app",
    "countdown": "countdown=… of each call",
    "timeout": "time_limit=…",
    "store_eager_result": "delay() in place of apply()",
    "retry_on_worker_lost": "nothing: a lost worker's jobs go to another, three times at most",
}


def task_class(app: Any, function: Callable[..., Any], options: Mapping[str, Any]) -> type[Task]:
    """Return the class of a task that calls a function.  Raises: NotSupported."""
    if not callable(function):
        raise TypeError(f"@app.task takes a function, not {function!r}")
    if inspect.iscoroutinefunction(function):
        refuse("async task", "@app.windlass_app.task of an async function")
    for name in options:
        if name in REFUSED and not (name == "typing" and options[name]):
            refuse(f"option {name!r} of a task", REFUSED[name])
        if name not in MEANT and name not in HARMLESS and name not in ("base", "typing"):
            known = ", ".join(sorted(MEANT))
            refuse(f"option {name!r} of a task", f"those there are: {known}")
    if options.get("serializer", "json") not in ("json", None):
        refuse(f"serializer={options['serializer']!r} of a task", "json; docs/serialization.md")
    base: Any = options.get("base") or app.Task
    own_name: Any = options.get("name")
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise BadTask(str(own_name or function), f"base={base!r}: must be a class of tasks")
    if not isinstance(own_name, str | None):
        raise BadTask(str(own_name), "the name of a task is a text")
    own = {n: v for n, v in options.items() if n in MEANT | HARMLESS and n != "name"}
    run = function if options.get("bind") else staticmethod(function)
    facts = {
        "run": run,
        "name": own_name or default_name(app, function),
        "__doc__": function.__doc__,
        "__module__": function.__module__,
        "__wrapped__": run,
        "abstract": False,
    }
    return type(function.__name__, (base,), {**own, **facts})


def check_annotation(name: str, option: str) -> None:
    """Refuse what an annotation of tasks cannot set.  Raises: NotSupported."""
    if option not in MEANT | HARMLESS | HANDLERS or option in ("bind", "name"):
        refuse(f"{option!r} in task_annotations[{name!r}]", "an option or a handler of a task")


def check_task(task: Any) -> None:
    """Refuse options of a task by their values, wherever these come from.  Raises: BadTask."""
    try:
        for option in ("autoretry_for", "dont_autoretry_for", "throws"):
            _check_classes(option, getattr(task, option))
        for option in ("max_retries", "priority"):
            _check_whole(option, getattr(task, option))
        for option in ("default_retry_delay", "retry_backoff_max", "time_limit", "soft_time_limit"):
            if (value := getattr(task, option)) is not None:
                check_seconds(option, value)
        if not isinstance(task.retry_backoff, bool):
            check_seconds("retry_backoff", task.retry_backoff)
        if not isinstance(task.expires, datetime | None):
            check_seconds("expires", task.expires)
        if not isinstance(task.retry_kwargs, Mapping):
            raise BadOption("retry_kwargs", task.retry_kwargs, "must be a dict")
        unknown = task.retry_kwargs.keys() - {"max_retries", "countdown"}
        if unknown:
            raise BadOption("retry_kwargs", task.retry_kwargs, f"there is no {min(unknown)!r}")
        if task.queue is not None:
            check_name("queue", queue_name(task.queue))
    except (BadOption, TypeError, ValueError) as error:
        raise BadTask(task.name, str(error)) from error


def _check_classes(option: str, value: Any) -> None:
    if not isinstance(value, tuple | list | set | frozenset) or not all(
        isinstance(each, type) and issubclass(each, BaseException) for each in value
    ):
        raise BadOption(option, value, "must be a list of classes of exceptions")


def _check_whole(option: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise BadOption(option, value, "must be a whole number")


def default_name(app: Any, function: Callable[..., Any]) -> str:
    """Return the name of a task that was given none; of a script's, under the name of the app."""
    module = function.__module__
    return f"{app.main if module == '__main__' and app.main else module}.{function.__name__}"
