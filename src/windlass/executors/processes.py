"""Functions in warm child processes, each of which can be killed with all that it started."""

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
from msgspec.structs import replace as with_

from windlass.core.capture import type_name
from windlass.core.context import Context
from windlass.core.tasks import TaskSpec, outcome_told
from windlass.errors import (
    AppNotFound,
    AttemptTimeout,
    BadOption,
    ChildDied,
    CpuExceeded,
    MemoryExceeded,
    PickleRefused,
    TaskError,
)
from windlass.executors import frames
from windlass.executors.budget import budget_exceeded, is_limited
from windlass.model.jobs import Claim
from windlass.model.outcomes import Failed, Outcome, Released, Succeeded
from windlass.ports import Clock

START_TIMEOUT_S = 60.0
REAP_WAIT_S = 2.0
FRAME_SLACK_BYTES = 1024 * 1024  # an error's text is bounded well below this
RECEIVE_BYTES = 64 * 1024
OWN_PREFIX = "WINDLASS_"


_OVER_BUDGET = {type_name(CpuExceeded), type_name(MemoryExceeded)}


class ProcessExecutor:
    """Up to ``slots`` children, started as they are needed, one attempt at a time each.

    target:  ``module:attribute`` or ``path/to/script.py:attribute`` of the app, which each
             child imports; ``__main__:attribute`` means the script or module that runs now.
    environ: what the children get, without the ``WINDLASS_*`` variables: those hold the
             store's address and secrets.  All else is kept, because tasks need their own
             settings; so give the store's secret in a ``WINDLASS_*`` variable only.
    clock:   tells attempts with a time limit when that will end.
    Limits:  the time limit of a task begins when its code does, not while a child starts;
             a child that is not ready within ``start_timeout_s`` is a failed attempt.
    Recycle: a child that has served ``recycle_after_jobs`` attempts, or as many as the task of
             the last one says, is not used again.
    Raises:  AppNotFound, when there is no target that a child could import.
    """

    def __init__(
        self,
        target: str | None,
        slots: int,
        *,
        environ: Mapping[str, str],
        python: str = sys.executable,
        start_timeout_s: float = START_TIMEOUT_S,
        clock: Clock | None = None,
        recycle_after_jobs: int | None = None,
        store_url: str | None = None,
    ) -> None:
        assert slots > 0
        self._target = importable_target(target)
        self._environ = child_environ(environ)
        self._python = python
        self._start_timeout_s = start_timeout_s
        self._clock = clock
        self._child_key = secrets.token_hex()
        self._store_url = store_url
        self._recycle_after_jobs = recycle_after_jobs
        self._free = asyncio.Semaphore(slots)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._lifeline: tuple[int, int] | None = None
        self._stopped = False

    async def start(self) -> None:
        """Make ready; no child is started before the first attempt."""
        self._stopped = False

    async def stop(self) -> None:
        """Kill every child with all that it started, and wait until they are gone.  Idempotent."""
        self._stopped = True
        self._idle.clear()
        children = list(self._children)
        for child in children:
            child.kill()
        for child in children:
            await self._discard(child)
        if self._lifeline is not None:
            for end in self._lifeline:
                os.close(end)
            self._lifeline = None

    async def run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        """Run one attempt in a child; at its time limit, or on a cancel, the child is killed.

        A pickle is proved here and signed anew for the child, which has no part in the app's key.
        """
        signature = spec.signature
        try:
            payload = signature.payload_for(claim.payload, self._child_key)
            outcome = await self._run(spec, with_(claim, payload=payload), context)
            if isinstance(outcome, Succeeded):
                return Succeeded(signature.result_from(outcome.result, self._child_key))
        except PickleRefused as error:
            return outcome_told(spec, error, context)
        return outcome

    async def _run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        async with self._free:
            if self._stopped:
                return Released()
            try:
                child = self._take_child()
            except OSError as error:
                died = ChildDied(spec.name, f"it could not be started: {error}")
                return outcome_told(spec, died, context)
            try:
                outcome = await self._attempt(child, spec, claim, context)
            except BaseException:
                await self._discard(child)
                raise
            if outcome is None:
                await self._discard(child)
                outcome = self._outcome_of_death(spec, child, context)
            elif self._is_of_use(child, spec, outcome):
                self._idle.append(child)
            else:
                await self._discard(child)
            return outcome

    async def _attempt(
        self, child: "_Child", spec: TaskSpec, claim: Claim, context: Context
    ) -> Outcome | None:
        """Return the outcome, or None when the child has died under it."""
        if not child.is_warm:
            failure = await self._warm_up(child, spec, context)
            if not child.is_warm:
                return failure
        if self._clock is not None and spec.timeout_s is not None:
            context.deadline = self._clock.now() + timedelta(seconds=spec.timeout_s)
        start = frames.Start(claim, context.deadline)
        enforcing = None
        if is_limited(spec):
            enforcing = asyncio.create_task(child.kill_over_budget(spec))
        try:
            async with asyncio.timeout(spec.timeout_s):
                limit_bytes = spec.result_limit_bytes + FRAME_SLACK_BYTES
                answer = await child.ask(start, limit_bytes, context.progress)
        except TimeoutError:
            child.kill()
            assert spec.timeout_s is not None
            return outcome_told(spec, AttemptTimeout(spec.name, spec.timeout_s), context)
        finally:
            if enforcing is not None:
                enforcing.cancel()
        return answer.outcome if isinstance(answer, frames.Ended) else None

    async def _warm_up(self, child: "_Child", spec: TaskSpec, context: Context) -> Outcome | None:
        """Have a new child load the app; return why it could not."""
        hello = frames.Hello(
            self._target,
            sys.path.copy(),
            spec.signature.formats.default,
            spec.result_limit_bytes,
            self._child_key,
            self._store_url,
        )
        try:
            async with asyncio.timeout(self._start_timeout_s):
                answer = await child.ask(hello, FRAME_SLACK_BYTES)
        except TimeoutError:
            child.kill()
            why = f"it was not ready within {self._start_timeout_s:g} s"
            return outcome_told(spec, ChildDied(spec.name, why), context)
        if isinstance(answer, frames.StartFailed):
            return Failed(answer.error)
        child.is_warm = isinstance(answer, frames.Ready)
        return None

    def _outcome_of_death(self, spec: TaskSpec, child: "_Child", context: Context) -> Outcome:
        if self._stopped:
            return Released(started=True)
        if child.exceeded is not None:
            return outcome_told(spec, child.exceeded, context)
        why = child.cause_of_death()
        if spec.memory_limit_bytes is not None:
            why += f" (its memory_limit is {spec.memory_limit_bytes:,} bytes)"
        return outcome_told(spec, ChildDied(spec.name, why), context)

    def _is_of_use(self, child: "_Child", spec: TaskSpec, outcome: Outcome) -> bool:
        """Tell whether a child that has just served may serve again."""
        child.served += 1
        if isinstance(outcome, Failed) and outcome.error.type in _OVER_BUDGET:
            return False  # what filled it may still be there
        limit = spec.recycle_after_jobs or self._recycle_after_jobs
        is_worn = limit is not None and child.served >= limit
        return child.is_usable and not is_worn and not self._stopped

    # -- the children --------------------------------------------------------

    def _take_child(self) -> "_Child":
        while self._idle:
            child = self._idle.pop()  # the one used last is the warmest
            if child.is_usable:
                return child
            child.kill()
            child.close()
            self._children.discard(child)
        if self._lifeline is None:
            self._lifeline = os.pipe()
        child = _Child(self._python, self._environ, self._lifeline[0])
        self._children.add(child)
        return child

    async def _discard(self, child: "_Child") -> None:
        child.kill()
        try:
            await child.wait_until_gone(REAP_WAIT_S)
        finally:
            child.close()
            self._children.discard(child)


