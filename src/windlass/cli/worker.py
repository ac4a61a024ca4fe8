"""``windlass worker``: run jobs until told to stop."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import typer

from windlass.app import App
from windlass.cli.autoscale import Rules, bounds_of
from windlass.cli.logs import configure_logging
from windlass.cli.reports import Reporter
from windlass.cli.signals import STOP_SIGNALS, dump_stacks_on_request, terminal_hangs_up
from windlass.cli.target import load_app
from windlass.core.address import address_of
from windlass.core.sizes import bytes_of
from windlass.engine.notify import Notifier
from windlass.engine.worker import Worker
from windlass.errors import BadOption, UnavailableError
from windlass.model.health import Health

log = logging.getLogger("windlass.cli.worker")

T = TypeVar("T")

THREADS_END_S = 0.5
LEAVE_S = 2.0
START_AGAIN_S = 2.0
SUCCESSOR = "WINDLASS_SUCCESSOR"  # from one process to the next, never to be set by people


SETTING_OF = {
    "concurrency": "concurrency",
    "thread_slots": "thread_slots",
    "process_slots": "process_slots",
    "max_jobs": "recycle_after_jobs",
    "max_memory": "recycle_above_bytes",
}

Target = Annotated[str, typer.Argument(help="The app, as module:attribute.", envvar="WINDLASS_APP")]
Processes = Annotated[
    str, typer.Option(metavar="N or MIN:MAX", help="Worker processes; a range scales by itself.")
]
UpAfter = Annotated[
    float, typer.Option(min=0, help="Seconds of full slots after which a process is added.")
]
DownAfter = Annotated[
    float, typer.Option(min=0, help="Seconds of idle slots after which a process is stopped.")
]
Concurrency = Annotated[
    int | None, typer.Option(min=1, help="Jobs at the same time, in each process.")
]
ThreadSlots = Annotated[
    int | None, typer.Option(min=1, help="Threads for plain functions, in each process.")
]
ProcessSlots = Annotated[
    int | None, typer.Option(min=1, help="Children for isolated tasks, in each process.")
]
Queues = Annotated[str | None, typer.Option(help="Queues to serve, separated by commas.")]
Store = Annotated[str | None, typer.Option(help="URL of the store, over the app's own.")]
LogLevel = Annotated[str | None, typer.Option(help="debug, info, warning or error.")]
HealthAddress = Annotated[
    str | None,
    typer.Option(
        metavar="[HOST:]PORT",
        help="Tell over HTTP whether it is live and ready; on loopback if no host is given.",
    ),
]
MaxJobs = Annotated[int | None, typer.Option(min=1, help="Jobs after which a process is replaced.")]
MaxMemory = Annotated[
    str | None, typer.Option(help="Memory above which a process is replaced, such as 512MB.")
]
FiresSchedules = Annotated[
    bool, typer.Option("--scheduler", help="Fire schedules too, when no other scheduler leads.")
]
StopsWhenDone = Annotated[
    bool, typer.Option("--burst", help="Stop when nothing is left that could start now.")
]
Descriptor = Annotated[int | None, typer.Option(hidden=True)]


def worker(
    target: Target,
    processes: Processes = "1",
    concurrency: Concurrency = None,
    thread_slots: ThreadSlots = None,
    process_slots: ProcessSlots = None,
    queues: Queues = None,
    store: Store = None,
    log_level: LogLevel = None,
    health: HealthAddress = None,
    max_jobs: MaxJobs = None,
    max_memory: MaxMemory = None,
    scale_up_after: UpAfter = 3.0,
    scale_down_after: DownAfter = 30.0,
    scheduler: FiresSchedules = False,
    burst: StopsWhenDone = False,
    lifeline: Descriptor = None,
    report: Descriptor = None,
) -> int:
    """Run jobs until SIGTERM or Ctrl-C.

    The first signal lets what runs end; the second releases it at once.  SIGHUP replaces the
    process by a fresh one when what runs has ended.
    Exit code: 0 after an orderly stop, 2 for a mistake in the configuration, 3 without a store.
    """
    options = {
        "concurrency": concurrency,
        "thread_slots": thread_slots,
        "process_slots": process_slots,
        "store": store,
        "log_level": log_level,
        "max_jobs": max_jobs,
        "max_memory": None if max_memory is None else bytes_of("max-memory", max_memory),
    }
    address = None if health is None else address_of("health", health)
    bounds = bounds_of("processes", processes)
    dump_stacks_on_request()
    birth = Birth.of_this_process()
    notifier = Notifier.taken_from(os.environ, os.getpid())
    tell = [] if notifier is None else [notifier.tell]
    if bounds.most > 1:
        if burst:
            raise BadOption("processes", processes, "a burst runs in one process")
        from windlass.cli.supervisor import supervise, worker_command

        configure_logging(log_level or "info")
        command = worker_command(target, queues=queues, scheduler=scheduler, **options)
        rules = Rules(bounds, scale_up_after, scale_down_after)
        return supervise(command, rules, address=address, tell=tell)
    app = _app_with(target, options)
    reporter = None if report is None else Reporter(report)
    own = OwnProcess(app, target, birth, lifeline, reporter)
    own.run(queues=_names(queues), health=health, tell=tell, scheduler=scheduler, burst=burst)
    return 0


def _app_with(target: str, options: Mapping[str, Any]) -> App:
    """Load the app, and put the options in the place of its own settings."""
    app = load_app(target)
    if options["store"] is not None:
        app.use_store(options["store"])
    given = {SETTING_OF[name]: options[name] for name in SETTING_OF if options[name] is not None}
    app.use_settings(**given)
    configure_logging(options["log_level"] or app.settings.log_level)
    return app


def _names(queues: str | None) -> list[str] | None:
    if queues is None:
        return None
    return [name for part in queues.split(",") if (name := part.strip())]


class Stopper:
    """Turns signals into the worker's stop: the first one is patient, the next ones are not.

    give_up: ends the start while there is no worker yet, so nothing has been claimed.
    """

    def __init__(self, give_up: Callable[[], object]) -> None:
        self._give_up = give_up
        self._worker: Worker | None = None
        self._signals = 0

    @property
    def was_told(self) -> bool:
        """Whether a signal asked for the end."""
        return self._signals > 0

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

    def hang_up(self) -> None:
        """Make way for a fresh process when what runs has ended."""
        if self._worker is None:
            self._give_up()
        else:
            log.info("SIGHUP: a fresh process follows when what runs has ended")
            self._worker.retire()


# -- the process -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Birth:
    """What this process began with, and what its successor is to begin with.

    is_successor: it took over from a retired worker, so it waits for a store that is away.
    """

    environ: Mapping[str, str]
    folder: Path
    is_successor: bool

    @classmethod
    def of_this_process(cls) -> Self:
        """Take it down, and the mark of a successor out of the environment."""
        is_successor = os.environ.pop(SUCCESSOR, None) is not None
        return cls(dict(os.environ), Path.cwd(), is_successor)


class OwnProcess:
    """A worker in this very process: its signals, its parent if it has one, and its successor.

    lifeline: a pipe that ends when the parent, a supervisor, is gone.
    reporter: tells the supervisor.
    """

    def __init__(
        self,
        app: App,
        target: str,
        birth: Birth,
        lifeline: int | None,
        reporter: Reporter | None,
    ) -> None:
        self._app = app
        self._target = target
        self._lifeline = lifeline
        self._reporter = reporter
        self._birth = birth
        self._worker: Worker | None = None

    def run(
        self,
        *,
        queues: list[str] | None,
        health: str | None,
        tell: Sequence[Callable[[Health], None]],
        **options: bool,
    ) -> None:
        """Work until a stop.  Where the worker has retired and nobody stands above this process,
        it begins again: a fresh interpreter under the same process id."""
        reporting = [] if self._reporter is None else [self._reporter.tell]
        work = self._work(queues=queues, health=health, on_health=[*tell, *reporting], **options)
        begins_again = _run(work, leave=self._leave)
        if begins_again:
            self._begin_again()
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)

    async def _work(self, **options: Any) -> bool:
        """Run the worker; return whether a fresh process is to follow."""
        this = asyncio.current_task()
        assert this is not None
        stopper = self._stopper = Stopper(give_up=this.cancel)
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, stopper.signal)
        hang_up = stopper.signal if terminal_hangs_up() else stopper.hang_up
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        if self._lifeline is not None:
            os.set_inheritable(self._lifeline, False)
            loop.add_reader(self._lifeline, _parent_is_gone, loop, self._lifeline, stopper)
        with contextlib.suppress(asyncio.CancelledError):
            await self._run_worker(**options)
        return self._begins_again

    async def _run_worker(self, **options: Any) -> None:
        """Run the worker; a successor's start is repeated while the store is away."""
        while True:
            try:
                return await self._app.run_worker(
                    target=self._target, on_ready=self._take_worker, **options
                )
            except UnavailableError as error:
                if not self._birth.is_successor:
                    raise
                log.warning("the start waits: %s; again in %g s", error, START_AGAIN_S)
            await asyncio.sleep(START_AGAIN_S)

    @property
    def _begins_again(self) -> bool:
        if self._lifeline is not None or self._stopper.was_told:
            return False
        return self._worker is None or self._worker.makes_way

    def _take_worker(self, worker: Worker) -> None:
        self._worker = worker
        self._stopper.ready(worker)
        if self._reporter is not None:
            self._reporter.ready(worker)

    def _leave(self) -> None:
        """Leave at once, whatever other threads do."""
        if self._begins_again:
            self._begin_again()
        _flush()
        os._exit(0)

    def _begin_again(self) -> None:
        log.info("a fresh process takes over")
        _flush()
        command = [sys.executable, *sys.orig_argv[1:]]
        os.chdir(self._birth.folder)
        os.execve(sys.executable, command, {**self._birth.environ, SUCCESSOR: "1"})  # noqa: S606


