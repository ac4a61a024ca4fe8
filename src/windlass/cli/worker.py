"""``windlass worker``: run jobs until told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

from windlass.app import App
from windlass.cli.logs import configure_logging
from windlass.cli.reports import Reporter
from windlass.cli.target import load_app
from windlass.core.address import address_of
from windlass.engine.worker import Worker

log = logging.getLogger("windlass.cli.worker")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
THREADS_END_S = 0.5
LEAVE_S = 2.0


def worker(
    target: Annotated[
        str, typer.Argument(help="The app, as module:attribute.", envvar="WINDLASS_APP")
    ],
    processes: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 1,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Jobs at the same time, in each process.")
    ] = None,
    queues: Annotated[
        str | None, typer.Option(help="Queues to serve, separated by commas.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="URL of the store, over the app's own.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    health: Annotated[
        str | None,
        typer.Option(
            metavar="[HOST:]PORT",
            help="Tell over HTTP whether it is live and ready; on loopback if no host is given.",
        ),
    ] = None,
    lifeline: Annotated[int | None, typer.Option(hidden=True)] = None,
    report: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> int:
    """Run jobs until SIGTERM or Ctrl-C.

    The first signal lets what runs end; the second releases it at once.
    Exit code: 0 after an orderly stop, 2 for a mistake in the configuration, 3 without a store.
    """
    if processes > 1:
        from windlass.cli.supervisor import supervise, worker_command

        command = worker_command(
            target, concurrency=concurrency, queues=queues, store=store, log_level=log_level
        )
        configure_logging(log_level or "info")
        address = None if health is None else address_of("health", health)
        return supervise(command, processes, address=address)
    app = load_app(target)
    if store is not None:
        app.use_store(store)
    configure_logging(log_level or app.settings.log_level)
    reporter = None if report is None else Reporter(report)
    _run(_work(app, target, _names(queues), concurrency, health, lifeline, reporter))
    return 0


def _names(queues: str | None) -> list[str] | None:
    if queues is None:
        return None
    return [name for part in queues.split(",") if (name := part.strip())]


async def _work(
    app: App,
    target: str,
    queues: list[str] | None,
    concurrency: int | None,
    health: str | None,
    lifeline: int | None,
    reporter: Reporter | None,
) -> None:
    this = asyncio.current_task()
    assert this is not None
    stopper = Stopper(give_up=this.cancel)
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopper.signal)
    if lifeline is not None:
        os.set_inheritable(lifeline, False)
        loop.add_reader(lifeline, _parent_is_gone, loop, lifeline, stopper)

    def on_ready(worker: Worker) -> None:
        stopper.ready(worker)
        if reporter is not None:
            reporter.ready(worker)

    with contextlib.suppress(asyncio.CancelledError):
        await app.run_worker(
            queues=queues,
            concurrency=concurrency,
            target=target,
            on_ready=on_ready,
            health=health,
            on_health=[] if reporter is None else [reporter.tell],
        )


class Stopper:
    """Turns signals into the worker's stop: the first one is patient, the next ones are not.

    give_up: ends the start while there is no worker yet, so nothing has been claimed.
    """

    def __init__(self, give_up: Callable[[], object]) -> None:
        self._give_up = give_up
        self._worker: Worker | None = None
        self._signals = 0

    def ready(self, worker: Worker) -> None:
        """Take the worker that signals are meant for."""
        self._worker = worker

    def signal(self) -> None:
        """Stop the worker; hurry it if it was asked before."""
        self._signals += 1
        if self._worker is None:
            self._give_up()
        elif self._signals == 1:
            log.info("stopping; a second signal releases what runs at once")
            self._worker.stop()
        else:
            self._worker.hurry()


def _parent_is_gone(loop: asyncio.AbstractEventLoop, lifeline: int, stopper: Stopper) -> None:
    loop.remove_reader(lifeline)
    log.warning("the parent process is gone")
    stopper.signal()


# -- the process -------------------------------------------------------------


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run the loop to its end; no thread of user code can hold the process after it."""
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        runner.run(work)
        _leave_if_threads_are_deaf()
    finally:
        runner.close()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _leave_if_threads_are_deaf() -> None:
    """Leave at once if attempts go on in threads; soon, if other threads hold the exit up."""
    end = time.monotonic() + THREADS_END_S
    for thread in _attempt_threads():
        thread.join(max(0.0, end - time.monotonic()))
    if deaf := _attempt_threads():
        log.warning("%d threads ignore their cancellation and are left behind", len(deaf))
        _leave_now()
    watch = threading.Timer(LEAVE_S, _leave_if_held)
    watch.daemon = True
    watch.start()


def _attempt_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("windlass-thread-")]


def _leave_if_held() -> None:
    held = [each for each in threading.enumerate() if not each.daemon]
    if any(each is not threading.main_thread() for each in held):
        log.warning("threads that user code began hold the exit up and are left behind")
        _leave_now()


def _leave_now() -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
