"""The configuration: ``app.conf``."""

import importlib
from collections.abc import Iterator, Mapping
from datetime import UTC, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from windlass import BadOption
from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.known_settings import DEFAULTS, HARMLESS, REFUSED
from windlass.contrib.celery.options import queue_name
from windlass.contrib.celery.routes import maps_in, route_of
from windlass.contrib.celery.setting_checks import POOLS, checked
from windlass.core.names import nearest

OLD_PREFIXES = ("BROKER_", "CELERY_", "CELERYBEAT_", "CELERYD_", "CELERYMON_")
GROUPS = ("beat_", "broker_", "result_", "task_", "worker_")
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
            pairs = {name: getattr(source, name) for name in dir(source) if name.startswith(prefix)}
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
        self._values[name] = checked(name, value)

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
        routed = [rule.get("queue") for one in maps_in(self.task_routes) for rule in one.values()]
        listed = [queue_name(each) for each in (*named, *filter(None, routed))]
        return list(dict.fromkeys([str(self.task_default_queue), *map(str, listed)]))

    def options_of(self, name: str, task: Any) -> dict[str, Any]:
        """Return the options of calls of a task where the call does not say them.

        What the task says itself counts before the routes, as with Celery.
        """
        own = {"priority": self.task_default_priority}
        if task is not None:
            own = {"priority": own["priority"] if task.priority is None else task.priority,
                   "expires": task.expires}  # fmt: skip
        own["queue"] = self.queue_of(name, task)
        route = route_of(self.task_routes, name)
        return {**route, **{option: value for option, value in own.items() if value is not None}}

    def queue_of(self, name: str, task: Any) -> str:
        """Return the queue of a task: its own, that of its route, or the default."""
        own = None if task is None else task.queue
        routed = route_of(self.task_routes, name).get("queue")
        return str(queue_name(own or routed or self.task_default_queue))

    def priority_of(self, priority: Any) -> int:
        """Return a priority as Windlass has it: a larger number goes first."""
        scheme = str(self.broker_url or "").partition(":")[0]
        return -int(priority) if scheme in SMALL_FIRST else int(priority)


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
    if name in DEFAULTS or name in HARMLESS or name in REFUSED:
        return True
    # One that is mistyped is refused where it is set.
    return name.startswith(GROUPS) and nearest(name, [*DEFAULTS, *HARMLESS]) is not None
