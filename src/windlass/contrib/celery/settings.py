"""The configuration: ``app.conf``."""

import importlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta, tzinfo
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

from windlass import BadOption
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.known_settings import DEFAULTS, HARMLESS, REFUSED
from windlass.contrib.celery.options import queue_name
from windlass.core.names import nearest

POOLS = {None: None, "threads": None, "prefork": "process", "processes": "process"}
OLD_PREFIXES = ("BROKER_", "CELERY_", "CELERYBEAT_", "CELERYD_", "CELERYMON_")
# In Redis a smaller number goes first, in RabbitMQ a larger one.
SMALL_FIRST = ("redis", "rediss", "sentinel", "valkey", "valkeys")
# What is said while tasks are made known to workers.
BEFORE_USE = ("beat_schedule", "imports", "include", "worker_pool", "worker_concurrency",
              "broker_url", "task_annotations", "task_default_queue", "task_queues",
              "task_ignore_result", "result_expires", "task_time_limit", "task_soft_time_limit",
              "task_default_rate_limit", "worker_max_tasks_per_child")  # fmt: skip


class Conf:
    """The settings of Celery that have a meaning, by their names, as attributes or keys.

    What has no meaning any more is taken and kept; all else is refused.
    Raises: NotSupported, BadOption.
    """

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._is_used = False

    def used(self) -> None:
        """Say that tasks were made known to workers: what concerned that cannot change now."""
        self._is_used = True

    # -- setting -------------------------------------------------------------

    def update(self, *others: Any, **settings: Any) -> None:
        """Set several."""
        for name, value in dict(*others, **settings).items():
            self[name] = value

    def load(self, source: Any, namespace: str | None = None) -> None:
        """Take the settings of a module, an object, a class or a dict; a text is a module's name.

        namespace: only names that begin with it and an underscore, in capitals.
        """
        if isinstance(source, str):
            source = _imported(source)
        prefix = f"{namespace.upper()}_" if namespace else ""
        if isinstance(source, Mapping):
            pairs = dict(source)
        else:
            pairs = {name: getattr(source, name) for name in dir(source)}
        for name, value in pairs.items():
            if prefix and name.startswith(prefix):
                self[name.removeprefix(prefix).lower()] = value
            elif not prefix and (isinstance(source, Mapping) or _is_setting(name)):
                self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if name in REFUSED:
            refuse(f"setting {name}", REFUSED[name])
        if name not in DEFAULTS and name not in HARMLESS:
            known = nearest(name.lower(), [*DEFAULTS, *HARMLESS, *REFUSED])
            hint = f"did you mean {known!r}?" if known else "see docs/from-celery.md"
            raise BadOption(name, value, f"Celery has no such setting; {hint}")
        if name in BEFORE_USE and self._is_used and value != self[name]:
            raise BadOption(name, value, "say it before the first use of the app")
        _check(name, value)
        self._values[name] = value

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name] if name in self._values else DEFAULTS[name]
        except KeyError:
            raise KeyError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            self[name] = value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r}") from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or a default."""
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return name in self._values or name in DEFAULTS

    def __iter__(self) -> Iterator[str]:
        return iter({**DEFAULTS, **self._values})

    # -- what follows from them ----------------------------------------------

    @property
    def zone(self) -> tzinfo:
        """The zone of times without one."""
        return ZoneInfo(self.timezone) if isinstance(self.timezone, str) else self.timezone or UTC

    @property
    def isolation(self) -> str | None:
        """Where plain functions run: in child processes, or on threads."""
        return POOLS[self.worker_pool]

    @property
    def result_ttl(self) -> float | timedelta | None:
        """How long results are kept; None: as long as the job."""
        ttl: float | timedelta | None = self.result_expires or None
        return ttl

    def queues(self) -> list[str]:
        """Return the queues which the settings name."""
        named = self.task_queues or ()
        routed = [rule.get("queue") for _, rule in self._routes() if rule.get("queue")]
        listed = [queue_name(each) for each in (*named, *routed)]
        return list(dict.fromkeys([str(self.task_default_queue), *map(str, listed)]))

    def options_of(self, name: str, task: Any) -> dict[str, Any]:
        """Return the options of calls of a task where the call does not say them."""
        options = {} if task is None else {"priority": task.priority, "expires": task.expires}
        options["queue"] = self.queue_of(name, task)
        if options.get("priority") is None:
            options["priority"] = self.task_default_priority
        return {**options, **{k: v for k, v in self._route_of(name).items() if k != "queue"}}

    def queue_of(self, name: str, task: Any) -> str:
        """Return the queue of a task: by the routes, its own, or the default."""
        routed = self._route_of(name).get("queue")
        own = None if task is None else task.queue
        return str(queue_name(routed or own or self.task_default_queue))

    def _route_of(self, name: str) -> Mapping[str, Any]:
        for pattern, rule in self._routes():
            matches = (
                pattern.fullmatch(name) if isinstance(pattern, re.Pattern)
                else fnmatchcase(name, pattern)
            )  # fmt: skip
            if matches:
                return rule
        return {}

    def _routes(self) -> list[tuple[Any, Mapping[str, Any]]]:
        routes = self.task_routes or {}
        pairs: list[tuple[Any, Any]] = []
        for each in routes if isinstance(routes, list | tuple) else [routes]:
            if callable(each) or isinstance(each, str):
                refuse("a function in task_routes", "patterns of names, or queue=… of the tasks")
            pairs += each.items() if isinstance(each, Mapping) else [each]
        return [(k, {"queue": v} if isinstance(v, str) else v) for k, v in pairs]

    def priority_of(self, priority: Any) -> int:
        """Return a priority as Windlass has it: a larger number goes first."""
        scheme = str(self.broker_url or "").partition(":")[0]
        return -int(priority) if scheme in SMALL_FIRST else int(priority)


def _check(name: str, value: Any) -> None:
    """Refuse values without a meaning of settings that have one.  Raises: NotSupported."""
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


def _imported(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        if not module:
            raise
        found = importlib.import_module(module)
    return getattr(found, attribute) if attribute else found


def _is_setting(name: str) -> bool:
    """Tell whether a name of a module is a setting: others may stand beside them.

    Raises: NotSupported, for a setting by the name that it had before Celery 4.
    """
    if name.isupper() and name.startswith(OLD_PREFIXES):
        refuse(f"setting {name}", "its new name, in small letters, or namespace='CELERY'")
    return name in DEFAULTS or name in HARMLESS or name in REFUSED
