"""What the settings with a meaning may be."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Any

from windlass import BadOption
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.routes import maps_in
from windlass.core.names import check_name
from windlass.core.retry import seconds_of
from windlass.core.zones import zone_info

POOLS = {None: None, "threads": None, "prefork": "process", "processes": "process"}


def checked(name: str, value: Any) -> Any:
    """Return the value of a setting as it is meant.

    Raises: NotSupported, BadOption, UnknownZone.
    """
    match name:
        case "task_serializer" | "result_serializer" if value != "json":
            refuse(f"{name}={value!r}", '"json"; docs/serialization.md shows how to port others')
        case "accept_content" | "result_accept_content" if value is not None:
            if not {"json", "application/json"} & set(value):
                refuse(f"{name}={value!r}", '["json"]')
        case "enable_utc" if value is not True:
            refuse("enable_utc=False", "enable_utc=True; the zone is that of the setting timezone")
        case "worker_pool" if value not in POOLS:
            refuse(f"worker_pool={value!r}", '"prefork" for child processes, or "threads"')
        case "imports" | "include":
            return (value,) if isinstance(value, str) else tuple(value or ())
        case "task_default_queue":
            check_name(name, value)
        case _ if value is not None:
            _check_given(name, value)
    return value


def _check_given(name: str, value: Any) -> None:
    match name:
        case "worker_concurrency" | "worker_max_tasks_per_child":
            if isinstance(value, bool) or not str(value).isdigit():
                raise BadOption(name, value, "must be a whole number")
        case "task_default_priority":
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadOption(name, value, "must be a whole number")
        case "task_time_limit" | "task_soft_time_limit":
            check_seconds(name, value)
        case "result_expires":
            seconds_of(name, value)
        case "timezone":
            if isinstance(value, str):
                zone_info(value)
            elif not isinstance(value, tzinfo):
                raise BadOption(name, value, "must be the name of a zone, or a tzinfo")
        case "broker_url":
            if not all(isinstance(each, str) for each in _listed(value)):
                raise BadOption(name, value, "must be a URL, or a list of them")
        case "task_queues":
            if not isinstance(value, list | tuple | set | frozenset | Mapping):
                raise BadOption(name, value, "must be a list of names, or of kombu's queues")
        case "task_routes":
            list(maps_in(value))
        case "beat_schedule":
            _check_entries(name, value, ("task", "schedule"))
        case "task_annotations":
            if not isinstance(value, Mapping):
                refuse("task_annotations that is no dict", "a dict of options by names of tasks")
            _check_entries(name, value, ())


def check_seconds(name: str, value: Any) -> float:
    """Return a number of seconds; Celery takes no timedelta here.  Raises: BadOption."""
    if not isinstance(value, int | float):
        raise BadOption(name, value, "must be a number of seconds")
    return seconds_of(name, value)


def _check_entries(name: str, value: Any, needed: tuple[str, ...]) -> None:
    if not isinstance(value, Mapping):
        raise BadOption(name, value, "must be a dict")
    for key, entry in value.items():
        if not isinstance(entry, Mapping):
            raise BadOption(f"{name}[{key!r}]", entry, "must be a dict")
        for each in needed:
            if each not in entry:
                raise BadOption(f"{name}[{key!r}]", entry, f"has no {each!r}")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