def _parent_is_gone(loop: asyncio.AbstractEventLoop, lifeline: int, stopper: Stopper) -> None:
    loop.remove_reader(lifeline)
    log.warning("the parent process is gone")
    stopper.signal()


def _run(work: Coroutine[Any, Any, T], *, leave: Callable[[], None]) -> T:
    """Run the loop to its end; no thread of user code can hold the process after it."""
    runner = asyncio.Runner(loop_factory=_loop_factory())
    try:
        result = runner.run(work)
        _leave_if_threads_are_deaf(leave)
    finally:
        runner.close()
    return result


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _leave_if_threads_are_deaf(leave: Callable[[], None]) -> None:
    """Leave at once if attempts go on in threads; soon, if other threads hold the exit up."""
    end = time.monotonic() + THREADS_END_S
    for thread in _attempt_threads():
        thread.join(max(0.0, end - time.monotonic()))
    if deaf := _attempt_threads():
        log.warning("%d threads ignore their cancellation and are left behind", len(deaf))
        leave()
    watch = threading.Timer(LEAVE_S, _leave_if_held, (leave,))
    watch.daemon = True
    watch.start()


def _attempt_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("windlass-thread-")]


def _leave_if_held(leave: Callable[[], None]) -> None:
    held = [each for each in threading.enumerate() if not each.daemon]
    if any(each is not threading.main_thread() for each in held):
        log.warning("threads that user code began hold the exit up and are left behind")
        leave()


def _flush() -> None:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
