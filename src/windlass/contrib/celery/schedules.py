"""Schedules of beat: crontabs and intervals, as schedules of Windlass."""

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from windlass import Schedule, cron, every
from windlass.contrib.celery.canvas import Signature
from windlass.contrib.celery.exceptions import LIBRARY, ImproperlyConfigured, refuse
from windlass.contrib.celery.values import to_plain
from windlass.contrib.front_ends.refusing import refusing
from windlass.model.triggers import Trigger

_NAME = re.compile(r"[A-Za-z]{4,}")
Part = int | str | Iterable[int]


class schedule:
    """An interval: ``run_every`` seconds, or a timedelta."""

    def __init__(self, run_every: float | timedelta, relative: bool = False) -> None:
        if relative:
            refuse("schedule(relative=True)", "crontab(…), or windlass.every(…, anchor=…)")
        self.run_every = run_every

    def trigger(self, tz: str) -> Trigger:
        """Return the trigger of Windlass."""
        return every(self.run_every)


class crontab(schedule):
    """The minutes of clocks on walls; day of the month and weekday must both match."""

    def __init__(
        self,
        minute: Part = "*",
        hour: Part = "*",
        day_of_week: Part = "*",
        day_of_month: Part = "*",
        month_of_year: Part = "*",
        **options: Any,
    ) -> None:
        if options:
            refuse(f"crontab({next(iter(options))}=…)", "the five parts of a time")
        parts = (minute, hour, day_of_month, month_of_year, day_of_week)
        self.expression = " ".join(map(_part, parts))

    def trigger(self, tz: str) -> Trigger:
        """Return the trigger of Windlass."""
        return cron(self.expression, tz=tz, days="both")

    def __repr__(self) -> str:
        return f"<crontab: {self.expression}>"


def _part(value: Part) -> str:
    if isinstance(value, str):
        whole = "".join(value.split())
        return _NAME.sub(lambda name: name[0][:3].lower(), whole)  # Monday is mon
    return str(value) if isinstance(value, int) else ",".join(str(one) for one in sorted(value))


__getattr__ = refusing(LIBRARY, __name__, {"solar": "windlass.at(*instants)"}, "schedules.")


def schedules_of(app: Any, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, list[Schedule]]:
    """Return the schedules of ``beat_schedule`` by the names of their tasks.

    Raises: NotSupported, ImproperlyConfigured, BadTrigger, TypeError.
    """
    found: dict[str, list[Schedule]] = {}
    for name, entry in entries.items():
        unknown = entry.keys() - {"task", "schedule", "args", "kwargs", "options", "relative"}
        if unknown:
            refuse(f"beat_schedule[{name!r}][{min(unknown)!r}]", "task, schedule, args and kwargs")
        options = {k: v for k, v in (entry.get("options") or {}).items() if v is not None}
        if options:
            refuse(f"options of beat_schedule[{name!r}]", "queue, expires and priority of the task")
        when = entry["schedule"]
        rule = when if isinstance(when, schedule) else schedule(when, bool(entry.get("relative")))
        sig = Signature(entry["task"], entry.get("args"), entry.get("kwargs"))
        task = app.tasks.get(sig.task)
        if task is None:
            raise ImproperlyConfigured(f"beat_schedule[{name!r}]: there is no task {sig.task!r}")
        named, _ = task.shape.named(sig.args, sig.kwargs)
        plain = {each: to_plain(value) for each, value in named.items()}
        trigger = rule.trigger(str(app.conf.zone))
        made = Schedule(trigger, name=name, arguments=plain, overlap="allow")
        found.setdefault(sig.task, []).append(made)
    return found
