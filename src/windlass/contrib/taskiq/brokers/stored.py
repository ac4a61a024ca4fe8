"""Brokers whose tasks are jobs of a Windlass app, under the names of taskiq's transports."""

import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from msgspec.structs import replace as with_

from windlass import App, JobId, JobNotFound, Retry
from windlass.contrib.front_ends.places import Place, store_in
from windlass.contrib.taskiq.abc.broker import AnyDecorated, AsyncBroker, shared_tasks
from windlass.contrib.taskiq.abc.result_backend import AsyncResultBackend
from windlass.contrib.taskiq.attempts import Attempts
from windlass.contrib.taskiq.decor import payload_only
from windlass.contrib.taskiq.exceptions import SendTaskError, UnknownTaskError
from windlass.contrib.taskiq.message import HEADER, Entry, TaskiqMessage, header_of, number_in
from windlass.contrib.taskiq.scheduler.scheduled_task import schedule_of, scheduled_in
from windlass.contrib.taskiq.state import TaskiqState
from windlass.core.retry import ATTEMPTS_MAX
from windlass.tasks import AnyTask

log = logging.getLogger("windlass.taskiq")

# How often a task runs is for the retry middleware to say, by the labels of each message.
AS_THE_LABELS_SAY = Retry(ATTEMPTS_MAX, delay=0.0, jitter=0.0)


class StoredBroker(AsyncBroker):
    """Sends tasks as jobs of an app, which is its ``windlass_app``.

    url:        of a store of Windlass (``sqlite:///…``, ``postgresql://…``); any other is not
                used: the settings of Windlass say where jobs go (WINDLASS_STORE, ….).
    queue_name: the queue of its tasks; default: that of Windlass.
    options:    those of the connection to another server are of no use, and logged.
    """

    # Labels to which the transport of this name gives a meaning.
    has_delays = has_priorities = False

    def __init__(
        self,
        url: Any = None,
        *,
        queue_name: str | None = None,
        result_backend: AsyncResultBackend | None = None,
        task_id_generator: Callable[[], str] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(result_backend or AsyncResultBackend(), task_id_generator)
        store = store_in(url)
        self._app = App(store)
        self._unused = [*([] if store or url is None else [str(url)]), *options]
        self._place = Place(log.log)
        self._queue = queue_name
        attempts = self._attempts = Attempts(self)
        self._app.around_attempt(attempts.around)
        self._app.observe(attempts)
        self._app.lifespan(self._lifespan)

    # -- the app -------------------------------------------------------------

    @property
    def windlass_app(self) -> App:
        """The app that has the tasks of this broker, and those that are shared."""
        for name, task in shared_tasks.items():
            if name not in self._app.specs:
                self._take_in(task)
        return self._app

    def task_of(self, name: str) -> AnyTask:
        """Return a task as the app has it.  Raises: UnknownTaskError."""
        app = self.windlass_app
        if self.find_task(name) is None:
            raise UnknownTaskError(name)
        return app.task_named(name)

    def adopt(self, task: AnyDecorated) -> None:
        """Take in a task.  Raises: BadTask, for a name that is taken."""
        self._take_in(task)
        super().adopt(task)

    def _take_in(self, task: AnyDecorated) -> None:
        name, function = task.task_name, payload_only(task.original_func)
        scheduled = scheduled_in(name, task.labels)
        self._app.task(
            name=name,
            queue=self._queue,
            retry=AS_THE_LABELS_SAY,
            schedule=[schedule_of(each, function) for each in scheduled],
            result_ttl=self.result_backend.result_ttl_s,
        )(function)
        for each in scheduled:
            self.timetable[each.schedule_id] = Entry(each.labels, each.args)

    def _tell(self) -> None:
        """Say once, in each process, where jobs go, and what is not used."""
        self._place.tell(self._app, self._unused)

    # -- sending -------------------------------------------------------------

    def id_generator(self) -> str:
        """Return the id of a job to be."""
        return self._app.new_job_id()

    async def kick(self, message: TaskiqMessage, run_at: datetime | None = None) -> None:
        """Store a message as a job, to be run now or at an instant.

        Raises: SendTaskError, if a job has this id already; UnknownTaskError, BadArguments, ….
        """
        task, labels = self.task_of(message.task_name), message.labels
        self._tell()
        delays = self.has_delays and run_at is None and labels.get("delay") is not None
        request = task.using(
            queue=labels.get("queue_name"),
            priority=int(number_in(labels, "priority", 0)) if self.has_priorities else None,
            delay=number_in(labels, "delay", 0.0) if delays else None,
            run_at=run_at,
        ).prepare(*message.args, **message.kwargs)
        request = request.with_headers({HEADER: header_of(labels, len(message.args))})
        if message.task_id != message.own_id:
            await self._check_free(message.task_id)
        await self._app.aenqueue_requests([with_(request, id=JobId(message.task_id))])

    async def _check_free(self, task_id: str) -> None:
        try:
            await (await self._app.client()).get(JobId(task_id))
        except JobNotFound:
            return
        raise SendTaskError(f"there is a job of the id {task_id!r} already: give each its own")

    # -- start and stop ------------------------------------------------------

    async def open(self) -> None:
        """Open the store; raise if it does not answer."""
        self._tell()
        await self.windlass_app.client()

    async def close(self) -> None:
        """Close the store.  Idempotent."""
        await self._app.aclose()

    async def _lifespan(self) -> AsyncIterator[TaskiqState]:
        self.is_worker_process = True
        await self.startup()
        yield self.state
        await self._attempts.finish()
        await self.shutdown()


class RedisStreamBroker(StoredBroker):
    """The name that taskiq-redis has for such a broker."""


class ListQueueBroker(StoredBroker):
    """The name that taskiq-redis has for such a broker."""


class RedisStreamClusterBroker(StoredBroker):
    """The name that taskiq-redis has for such a broker."""


class ListQueueClusterBroker(StoredBroker):
    """The name that taskiq-redis has for such a broker."""


class PullBasedJetStreamBroker(StoredBroker):
    """The name that taskiq-nats has for such a broker."""


class PushBasedJetStreamBroker(StoredBroker):
    """The name that taskiq-nats has for such a broker."""


class ZeroMQBroker(StoredBroker):
    """A broker without a server, as taskiq has one."""


class AioPikaBroker(StoredBroker):
    """The name that taskiq-aio-pika has; the labels ``delay`` and ``priority`` count, as there.

    priority: from -100 to 100, higher first.
    """

    has_delays = has_priorities = True
