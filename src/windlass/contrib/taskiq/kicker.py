"""A call on its way: labels, an id, a broker; and then sent, now or by the clock."""

from datetime import UTC, datetime, timedelta
from typing import Any, Generic, ParamSpec, Self, TypeVar

from windlass.contrib.taskiq.abc.middleware import awaited
from windlass.contrib.taskiq.exceptions import SendTaskError, refuse
from windlass.contrib.taskiq.message import TaskiqMessage, label_sent
from windlass.contrib.taskiq.parsing import plain
from windlass.contrib.taskiq.scheduler.scheduled_task import (
    CreatedSchedule,
    CronSpec,
    ScheduledTask,
)
from windlass.contrib.taskiq.task import AsyncTaskiqTask
from windlass.errors import WindlassError

P = ParamSpec("P")
R = TypeVar("R")


def check_labels(labels: dict[str, Any]) -> dict[str, Any]:
    """Return labels that can be kept.  Raises: NotSupported."""
    if "ack_type" in labels:
        refuse(
            "the label ack_type",
            "a job is settled with its outcome; an attempt whose worker died is run again",
        )
    return labels


class AsyncKicker(Generic[P, R]):
    """What ``task.kicker()`` returns: the same task with other labels, to be sent once."""

    def __init__(
        self, task_name: str, broker: Any, labels: dict[str, Any], return_type: Any = None
    ) -> None:
        self.task_name = task_name
        self.broker = broker
        self.labels = check_labels(dict(labels))
        self.return_type = return_type
        self.custom_task_id: str | None = None
        self.custom_schedule_id: str | None = None

    def with_labels(self, **labels: Any) -> Self:
        """Add labels, over those of the task.  Raises: NotSupported."""
        self.labels.update(check_labels(labels))
        return self

    def with_task_id(self, task_id: str | None) -> Self:
        """Give the task this id, which no job may have had; None: one of its own."""
        self.custom_task_id = task_id
        return self

    def with_schedule_id(self, schedule_id: str) -> Self:
        """Give the schedule this id."""
        self.custom_schedule_id = schedule_id
        return self

    def with_broker(self, broker: Any) -> Self:
        """Send it by another broker, which has to know the task."""
        self.broker = broker
        return self

    async def kiq(self, *args: P.args, **kwargs: P.kwargs) -> AsyncTaskiqTask[R]:
        """Store the call; returns once it is durable.

        Raises: SendTaskError, whose cause says why: BadArguments, StoreUnavailable, ….
        """
        message = self._message(args, kwargs)
        for middleware in self.broker.middlewares:
            message = await awaited(middleware.pre_send(message))
        try:
            await self.broker.kick(message)
        except SendTaskError:
            raise
        except WindlassError as error:
            raise SendTaskError from error
        for middleware in reversed(self.broker.middlewares):
            await awaited(middleware.post_send(message))
        return AsyncTaskiqTask(message.task_id, self.broker.result_backend, self.return_type)

    async def schedule_by_time(
        self, source: Any, time: datetime, *args: P.args, **kwargs: P.kwargs
    ) -> CreatedSchedule[R]:
        """Store the call as a job that is due at an instant; without a zone, one of UTC."""
        instant = time if time.tzinfo else time.replace(tzinfo=UTC)
        return await self._scheduled(source, args, kwargs, time=instant)

    async def schedule_by_cron(
        self, source: Any, cron: str | CronSpec, *args: P.args, **kwargs: P.kwargs
    ) -> CreatedSchedule[R]:
        """Store a schedule; a scheduler starts its jobs.  Raises: BadTrigger, UnknownZone."""
        spec = cron if isinstance(cron, CronSpec) else None
        expression = cron if spec is None else spec.to_cron()
        offset = None if spec is None else spec.offset
        return await self._scheduled(source, args, kwargs, cron=expression, cron_offset=offset)

    async def schedule_by_interval(
        self, source: Any, interval: float | timedelta, *args: P.args, **kwargs: P.kwargs
    ) -> CreatedSchedule[R]:
        """Store a schedule; a scheduler starts its jobs.  Raises: BadTrigger."""
        return await self._scheduled(source, args, kwargs, interval=interval)

    async def _scheduled(
        self, source: Any, args: Any, kwargs: Any, **when: Any
    ) -> CreatedSchedule[R]:
        if self.custom_task_id is not None:
            refuse(
                "with_task_id of a schedule", "with_schedule_id: a call by time has it as its id"
            )
        message = self._message(args, kwargs)
        task = ScheduledTask(
            task_name=message.task_name,
            labels=message.labels,
            args=message.args,
            kwargs=message.kwargs,
            schedule_id=self.custom_schedule_id or message.task_id,
            **when,
        )
        await source.add_schedule(task, self.broker)
        return CreatedSchedule(self, source, task)

    def _message(self, args: Any, kwargs: Any) -> TaskiqMessage:
        """Return the message.  Raises: SendTaskError, for what has no form in JSON."""
        try:
            message: TaskiqMessage = self.broker.new_message(
                self.task_name,
                self.custom_task_id,
                labels={
                    name: label_sent(value)
                    for name, value in self.labels.items()
                    if name != "types_of_exceptions"
                },
                args=[plain(each) for each in args],
                kwargs={name: plain(each) for name, each in kwargs.items()},
            )
        except (TypeError, ValueError) as error:
            raise SendTaskError(str(error)) from error
        return message
