"""Draining Celery's queues: what waits there becomes jobs of the tasks of the same name.

In each worker of an app, while it runs: ``CeleryDrain("redis://…").join(app)``.  Once, from a
shell: ``python -m windlass.contrib.celery.drain jobs:app --broker redis://… --until-empty``.
"""

import argparse
import asyncio
import json
import logging
import os
import pkgutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from windlass import App, BadOption, UnavailableError, WindlassError
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
from windlass.errors import AppNotFound, BadBroker, BrokerUnavailable, CeleryStillRuns

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
        pump = self._pump(app_of(app), once=False)
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
        self._ledger = Ledger()
        pump = self._pump(app_of(app), once=True)
        pump.start()
        try:
            await asyncio.shield(pump.ended)
        finally:
            await pump.stop()
        return self.report()

    def report(self) -> DrainReport:
        """Return what became of the messages: since the last ``until_empty`` here, if any."""
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

    def _pump(self, app: App, *, once: bool) -> Pump:
        return Pump(
            without_password(self._broker),
            self._queues,
            source_of(self._broker, self._options),
            Intake(app, self._names),
            self._ledger,
            self._accept,
            once=once,
        )


def app_of(app: Any) -> App:
    """Return an app, or that of a front end.  Raises: BadOption."""
    own = getattr(app, "windlass_app", app)
    if not isinstance(own, App):
        raise BadOption("app", app, "must be a windlass.App, or have one as its windlass_app")
    return own


# -- from a shell ------------------------------------------------------------


def main() -> int:
    """Drain as the command line says, and print a report.

    Exit code: 0, or 1 if anything was left or is reserved by others, 2 for a mistake, 3 if the
    broker or the store is away.
    """
    options = _parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)-7s %(name)s  %(message)s")
    try:
        return _drain_as(options)
    except WindlassError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, UnavailableError) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m windlass.contrib.celery.drain",
        description="Make jobs of what waits in queues of Celery.  Exit code: 0, or 1 if anything "
        "was left or is reserved by others, 2 for a mistake, 3 without broker or store.",
    )
    add, broker = parser.add_argument, os.environ.get("CELERY_BROKER_URL")
    add("app", help="the app, or its front end, as module:attribute")
    add("--broker", metavar="URL", default=broker, required=broker is None,
        help="as Celery has it; default: CELERY_BROKER_URL")  # fmt: skip
    add("--queue", action="append", help="of Celery; again for more; default: celery")
    add("--name", action="append", default=[], metavar="OLD=NEW", help="a task that was renamed")
    add("--accept", action="append", help="a serializer; again for more; default: json")
    add("--transport-options", type=json.loads, metavar="JSON", help="as Celery has them")
    add("--store", metavar="URL", help="of the jobs, over the app's own")
    add("--restore-reserved", action="store_true",
        help="first put back what stopped Celery workers had reserved on Redis")  # fmt: skip
    add("--until-empty", action="store_true", help="end when nothing more can be taken")
    return parser


def _drain_as(options: argparse.Namespace) -> int:
    sys.path.insert(0, os.getcwd())
    try:
        app = app_of(pkgutil.resolve_name(options.app))
    except (ImportError, AttributeError, ValueError) as error:
        raise AppNotFound(options.app, f"{type(error).__name__}: {error}") from error
    if options.store:
        app.use_store(options.store)
    drain = CeleryDrain(
        options.broker,
        queues=options.queue or ("celery",),
        names=dict(each.partition("=")[::2] for each in options.name),
        accept=options.accept or ("json",),
        transport_options=options.transport_options,
    )
    if options.restore_reserved:
        print(f"put back: {drain.restore_reserved():,}")
    ended = asyncio.run(_until_told(drain, app, until_empty=options.until_empty))
    report = drain.report()
    print("\n".join(report.lines()))
    if options.until_empty and not ended:
        print("stopped before the queues were empty")
        return 1
    return 1 if report.left or report.reserved else 0


async def _until_told(drain: CeleryDrain, app: App, *, until_empty: bool) -> bool:
    """Drain; tell whether that ended by itself."""
    task = asyncio.current_task()
    assert task is not None
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, task.cancel)
    async with app.session():
        try:
            if until_empty:
                await drain.until_empty(app)
            else:
                async with drain.running(app):
                    await asyncio.Event().wait()
        except asyncio.CancelledError:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
