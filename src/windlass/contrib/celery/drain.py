"""Draining Celery's queues: what waits there becomes jobs of the tasks of the same name.

In each worker of an app, while it runs: ``CeleryDrain("redis://…").join(app)``.  Once, from a
shell: ``python -m windlass.contrib.celery.drain jobs:app --broker redis://… --until-empty``.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from windlass import App, BadOption
from windlass.contrib.celery.brokers import Mailbox, content_types
from windlass.contrib.celery.connecting import (
    check_broker,
    connection_to,
    source_of,
    without_password,
)
from windlass.contrib.celery.intake import AnyTask, Intake
from windlass.contrib.celery.pump import Pump
from windlass.contrib.celery.redis_source import RedisSource
from windlass.contrib.celery.report import DrainReport, Ledger, Left
from windlass.errors import BadBroker, BrokerUnavailable, CeleryStillRuns

__all__ = ["CeleryDrain", "DrainReport", "Left"]

ANSWER_S = 2.0  # for Celery workers to say that they run


class CeleryDrain:
    """Takes what waits in queues of Celery, each message once, and leaves what it cannot take.

    broker: the URL that Celery has: redis, rediss, amqp or amqps.
    queues: names of Celery's queues.
    names:  the task, or its name, for each Celery name under which the app has none.
    accept: serializers of which messages are decoded.  "pickle" runs code that whoever can write
            to the broker has chosen.
    transport_options: Celery's ``broker_transport_options``: needed where they say how queues
            are named or prefixed, or how long a message stays reserved.
    Raises: BadBroker, BadOption; MissingExtra at the import.

    A message is acked once its job is durable, and the job's idempotency key is the message's
    task id: whatever is killed when, each task becomes one job.
    """

    def __init__(
        self,
        broker: str,
        *,
        queues: Sequence[str] = ("celery",),
        names: Mapping[str, AnyTask | str] | None = None,
        accept: Sequence[str] = ("json",),
        transport_options: Mapping[str, Any] | None = None,
    ) -> None:
        check_broker(broker)
        if isinstance(queues, str) or not queues:
            raise BadOption("queues", queues, "must be names of queues")
        self._broker, self._queues = broker, tuple(dict.fromkeys(queues))
        self._names, self._accept = dict(names or {}), content_types(accept)
        self._options = dict(transport_options or {})
        self._ledger = Ledger()

    def join(self, app: Any) -> None:
        """Have each worker of an app drain while it runs.

        app: an App, or what has one as its ``windlass_app``.
        An outage of the broker stops no worker: it is told, and tried again.
        """
        own = app_of(app)
        own.worker_service(partial(self.running, own))

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """Drain while a block runs; at its end what is left stands in its queues again.

        Raises: TaskNotFound, for a name in ``names``.
        """
        pump = self._pump(app_of(app), self._ledger, once=False)
        pump.start()
        try:
            yield
        finally:
            await pump.stop()

    async def until_empty(self, app: Any) -> DrainReport:
        """Drain until nothing more can be taken, and return what became of the messages.

        Raises: BrokerUnavailable, StoreUnavailable: then what was not taken is in its queue again,
                or comes back to it; TaskNotFound, for a name in ``names``.
        """
        ledger = Ledger()
        pump = self._pump(app_of(app), ledger, once=True)
        pump.start()
        try:
            await asyncio.shield(pump.ended)
        finally:
            await pump.stop()
        return ledger.report()

    def report(self) -> DrainReport:
        """Return what became of the messages that workers of this process drain, so far."""
        return self._ledger.report()

    def restore_reserved(self) -> int:
        """Put back at once what stopped Celery workers had reserved on Redis; return how many.

        Without it they come back after Celery's visibility timeout, an hour unless it says
        otherwise, or when kombu stops in order.  On RabbitMQ they are back already.
        It is about all queues of this broker; blocks.
        Raises: CeleryStillRuns, if a worker answers: what it has reserved it may be running.  One
                that is too busy to answer is not seen: stop all of them first.  BadBroker, for
                RabbitMQ; BrokerUnavailable.
        """
        if not check_broker(self._broker).startswith("redis"):
            raise BadBroker(without_password(self._broker), "RabbitMQ puts back by itself")
        try:
            with connection_to(self._broker, self._options) as connection:
                mailbox = Mailbox("celery", type="fanout", accept=["json"])
                answers = mailbox(connection).multi_call("ping", timeout=ANSWER_S)
                if workers := sorted(name for answer in answers or () for name in answer):
                    raise CeleryStillRuns(tuple(workers))
                return RedisSource(connection, self._queues).restore_all()
        except CeleryStillRuns:
            raise
        except Exception as error:  # whatever kombu and redis raise
            raise BrokerUnavailable(without_password(self._broker), str(error)) from error

    def _pump(self, app: App, ledger: Ledger, *, once: bool) -> Pump:
        return Pump(
            without_password(self._broker),
            self._queues,
            source_of(self._broker, self._options),
            Intake(app, self._names),
            ledger,
            self._accept,
            once=once,
        )


def app_of(app: Any) -> App:
    """Return an app, or that of a front end.  Raises: BadOption."""
    own = getattr(app, "windlass_app", app)
    if not isinstance(own, App):
        raise BadOption("app", app, "must be a windlass.App, or have one as its windlass_app")
    return own
