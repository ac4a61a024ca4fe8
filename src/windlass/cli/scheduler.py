"""``windlass scheduler``: fire schedules until told to stop."""

import asyncio
import logging
import os
from typing import Annotated

import typer

from windlass.app import App
from windlass.cli.logs import configure_logging
from windlass.cli.signals import STOP_SIGNALS, dump_stacks_on_request
from windlass.cli.target import load_app
from windlass.engine.notify import Notifier
from windlass.engine.scheduler import Scheduler

log = logging.getLogger("windlass.cli.scheduler")


def scheduler(
    target: Annotated[
        str, typer.Argument(help="The app, as module:attribute.", envvar="WINDLASS_APP")
    ],
    store: Annotated[str | None, typer.Option(help="URL of the store, over the app's own.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    health: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Tell over HTTP whether it is live and ready; on loopback if no host is given.",
        ),
    ] = None,
) -> int:
    """Fire schedules until SIGTERM or Ctrl-C; run no jobs.

    Start as many as you like: one leads, and the others take its place when it is gone.
    Exit code: 0 after an orderly stop, 2 for a mistake in the configuration, 3 without a store.
    """
    dump_stacks_on_request()
    notifier = Notifier.taken_from(os.environ, os.getpid())
    app = load_app(target)
    if store is not None:
        app.use_store(store)
    configure_logging(log_level or app.settings.log_level)
    asyncio.run(_run(app, health, notifier))
    return 0


async def _run(app: App, health: str | None, notifier: Notifier | None) -> None:
    this = asyncio.current_task()
    assert this is not None
    stop = Stopper(this)
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.signal)
    tell = [] if notifier is None else [notifier.tell]
    try:
        await app.run_scheduler(on_ready=stop.ready, health=health, on_health=tell)
    except asyncio.CancelledError:
        if not stop.was_told:
            raise


class Stopper:
    """Turns signals into the scheduler's stop; before it is ready they end the start."""

    def __init__(self, starting: "asyncio.Task[None]") -> None:
        self._starting = starting
        self._scheduler: Scheduler | None = None
        self.was_told = False

    def ready(self, scheduler: Scheduler) -> None:
        """Take the scheduler that signals are meant for."""
        self._scheduler = scheduler

    def signal(self) -> None:
        """Stop; a second signal does not wait for the hand-over."""
        if self._scheduler is None or self.was_told:
            self._starting.cancel()
        else:
            log.info("stopping: the lead is handed over; a second signal does not wait for that")
            self._scheduler.stop()
        self.was_told = True
