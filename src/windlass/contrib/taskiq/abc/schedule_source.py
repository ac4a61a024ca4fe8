"""Where schedules are: what each such place can be asked."""

from typing import Any

from windlass.contrib.taskiq.exceptions import PACKAGE, refuse
from windlass.contrib.taskiq.scheduler.scheduled_task import ScheduledTask


class ScheduleSource:
    """The base of sources; those here only, for schedules are in the store of the jobs."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if not cls.__module__.startswith(PACKAGE):
            refuse("a schedule source of your own", "app.schedules.put(name, task, cron(…))")

    async def startup(self) -> None:
        """Do nothing: the broker opens the store."""

    async def shutdown(self) -> None:
        """Do nothing: the broker closes the store."""

    async def add_schedule(self, schedule: ScheduledTask, broker: Any = None) -> None:
        """Refuse.  Raises: NotSupported."""
        refuse(f"{type(self).__name__}.add_schedule", "a ListRedisScheduleSource")

    async def delete_schedule(self, schedule_id: str) -> None:
        """Refuse.  Raises: NotSupported."""
        refuse(f"{type(self).__name__}.delete_schedule", "a ListRedisScheduleSource")

    async def get_schedules(self) -> list[ScheduledTask]:
        """Refuse.  Raises: NotSupported."""
        refuse("get_schedules", "`windlass schedules list`, or broker.windlass_app.schedules")
