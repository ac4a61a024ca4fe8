"""Draining Celery's queues: what waits there becomes jobs of the tasks of the same name."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from windlass import App, BadOption
from windlass.config import masked_url
from windlass.contrib.celery.app import Celery
from windlass.contrib.celery.brokers import Mailbox, content_types
from windlass.contrib.celery.connecting import (
    check_broker,
    connection_to,
    source_of,
)
from windlass.contrib.celery.front_intake import FrontIntake
from windlass.contrib.celery.intake import Intake, Origin
from windlass.contrib.celery.native_intake import NativeIntake
from windlass.contrib.celery.pump import Pump
from windlass.contrib.celery.redis_source import RedisSource
from windlass.contrib.celery.report import DrainReport, Ledger
from windlass.errors import BadBroker, BrokerUnavailable, CeleryStillRuns

ANSWER_S = 2.0  # for Celery workers to say that they run


class CeleryDrain:
    """Takes what waits in queues of Celery, each message once, and leaves what it cannot take.

    broker: the URL that Celery has: redis, rediss, amqp or amqps.  None: that in the settings of
            the front end which is drained into.
    queues: names of Celery's queues.  None: those that its settings and tasks name; else "celery".
    names:  the task, or its name, for each Celery name under which the app has none.
    accept: serializers of which messages are decoded.  "pickle" runs code that whoever can write
            to the broker has chosen.
    transport_options: Celery's ``broker_transport_options``: needed where they say how queues
            are named or prefixed, or how long a message stays reserved.  None: as for queues.
    Raises: BadBroker, BadOption; MissingExtra at the import.

    A message is acked once its job is durable, and the job's idempotency key is the message's
    task id: whatever is killed when, each task becomes one job.  Where a front end is drained
    into (``windlass.contrib.celery``), the task id is the id of the job too.
    """

    def __init__(
        self,
        broker: str | None = None,
        *,
        queues: Sequence[str] | None = None,
        names: Mapping[str, Any] | None = None,
        accept: Sequence[str] = ("json",),
        transport_options: Mapping[str, Any] | None = None,
    ) -> None:
        if broker is not None:
            check_broker(broker)
        if isinstance(queues, str) or (queues is not None and not queues):
            raise BadOption("queues", queues, "must be names of queues")
        self._broker, self._queues = broker, tuple(dict.fromkeys(queues or ()))
        self._names, self._accept = dict(names or {}), content_types(accept)
        self._options = transport_options
        self._ledger = Ledger()

    def join(self, app: Any) -> None:
        """Have each worker of an app drain while it runs.

        app: a front end for Celery; an App, or what has one as its ``windlass_app``.
        An outage of the broker stops no worker: it is told, and tried again.
        """
        # Tasks of a front end may come after this: it is not put together yet.
        own = app.windlass_registry if isinstance(app, Celery) else app_of(app)
        own.worker_service(partial(self.running, app))

    @asynccontextmanager
    async def running(self, app: Any) -> AsyncIterator[None]:
        """Drain while a block runs; at its end what is left stands in its queues again.

        Raises: TaskNotFound, for a name in ``names``; BadOption, BadBroker, for none to drain.
        """
        pump = self._pump(app, once=False)
        pump.start()
        try:
            yield
        finally:
            await pump.stop()

    async def until_empty(self, app: Any) -> DrainReport:
        """Drain until nothing more can be taken, and return what became of the messages.

        Raises: BrokerUnavailable, StoreUnavailable: then what was not taken is in its queue again,
                or comes back to it; TaskNotFound, for a name in ``names``; BadOption, BadBroker.
        """
        self._ledger = Ledger()
        pump = self._pump(app, once=True)
        pump.start()
        try:
            await asyncio.shield(pump.ended)
        finally:
            await pump.stop()
        return self.report()

    def report(self) -> DrainReport:
        """Return what became of the messages: since the last ``until_empty`` here, if any."""
        return self._ledger.report()

    def restore_reserved(self, app: Any = None) -> int:
        """Put back at once what stopped Celery workers had reserved on Redis; return how many.

        app: the front end whose settings name the broker, where the drain was given none.

        Without it they come back after Celery's visibility timeout, an hour unless it says
        otherwise, or when kombu stops in order.  On RabbitMQ they are back already.
        It is about all queues of this broker; blocks.
        Raises: CeleryStillRuns, if a worker answers: what it has reserved it may be running.  One
                that is too busy to answer is not seen: stop all of them first.  BadBroker, for
                RabbitMQ; BrokerUnavailable.
        """
        broker, queues, options = self._place(None if app is None else intake_of(app, {}))
        shown = masked_url(broker)
        if not check_broker(broker).startswith("redis"):
            raise BadBroker(shown, "RabbitMQ puts back by itself")
        try:
            with connection_to(broker, options) as connection:
                mailbox = Mailbox("celery", type="fanout", accept=["json"])
                answers = mailbox(connection).multi_call("ping", timeout=ANSWER_S)
                if workers := sorted(name for answer in answers or () for name in answer):
                    raise CeleryStillRuns(tuple(workers))
                return RedisSource(connection, queues).restore_all()
        except CeleryStillRuns:
            raise
        except Exception as error:  # whatever kombu and redis raise
            raise BrokerUnavailable(shown, str(error)) from error

    def _place(self, intake: Intake | None) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
        """Return broker, queues and transport options: as given, or as the app says them.

        Raises: BadOption, if nobody names a broker; BadBroker.
        """
        origin = Origin() if intake is None else intake.origin
        broker = self._broker or origin.broker
        if broker is None:
            raise BadOption("broker", None, "is needed: the app names no broker of Celery")
        check_broker(broker)
        options = origin.transport_options if self._options is None else self._options
        return broker, self._queues or origin.queues, options

    def _pump(self, app: Any, *, once: bool) -> Pump:
        intake = intake_of(app, self._names)
        broker, queues, options = self._place(intake)
        return Pump(
            masked_url(broker),
            queues,
            source_of(broker, options),
            intake,
            self._ledger,
            self._accept,
            once=once,
        )


def intake_of(app: Any, names: Mapping[str, Any]) -> Intake:
    """Return how calls become jobs of an app: the front end's, or its own.

    Raises: BadOption, TaskNotFound.
    """
    return FrontIntake(app, names) if isinstance(app, Celery) else NativeIntake(app_of(app), names)


def app_of(app: Any) -> App:
    """Return an app, or that of a front end.  Raises: BadOption."""
    own = getattr(app, "windlass_app", app)
    if not isinstance(own, App):
        raise BadOption("app", app, "must be a windlass.App, or have one as its windlass_app")
    return own
