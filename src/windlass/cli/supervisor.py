"""Several worker processes under one parent that starts them again when they die."""

import asyncio
import contextlib
import itertools
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from windlass.cli.autoscale import Rules, Trend, decide
from windlass.cli.reports import ReportReader
from windlass.cli.signals import STOP_SIGNALS, terminal_hangs_up
from windlass.engine.health import HealthServer
from windlass.model.health import Health

log = logging.getLogger("windlass.cli.supervisor")

RESTART_MIN_S, RESTART_MAX_S = 0.5, 10.0
HEALTHY_S = 30.0
FIRST_START_S = 10.0
SILENT_S = 30.0
LOOK_S = 0.5
CONFIGURATION_CODES = frozenset({2, 3})
STOPPED_CODES = frozenset({0, -signal.SIGTERM})  # the latter: it came before the worker was up


def worker_command(target: str, **options: str | int | bool | None) -> list[str]:
    """Return the command that runs one worker process with these options.

    None and False are no option, True is a flag.
    """
    given = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f"={value}")
        for name, value in options.items()
        if value is not None and value is not False
    ]
    return [sys.executable, "-m", "windlass", "worker", "--processes=1", *given, "--", target]


def supervise(
    command: list[str],
    rules: Rules,
    *,
    address: tuple[str, int] | None = None,
    tell: Sequence[Callable[[Health], object]] = (),
) -> int:
    """Run worker processes until told to stop; return the exit code for this process.

    address: of the health endpoint, which speaks for all of them; None for none.
    tell:    called every half second with the health of all together.
    Raises:  CannotListen.
    """
    with Lifeline() as lifeline:
        return asyncio.run(Supervisor(command, rules, lifeline, address=address, tell=tell).run())


class Lifeline:
    """A pipe whose end the children see when this process is gone, however it went."""

    def __enter__(self) -> Self:
        self.child_end, self._own_end = os.pipe()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._own_end)
        os.close(self.child_end)

    def extend(self, command: list[str]) -> list[str]:
        """Return a worker's command with the option that names the pipe."""
        return with_options(command, f"--lifeline={self.child_end}")


def with_options(command: list[str], *options: str) -> list[str]:
    """Return a worker's command with more options."""
    end = command.index("--")
    return [*command[:end], *options, *command[end:]]


class Place:
    """Where one worker process after the other runs.

    was_ready: whether one of them has been ready.
    is_closed: whether nobody follows the process that runs there.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.was_ready = False
        self.child: Child | None = None
        self.is_closed = False

    @property
    def what_follows(self) -> str:
        """What a message says of the time after its child."""
        return "" if self.is_closed else "; a fresh one takes its place"


class Child:
    """One worker process, and what it says of itself."""

    def __init__(
        self, place: Place, process: asyncio.subprocess.Process, reports: ReportReader
    ) -> None:
        self.place = place
        self.reports = reports
        self._process = process
        self._began_at = asyncio.get_running_loop().time()
        self._ended = asyncio.ensure_future(self._wait())

    def __str__(self) -> str:
        return f"worker {self.place.number} (process {self._process.pid})"

    @property
    def lived_s(self) -> float:
        """For how long it has lived."""
        return asyncio.get_running_loop().time() - self._began_at

    async def ended(self) -> int:
        """Wait for its end and return its exit code."""
        return await asyncio.shield(self._ended)

    async def ended_or_retiring(self) -> int | None:
        """Return its exit code, or None once it claims no more but has not ended yet."""
        retiring = asyncio.ensure_future(self.reports.is_retiring.wait())
        try:
            await asyncio.wait({retiring, self._ended}, return_when="FIRST_COMPLETED")
        finally:
            retiring.cancel()
        return self._ended.result() if self._ended.done() else None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still lives."""
        # Not by asyncio: its send_signal polls first, and may so take the exit code away from
        # the thread that waits for it, which then reports 255.
        if not self._ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    async def _wait(self) -> int:
        try:
            return await self._process.wait()
        finally:
            self.reports.close()


