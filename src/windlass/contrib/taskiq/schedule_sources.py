"""Where schedules are: in the labels of tasks, and in the store."""

from typing import Any

from msgspec.structs import replace as with_

from windlass import JobId, JobNotFound
from windlass.contrib.taskiq.abc.schedule_source import ScheduleSource
from windlass.contrib.taskiq.exceptions import refuse
from windlass.contrib.taskiq.message import HEADER, TaskiqMessage, header_of
from windlass.contrib.taskiq.scheduler.scheduled_task import ScheduledTask, schedule_of
from windlass.errors import ScheduleNotFound


class LabelScheduleSource(ScheduleSource):
    """The schedules in the label ``schedule`` of a broker's tasks.

    They are schedules of the tasks whether there is such a source or not; any scheduler of
    Windlass fires them.
    """

    def __init__(self, broker: Any) -> None:
        self.broker = broker


class StoredScheduleSource(ScheduleSource):
    """Schedules that are made while the program runs, in the store of the broker's jobs.

    A call at an instant is a job that is due then; a repeated one is a schedule.
    The URL and the options of a connection are of no use.
    """

    def __init__(self, url: Any = None, *args: Any, **connection: Any) -> None:
        self._broker: Any = None

    def bind(self, broker: Any) -> None:
        """Make schedules in the store of a broker, where a kicker does not name another."""
        self._broker = broker

    async def add_schedule(self, schedule: ScheduledTask, broker: Any = None) -> None:
        """Store a schedule.  Raises: BadArguments, BadTrigger, UnknownZone, StoreUnavailable."""
        broker = self._broker = broker or self._of()
        if schedule.time is not None:
            await self._add_job(schedule, broker)
            return
        task, app = broker.task_of(schedule.task_name), broker.windlass_app
        declared = schedule_of(schedule, task.spec.function)
        draft = app.schedules.draft(schedule.schedule_id, task, declared)
        header = header_of(schedule.labels, len(schedule.args))
        draft = with_(draft, call=draft.call.with_headers({HEADER: header}))
        await (await app.client()).schedules.put(draft)

    async def _add_job(self, schedule: ScheduledTask, broker: Any) -> None:
        message = TaskiqMessage(
            task_id=schedule.schedule_id,
            task_name=schedule.task_name,
            labels={**schedule.labels, "schedule_id": schedule.schedule_id},
            args=schedule.args,
            kwargs=schedule.kwargs,
        )
        await broker.kick(message, run_at=schedule.time)

    async def delete_schedule(self, schedule_id: str) -> None:
        """Take a schedule away; nothing, if there is none of this id."""
        client = await self._of().windlass_app.client()
        try:
            await client.schedules.remove(schedule_id)
        except ScheduleNotFound:
            try:
                await client.cancel(JobId(schedule_id))
            except JobNotFound:
                return

    def _of(self) -> Any:
        if self._broker is None:
            refuse("a schedule source without a broker", "TaskiqScheduler(broker, [source])")
        return self._broker


class ListRedisScheduleSource(StoredScheduleSource):
    """The name that taskiq-redis has for such a source."""


class RedisScheduleSource(StoredScheduleSource):
    """The name that taskiq-redis has for such a source."""
