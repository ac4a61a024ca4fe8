"""The configuration: what it says of tasks holds here too; the rest is Windlass's settings."""

import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

from windlass.contrib.qtasks.enums import TaskStatusEnum
from windlass.errors import BadOption, NotSupported

ENDS = (TaskStatusEnum.SUCCESS.value, TaskStatusEnum.ERROR.value, TaskStatusEnum.CANCEL.value)
LOG_FORMAT = "%(asctime)s [%(name)s: %(levelname)s] (%(subname)s) %(message)s"
ENVIRON_PREFIX = "QTASKS_"

DEFAULTS: dict[str, Any] = {
    "max_tasks_process": 10,
    "running_older_tasks": False,
    "delete_finished_tasks": False,
    "task_default_priority": 0,
    "task_default_decode": None,
    "logs_default_level_server": logging.INFO,
    "logs_default_level_client": logging.INFO,
    "logs_format": LOG_FORMAT,
    "result_time_interval": 1.0,
    "result_statuses_end": list(ENDS),
    "environ_prefix": ENVIRON_PREFIX,
}

Subscriber = Callable[["QueueConfig", str, Any], None]


class QueueConfig:
    """What an app says of all its tasks; attributes may also be set later, and new ones added.

    max_tasks_process:    how many run at once in a worker process: Windlass's ``concurrency``.
    task_default_priority, task_default_decode: of tasks that say nothing else.
    logs_default_level_server, logs_default_level_client, logs_format: of the app's loggers.
    running_older_tasks:  True or False; what was waiting when a worker stopped always runs.
    result_time_interval: has nothing left to do: who waits for a result is woken by its end.

    A variable ``QTASKS_…`` of the environment is stronger than what is given here.
    Raises: NotSupported, for delete_finished_tasks=True, or other result_statuses_end; BadOption.
    """

    def __init__(self, **given: Any) -> None:
        unknown = sorted(given.keys() - DEFAULTS.keys())
        if unknown:
            raise BadOption(unknown[0], given[unknown[0]], "QueueConfig has no such option")
        self._values: dict[str, Any] = {**DEFAULTS, "result_statuses_end": list(ENDS)}
        self._given: set[str] = set()
        self._subscribers: list[Subscriber] = []
        prefix = given.get("environ_prefix", ENVIRON_PREFIX)
        for key, value in {**given, **_of_environment(os.environ, prefix)}.items():
            setattr(self, key, value)

    def __getattr__(self, key: str) -> Any:
        if not key.startswith("_") and key in self._values:
            return self._values[key]
        raise AttributeError(f"QueueConfig has no attribute {key!r}")

    def __setattr__(self, key: str, value: Any) -> None:
        if key.startswith("_"):
            object.__setattr__(self, key, value)
            return
        if key == "delete_finished_tasks" and value:
            instead = "the setting `retention_s` says how long ended jobs are kept"
            raise NotSupported("qtasks", "delete_finished_tasks=True", instead)
        if key == "result_statuses_end" and sorted(value) != sorted(ENDS):
            raise NotSupported(
                "qtasks", f"result_statuses_end={value!r}", "a result is there at the end"
            )
        self._values[key] = value = _checked(key, value)
        self._given.add(key)
        for subscriber in self._subscribers:
            subscriber(self, key, value)

    def __repr__(self) -> str:
        return f"QueueConfig({', '.join(f'{key}={self._values[key]!r}' for key in DEFAULTS)})"

    def is_given(self, key: str) -> bool:
        """Whether somebody has said something of an option."""
        return key in self._given

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback(config, key, value)`` whenever an attribute is set."""
        self._subscribers.append(callback)


def _checked(key: str, value: Any) -> Any:
    """Return the value of an option as it is meant.  Raises: BadOption."""
    if key.startswith("logs_default_level") and isinstance(value, str):
        value = logging.getLevelNamesMapping().get(value.upper(), value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if type(DEFAULTS.get(key)) in (int, float) and not is_number:
        raise BadOption(key, value, "must be a number")
    return value


def _of_environment(environ: Mapping[str, str], prefix: str) -> dict[str, Any]:
    found = {}
    for variable, text in environ.items():
        key = variable.removeprefix(prefix).lower()
        if variable.startswith(prefix) and type(DEFAULTS.get(key)) in (bool, int, float, str):
            found[key] = _as_kind_of(DEFAULTS[key], variable, text)
    return found


def _as_kind_of(default: Any, variable: str, text: str) -> Any:
    if isinstance(default, bool):
        return text.lower() in ("1", "true", "yes", "on")
    try:
        return type(default)(text)
    except ValueError:
        raise BadOption(variable, text, f"must be of type {type(default).__name__}") from None
