"""Several worker processes under one parent that starts them again when they die."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

log = logging.getLogger("windlass.cli.supervisor")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
RESTART_MIN_S, RESTART_MAX_S = 0.5, 10.0
HEALTHY_S = 30.0
FIRST_START_S = 10.0
CONFIGURATION_CODES = frozenset({2, 3})
STOPPED_CODES = frozenset({0, -signal.SIGTERM})  # the latter: it came before the worker was up


def worker_command(
    target: str,
    *,
    concurrency: int | None = None,
    queues: str | None = None,
    store: str | None = None,
    log_level: str | None = None,
) -> list[str]:
    """Return the command that runs one worker process with these options."""
    options = {
        "--concurrency": concurrency,
        "--queues": queues,
        "--store": store,
        "--log-level": log_level,
    }
    given = [f"{name}={value}" for name, value in options.items() if value is not None]
    return [sys.executable, "-m", "windlass", "worker", "--processes=1", *given, "--", target]


def supervise(command: list[str], processes: int) -> int:
    """Run ``processes`` workers until told to stop; return the exit code for this process."""
    with Lifeline() as lifeline:
        return asyncio.run(Supervisor(lifeline.extend(command), processes, lifeline).run())


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
        end = command.index("--")
        return [*command[:end], f"--lifeline={self.child_end}", *command[end:]]


class Supervisor:
    """Keeps worker processes alive.  Each has a process group of its own, so that Ctrl-C
    at a terminal reaches this process alone, which passes it on."""

    def __init__(self, command: list[str], processes: int, lifeline: Lifeline) -> None:
        self._command = command
        self._processes = processes
        self._lifeline = lifeline
        self._children: set[asyncio.subprocess.Process] = set()
        self._signals = 0
        self._stopping = asyncio.Event()
        self._code = 0

    async def run(self) -> int:
        """Start the children, and tend each until a stop."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._signal)
        async with asyncio.TaskGroup() as tending:
            for place in range(1, self._processes + 1):
                tending.create_task(self._tend(place))
        return self._code

    async def _tend(self, place: int) -> None:
        """Keep one place filled: start a child, and another one when it dies."""
        delay_s, is_first = RESTART_MIN_S, True
        while not self._stopping.is_set():
            code, lived_s = await self._live(place)
            if self._stopping.is_set():
                self._note_stopped(place, code)
            elif is_first and lived_s < FIRST_START_S and code in CONFIGURATION_CODES:
                self._give_up(place, code)
            else:
                delay_s = RESTART_MIN_S if lived_s >= HEALTHY_S else delay_s
                log.warning("worker %d %s; again in %g s", place, ending(code), delay_s)
                await self._pause(delay_s)
                delay_s = min(2 * delay_s, RESTART_MAX_S)
            is_first = False

    async def _live(self, place: int) -> tuple[int, float]:
        """Run one child to its end; return its exit code and for how long it lived."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        child = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=subprocess.DEVNULL,
            pass_fds=[self._lifeline.child_end],
            process_group=0,
        )
        log.info("worker %d is process %d", place, child.pid)
        self._children.add(child)
        for _ in range(self._signals):  # those that came while it was being started
            _terminate(child)
        try:
            return await child.wait(), loop.time() - began
        finally:
            self._children.discard(child)

    async def _pause(self, delay_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay_s):
                await self._stopping.wait()

    def _signal(self) -> None:
        """Pass a stop on; the children hurry at the second one."""
        self._signals += 1
        self._stopping.set()
        for child in self._children:
            _terminate(child)

    def _give_up(self, place: int, code: int) -> None:
        log.error("worker %d could not start; giving up", place)
        self._code = code
        if not self._stopping.is_set():
            self._signal()

    def _note_stopped(self, place: int, code: int) -> None:
        if code not in STOPPED_CODES:
            log.warning("worker %d %s", place, ending(code))
            self._code = self._code or (code if code in CONFIGURATION_CODES else 1)


def ending(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _terminate(child: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
