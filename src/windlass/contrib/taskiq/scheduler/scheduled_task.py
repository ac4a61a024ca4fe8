"""Schedules: those which stand in labels, and those which are made while the program runs."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar
from uuid import uuid4

from windlass import Schedule, at, cron, every
from windlass.contrib.taskiq.exceptions import refuse
from windlass.errors import BadOption
from windlass.model.triggers import Trigger

R = TypeVar("R")
KEYS = ("cron", "cron_offset", "interval", "time", "args", "kwargs", "labels", "schedule_id")


@dataclass(kw_only=True)
class CronSpec:
    """A cron expression by its fields; offset: a zone's name."""

    minutes: str | int | None = "*"
    hours: str | int | None = "*"
    days: str | int | None = "*"
    months: str | int | None = "*"
    weekdays: str | int | None = "*"
    offset: str | timedelta | None = None

    def to_cron(self) -> str:
        """Return the expression."""
        return f"{self.minutes} {self.hours} {self.days} {self.months} {self.weekdays}"


@dataclass(kw_only=True)
class ScheduledTask:
    """A call, and when it is to be made: by cron, at an interval, or at an instant."""

    task_name: str
    labels: dict[str, Any] = field(default_factory=dict)
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    task_id: str | None = None
    schedule_id: str = field(default_factory=lambda: uuid4().hex)
    cron: str | None = None
    cron_offset: str | timedelta | None = None
    time: datetime | None = None
    interval: float | timedelta | None = None

    def trigger(self) -> Trigger:
        """Return when it is due.  Raises: BadTrigger, UnknownZone, BadOption, NotSupported."""
        if self.cron is not None:
            if isinstance(self.cron_offset, timedelta):
                refuse("a timedelta as cron_offset", "the name of a zone, as 'Europe/Berlin'")
            return cron(self.cron, tz=self.cron_offset or "UTC")
        if self.interval is not None:
            return every(self.interval)
        if self.time is not None:
            return at(self.time if self.time.tzinfo else self.time.replace(tzinfo=UTC))
        raise BadOption("schedule", self.task_name, "needs one of cron, interval and time")


def schedule_of(task: ScheduledTask, function: Callable[..., Any]) -> Schedule:
    """Return a scheduled task as Windlass's schedule of its name.

    Each tick starts a job, whatever becomes of the one before, as it is with taskiq.
    Raises: BadTrigger, UnknownZone, BadOption, NotSupported.
    """
    given = arguments_of(function, task)
    return Schedule(task.trigger(), name=task.schedule_id, arguments=given, overlap="allow")


def arguments_of(function: Callable[..., Any], task: ScheduledTask) -> Mapping[str, Any]:
    """Return the arguments of a schedule by name.  Raises: BadOption, NotSupported."""
    signature = inspect.signature(function)
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}:
        refuse("a schedule of a task with *args or **kwargs", "a task whose parameters have names")
    try:
        return signature.bind_partial(*task.args, **task.kwargs).arguments
    except TypeError as error:
        raise BadOption("schedule", task.task_name, str(error)) from error


def scheduled_in(name: str, labels: Mapping[str, Any]) -> list[ScheduledTask]:
    """Return the schedules that stand in the label ``schedule`` of a task.  Raises: BadOption."""
    entries = labels.get("schedule") or []
    if not isinstance(entries, list | tuple) or not all(isinstance(e, Mapping) for e in entries):
        raise BadOption("schedule", entries, "must be a list of dicts")
    own = {label: value for label, value in labels.items() if label != "schedule"}
    made = []
    for n, entry in enumerate(entries):
        for key in entry:
            if key not in KEYS:
                raise BadOption("schedule", entry, f"it has no {key!r}; known: {', '.join(KEYS)}")
        facts = {key: value for key, value in entry.items() if value is not None}
        facts.setdefault("schedule_id", name if len(entries) == 1 else f"{name}#{n + 1}")
        facts["labels"] = {**facts.get("labels", {}), **own}
        made.append(ScheduledTask(task_name=name, **facts))
    return made


class CreatedSchedule(Generic[R]):
    """A schedule that was made while the program runs."""

    def __init__(self, kicker: Any, source: Any, task: ScheduledTask) -> None:
        self.kicker = kicker
        self.source = source
        self.task = task
        self.schedule_id = task.schedule_id

    async def kiq(self) -> Any:
        """Send its call now, beside what the schedule sends."""
        return await self.kicker.kiq(*self.task.args, **self.task.kwargs)

    async def unschedule(self) -> None:
        """Take the schedule away; what it has started goes on."""
        await self.source.delete_schedule(self.schedule_id)