class _Child:
    """One child process, its process group, and the socket to it."""

    def __init__(self, python: str, environ: Mapping[str, str], lifeline_fd: int) -> None:
        self.is_alive = True
        self.is_warm = False
        self.served = 0
        self.exceeded: TaskError | None = None
        self._was_killed = False
        self._loop = asyncio.get_running_loop()
        self._gone = asyncio.Event()
        self._broke: str | None = None
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        fds = (theirs.fileno(), lifeline_fd)
        command = [python, "-P", "-m", "windlass.executors.child", *map(str, fds)]
        # Popen and not asyncio's: no await between a process's birth and its being known here.
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=fds,
                env=environ,
                start_new_session=True,
            )
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()
        name = f"windlass-reaper-{self._process.pid}"
        self._reaper = threading.Thread(target=self._reap, name=name, daemon=True)
        self._reaper.start()

    @property
    def is_usable(self) -> bool:
        """Whether it can be given an attempt: it has loaded the app and is not dead or dying."""
        if not self.is_warm or self._was_killed:
            return False
        try:  # the kernel closes a dead process's socket before anybody can reap it
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False  # closed, or it talks unasked

    async def ask(
        self,
        frame: frames.ToChild,
        limit_bytes: int,
        progressed: Callable[[float, str], None] | None = None,
    ) -> frames.FromChild | None:
        """Send a frame and return the answer; None if the child dies or talks nonsense.

        progressed: told how far the attempt is, until the answer comes.
        """
        try:
            await self._loop.sock_sendall(self._socket, frames.pack(frame))
            while True:
                head = await self._receive(frames.HEAD.size)
                size_bytes = frames.HEAD.unpack(head)[0]
                if size_bytes > limit_bytes:
                    self._broke = f"it sent a frame of {size_bytes:,} bytes"
                    return None
                answer = frames.from_child.decode(await self._receive(size_bytes))
                if progressed is None or not isinstance(answer, frames.Progressed):
                    return answer
                progressed(answer.fraction, answer.message)
        except (OSError, EOFError):
            return None
        except (msgspec.DecodeError, BadOption) as error:
            self._broke = f"it sent a frame that cannot be read ({error})"
            return None

    async def _receive(self, size_bytes: int) -> bytes:
        parts = bytearray()
        while len(parts) < size_bytes:
            wanted = min(size_bytes - len(parts), RECEIVE_BYTES)
            part = await self._loop.sock_recv(self._socket, wanted)
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def kill(self) -> None:
        """Kill the child's whole process group.  Idempotent."""
        self._was_killed = True
        if self.is_alive:
            _kill_group(self._process.pid)

    async def kill_over_budget(self, spec: TaskSpec) -> None:
        """Kill the child when it uses more than its attempt may; to be cancelled at its end."""
        self.exceeded = await budget_exceeded(spec, self._process.pid)
        self.kill()

    async def wait_until_gone(self, limit_s: float) -> None:
        """Wait until the child has been reaped, or for ``limit_s``."""
        try:
            async with asyncio.timeout(limit_s):
                await self._gone.wait()
        except TimeoutError:  # stuck in the kernel; the reaper goes on waiting
            return
        self._reaper.join()

    def close(self) -> None:
        """Let go of the socket.  Idempotent."""
        self._socket.close()

    def cause_of_death(self) -> str:
        """Say how the child ended."""
        if self._broke is not None:
            return self._broke
        code = self._process.returncode
        when = "" if self.is_warm else " while it loaded the app"
        if code is None:
            return f"it does not answer and cannot be killed{when}"
        if code >= 0:
            return f"it exited with code {code}{when}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = "; was it out of memory?" if name == "SIGKILL" else ""
        return f"it was killed by {name}{when}{hint}"

    def _reap(self) -> None:
        self._process.wait()
        self.is_alive = False
        _kill_group(self._process.pid)  # what it started goes with it
        try:
            self._loop.call_soon_threadsafe(self._gone.set)
        except RuntimeError:  # the loop is closed: nobody waits
            return


def _kill_group(leader_pid: int) -> None:
    """Kill a process group, if it still has members.

    The guardian inside the group keeps its number from being given to another.
    """
    try:
        os.killpg(leader_pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # PermissionError: only zombies, on macOS
        return


def child_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a child: without Windlass's own settings and secrets."""
    return {name: value for name, value in environ.items() if not name.startswith(OWN_PREFIX)}


def importable_target(target: str | None) -> str:
    """Return a target that a child can import.  Raises: AppNotFound."""
    if target is None:
        raise AppNotFound(
            "None", 'tasks with isolation="process" run in child processes, which must import it'
        )
    place, _, attribute = target.rpartition(":")
    if not place or not attribute:
        raise AppNotFound(target, "it is not of that form")
    if place == "__main__":
        place = _running_main(target)
    if place.endswith(".py"):
        place = str(Path(place).resolve())
    return f"{place}:{attribute}"


def _running_main(target: str) -> str:
    main = sys.modules["__main__"]
    if main.__spec__ is not None and main.__spec__.name:
        return main.__spec__.name
    path = getattr(main, "__file__", None)
    if path is None or not str(path).endswith(".py"):
        raise AppNotFound(target, "a child cannot import what was typed into the interpreter")
    return str(path)