class Supervisor:
    """Keeps worker processes alive.  Each has a process group of its own, so that Ctrl-C
    at a terminal reaches this process alone, which passes it on.

    tell: called every half second with the health of all together.
    """

    def __init__(
        self,
        command: list[str],
        rules: Rules,
        lifeline: Lifeline,
        *,
        address: tuple[str, int] | None = None,
        tell: Sequence[Callable[[Health], object]] = (),
    ) -> None:
        self._command = lifeline.extend(command)
        self._lifeline = lifeline
        self._address = address
        self._tell = tell
        self._rules = rules
        self._trend = Trend()
        self._numbers = itertools.count(1)
        self._places = [Place(next(self._numbers)) for _ in range(rules.bounds.least)]
        self._children: set[Child] = set()
        self._signals = 0
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Start the children, and tend each until a stop."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signal)
        hang_up = self._signal if terminal_hangs_up() else self._hang_up
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        loop.add_signal_handler(signal.SIGUSR1, self._pass_on, signal.SIGUSR1)
        async with AsyncExitStack() as stack:
            if self._address is not None:
                server = await stack.enter_async_context(HealthServer(*self._address, self.health))
                log.info("health is told at http://%s/health/live and …/ready", server.address)
            looking = asyncio.create_task(self._look())
            async with asyncio.TaskGroup() as self._tending:
                for place in self._places:
                    self._tending.create_task(self._tend(place))
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)
        return self._code

    def health(self) -> Health:
        """Return the health of all processes together."""
        for child in self._children:
            report = child.reports.last
            child.place.was_ready |= report is not None and report.health.ready
        return fleet_health(self._places, self._children, stopping=self._stopping.is_set())

    async def _look(self) -> None:
        while True:
            try:
                self._announce()
                if self._rules.bounds.least < self._rules.bounds.most:
                    self._scale()
            except Exception:
                log.exception("the look at the workers broke; again in %g s", LOOK_S)
            await asyncio.sleep(LOOK_S)

    def _announce(self) -> None:
        health = self.health()
        for tell in self._tell:
            tell(health)

    def _scale(self) -> None:
        """Act on what is decided of the number of processes."""
        if self._stopping.is_set():
            return
        reports = [place.child.reports.fresh if place.child else None for place in self._places]
        now = asyncio.get_running_loop().time()
        self._trend, step = decide(self._trend, reports, now, self._rules)
        if step > 0:
            place = Place(next(self._numbers))
            log.info("all slots are busy: a process more, %d in all", len(self._places) + 1)
            self._places.append(place)
            self._tending.create_task(self._tend(place))
        elif step < 0:
            log.info("a process is too many: one less, %d in all", len(self._places) - 1)
            self._close(min(self._places, key=_load))

    def _close(self, place: Place) -> None:
        place.is_closed = True
        self._places.remove(place)
        if place.child is not None:
            place.child.signal(signal.SIGHUP)

    # -- the children --------------------------------------------------------

    async def _tend(self, place: Place) -> None:
        """Keep one place filled: start a child, and another one when it dies or retires."""
        delay_s, is_first = RESTART_MIN_S, True
        while not self._stopping.is_set() and not place.is_closed:
            child = await self._start(place)
            code = await child.ended_or_retiring()
            if self._stopping.is_set():
                self._note_stopped(child, await child.ended())
            elif code is None:
                log.info("%s retires%s", child, place.what_follows)
                self._tending.create_task(self._see_off(child))
            elif code == 0 and child.lived_s >= RESTART_MIN_S:
                log.info("%s has retired%s", child, place.what_follows)
            elif is_first and child.lived_s < FIRST_START_S and code in CONFIGURATION_CODES:
                self._give_up(child, code)
            else:
                delay_s = RESTART_MIN_S if child.lived_s >= HEALTHY_S else delay_s
                log.warning("%s %s; again in %g s", child, ending(code), delay_s)
                await self._pause(delay_s)
                delay_s = min(2 * delay_s, RESTART_MAX_S)
            is_first = False

    async def _start(self, place: Place) -> Child:
        reports = ReportReader()
        try:
            process = await asyncio.create_subprocess_exec(
                *with_options(self._command, f"--report={reports.child_end}"),
                stdin=subprocess.DEVNULL,
                pass_fds=[self._lifeline.child_end, reports.child_end],
                process_group=0,
            )
        except BaseException:
            reports.close()
            raise
        finally:
            reports.close_child_end()
        child = place.child = Child(place, process, reports)
        log.info("worker %d is process %d", place.number, process.pid)
        self._children.add(child)
        for _ in range(self._signals):  # those that came while it was being started
            child.signal(signal.SIGTERM)
        self._tending.create_task(self._forget(child))
        return child

    async def _forget(self, child: Child) -> None:
        await child.ended()
        self._children.discard(child)

    async def _see_off(self, child: Child) -> None:
        code = await child.ended()
        log.info("%s %s", child, ending(code))
        if self._stopping.is_set():
            self._note_stopped(child, code)

    async def _pause(self, delay_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    def _signal(self) -> None:
        """Pass a stop on; the children hurry at the second one."""
        self._signals += 1
        self._stopping.set()
        self._announce()
        self._pass_on(signal.SIGTERM)

    def _hang_up(self) -> None:
        """Replace every child by a fresh one, which reads the code anew."""
        log.info("SIGHUP: fresh processes take the place of all workers")
        self._pass_on(signal.SIGHUP)

    def _pass_on(self, number: signal.Signals) -> None:
        for child in self._children:
            child.signal(number)

    def _give_up(self, child: Child, code: int) -> None:
        log.error("%s could not start; giving up", child)
        self._code = code
        if not self._stopping.is_set():
            self._signal()

    def _note_stopped(self, child: Child, code: int) -> None:
        if code not in STOPPED_CODES:
            log.warning("%s %s", child, ending(code))
            self._code = self._code or (code if code in CONFIGURATION_CODES else 1)


def fleet_health(
    places: Sequence[Place], children: "set[Child]", *, stopping: bool = False
) -> Health:
    """Return one health for several processes.

    Live:  each of them is, and has told so within 30 s.
    Ready: each place has had a process that was ready, and one is at this moment.
    """
    stalls, wants, ready = [], [], False
    for child in children:
        report = child.reports.last
        if child.reports.silent_s > SILENT_S:
            stalls.append(f"{child} has said nothing for {child.reports.silent_s:.0f} s")
        elif report is not None:
            stalls += [f"{child}: {stall}" for stall in report.health.stalls]
            wants += [f"{child}: {want}" for want in report.health.wants]
            ready |= report.health.ready
        else:
            wants.append(f"{child} starts")
    if ready and all(place.was_ready for place in places):
        wants = []
    elif not wants:
        wants = ["a worker process is being started"]
    if stopping:
        wants.append("it was told to stop")
    return Health(stalls=tuple(stalls), wants=tuple(wants), stopping=stopping)


def _load(place: Place) -> tuple[int, int]:
    """Order places by the attempts of their processes; of equals, the youngest first."""
    report = place.child.reports.last if place.child else None
    return (report.running if report else 0, -place.number)


def ending(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
