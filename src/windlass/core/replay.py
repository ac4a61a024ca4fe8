"""Runs the function of a workflow again from its start, over the steps that are recorded.

Each attempt is one ``Replay``. Steps that have ended return or raise at once; those that are not
known yet come back as requests; when the function can go no further, the attempt is over. What
the function does depends on the journal alone, and a journal that has grown leads it the same
way, and then further:

- A step's key is the scope of the asyncio task that awaits it (``Scope``), the name of its task,
  and which use of that name it is there.
- Ends are delivered one at a time, in the order in which earlier attempts saw them and then in
  that of their instants, each only when nothing else can run.
- Time is the instant of the end that was delivered last. A sleep or a timeout is a step too.

The function is not told that an attempt is over. Its coroutines are ended as Python ends any that
nobody goes on with: ``finally`` and ``with`` blocks run, each time, and what they ask for is not
heard; ``except Exception`` and ``except CancelledError`` see nothing.
"""

import asyncio
import heapq
import math
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

import msgspec

from windlass.core.replay_loop import CALLS_MAX, Call, ReplayLoop, ReplayTask
from windlass.errors import (
    ConfigurationError,
    NotInRun,
    UnavailableError,
    WorkflowDiverged,
    WorkflowStuck,
)
from windlass.model.jobs import JobId, JobRequest, StepOf

TIMER = "windlass.timer"  # the task of a step that ends at its time
PRINT_BYTES = 8

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step has ended.

    value: returns what the step's awaiter gets, or raises it; called when it is delivered.
           An UnavailableError or ConfigurationError says nothing of the step: it ends the attempt.
    turn:  its place among the ends as an earlier attempt saw them; None: none has seen it.
    """

    at: datetime
    value: Callable[[], Any]
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step that the run has made before.

    print: of its call; "": with whatever call it agrees.
    ended: None while it is pending.
    """

    name: str
    nth: int
    print: str
    job_id: JobId
    ended: StepEnd | None = None


@dataclass(frozen=True, slots=True)
class Finished(Generic[R]):
    """The function returned.

    abandoned: steps that have not ended and that nobody waits for any more.
    unreached: recorded steps that the function never asked for, timers aside.
    unhandled: errors of its asyncio tasks and callbacks that nobody looked at.
    turns:     as with ``Suspended``; they matter while the abandoned ones have not ended.
    """

    value: R
    abandoned: tuple[JobId, ...] = ()
    unreached: tuple[Recorded, ...] = ()
    unhandled: tuple[BaseException, ...] = ()
    turns: Mapping[JobId, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised; the rest as with ``Finished``."""

    error: BaseException
    abandoned: tuple[JobId, ...] = ()
    unreached: tuple[Recorded, ...] = ()
    unhandled: tuple[BaseException, ...] = ()
    turns: Mapping[JobId, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Suspended:
    """The function waits for steps.

    new:       the steps to make, as they were asked for; each has its ``step``.
    pending:   the jobs of which any may let it go on; those of ``new`` among them.
    abandoned: steps that have not ended and that nobody waits for any more.
    unreached: recorded steps, timers aside, that were not asked for; as all had been by earlier
               attempts, which knew no more, the code has changed.
    turns:     the ends that this attempt was the first to see, with their place: kept with what
               is in ``new``, they are seen in the same order by the next.
    """

    new: tuple[JobRequest, ...]
    pending: tuple[JobId, ...]
    abandoned: tuple[JobId, ...] = ()
    unreached: tuple[Recorded, ...] = ()
    turns: Mapping[JobId, int] = field(default_factory=dict)


Ending = Finished[R] | Raised | Suspended


class Replay:
    """One attempt of a workflow's run, in the thread that makes it, which runs no other loop.

    run:        the job of the run; it seeds ``random()``.
    started_at: the instant at which the run began: time 0 of its loop, the same in each attempt.
    journal:    the steps that the run has made; their order is of no account.
    new_timer:  makes the request of a job that ends at an instant.
    """

    def __init__(
        self,
        run: JobId,
        started_at: datetime,
        journal: Sequence[Recorded],
        new_timer: Callable[[datetime], JobRequest],
    ) -> None:
        self._run = run
        self._started_at = started_at
        self._journal = {(each.name, each.nth): each for each in journal}
        self._new_timer = new_timer
        self._loop = ReplayLoop(self._ask_timer)  # type: ignore[abstract]  # the rest it refuses
        self._asked: list[_Asked] = []
        self._ends: list[tuple[float, datetime, JobId, _Asked]] = []  # a heap
        self._turns: dict[JobId, int] = {}
        self._next_turn = 1 + max(
            (each.ended.turn or 0 for each in journal if each.ended is not None), default=0
        )
        self._randoms: dict[str, Random] = {}
        self._diverged: WorkflowDiverged | None = None

    def run(self, call: Callable[[], Coroutine[Any, Any, R]]) -> Ending[R]:
        """Run the function from its start for as long as it can go on; once.

        Cost:   linear in the journal; no I/O but what ``StepEnd.value`` does.
        Raises: WorkflowDiverged, WorkflowStuck, and what a value says of this place
                (UnavailableError, ConfigurationError). What the function raises is returned.
        """
        context = copy_context()
        context.run(_CURRENT.set, self)
        try:
            with self._loop.running():
                root = self._loop.begin(_called(call), context)
                self._play(root)
                return self._ending(root)
        finally:
            self._forget()

    # -- what code in a workflow asks for --

    @property
    def is_over(self) -> bool:
        """Whether the attempt has ended, so that what is asked for is not heard any more."""
        return self._loop.is_dropping

    @property
    def loop(self) -> ReplayLoop:
        """The loop on which the function runs."""
        return self._loop

    @property
    def now(self) -> datetime:
        """The instant of what was delivered last; aware, in UTC."""
        return self._started_at + timedelta(seconds=self._loop.time())

    @property
    def random(self) -> Random:
        """The random numbers of this scope, the same in each attempt."""
        path = self._loop.scope().path
        if path not in self._randoms:
            self._randoms[path] = Random(f"{self._run}/{path}")
        return self._randoms[path]

    def ask(
        self,
        request: JobRequest,
        value_of: Callable[[Any], Any] | None = None,
        form: bytes | None = None,
    ) -> "asyncio.Future[Any]":
        """Ask for a step at once; the future gets its end.

        form:     of the call: the same bytes for the same call; None: its payload is that.
        value_of: applied to what ``StepEnd.value`` returns; what it raises goes to the awaiter.
        """
        future = self._loop.create_future()
        if self.is_over or self._diverged is not None:
            return future  # which nothing will ever end
        name, nth = self._loop.scope().key(request.task)
        digest = print_of(request.task, request.payload if form is None else form)
        recorded = self._journal.get((name, nth))
        if recorded is not None and recorded.print and recorded.print != digest:
            self._diverged = WorkflowDiverged(
                self._run, name, nth, recorded.print, digest, _line_of_caller()
            )
            self._loop.halt()
            return future
        step = StepOf(self._run, name, nth, digest)
        self._add(_AskedStep(step, recorded, request, future, value_of))
        return future

    def _ask_timer(self, when: float, call: Call) -> None:
        if self._diverged is not None:
            return
        name, nth = self._loop.scope().key(TIMER)
        try:
            due_at = self._started_at + timedelta(seconds=when)
        except OverflowError:
            return  # it will never be so late
        recorded = self._journal.get((name, nth))
        step = StepOf(self._run, name, nth)
        self._add(_AskedTimer(step, recorded, self._new_timer, due_at, when, call))

    def _add(self, asked: "_Asked") -> None:
        self._asked.append(asked)
        if (recorded := asked.recorded) is not None and (end := recorded.ended) is not None:
            turn = math.inf if end.turn is None else end.turn
            heapq.heappush(self._ends, (turn, end.at, recorded.job_id, asked))

    # -- the attempt --

    def _play(self, root: ReplayTask) -> None:
        """Run, and deliver end after end, until there is none, or the function has ended."""
        root.add_done_callback(lambda _: self._loop.halt())
        left_cancelled = False
        while True:
            if not self._loop.drain():
                why = f"it made {CALLS_MAX:,} calls without waiting for anything"
                raise WorkflowStuck(self._run, why, _line_of(root))
            if self._diverged is not None:
                raise self._diverged
            if root.done() and not left_cancelled:  # as ``asyncio.run`` does
                left_cancelled = True
                self._loop.resume()
                for task in self._loop.live_tasks():
                    task.cancel()
                continue
            if root.done() and not self._loop.live_tasks():
                return
            if not self._deliver_next():
                return

    def _deliver_next(self) -> bool:
        while self._ends:
            turn, at, job_id, asked = heapq.heappop(self._ends)
            if not asked.is_waited_for:
                continue
            if turn == math.inf:
                self._turns[job_id] = self._next_turn
                self._next_turn += 1
            self._loop.advance_to((at - self._started_at).total_seconds())
            asked.deliver(self._loop)
            return True
        return False

    def _ending(self, root: ReplayTask) -> Ending[Any]:
        waited_for = [asked for asked in self._asked if asked.is_waited_for]
        if root.done() and not (waited_for and self._loop.live_tasks()):
            return self._ended(root)
        if not waited_for:
            why = "it waits for what no step will end"
            raise WorkflowStuck(self._run, why, _line_of(root))
        new, pending = [], []
        for asked in waited_for:
            if asked.recorded is not None:
                pending.append(asked.recorded.job_id)
            else:
                new.append(request := asked.request())
                pending.append(request.id)
        abandoned = [
            asked.recorded.job_id
            for asked in self._asked
            if asked.recorded and not asked.recorded.ended and not asked.is_waited_for
        ]
        return Suspended(
            tuple(new), tuple(pending), tuple(abandoned), self._unreached(), self._turns
        )

    def _ended(self, root: ReplayTask) -> Ending[Any]:
        abandoned = tuple(each.job_id for each in self._journal.values() if each.ended is None)
        rest = (abandoned, self._unreached(), tuple(self._loop.unhandled), self._turns)
        if root.cancelled():
            return Raised(asyncio.CancelledError(), *rest)
        error = root.exception()
        return Finished(root.result(), *rest) if error is None else Raised(error, *rest)

    def _forget(self) -> None:
        """Let go of all that was asked for: the collector may come late to loops of references."""
        for asked in self._asked:
            asked.forget()
        self._asked.clear()
        self._ends.clear()
        self._journal.clear()

    def _unreached(self) -> tuple[Recorded, ...]:
        asked = {(each.step.name, each.step.nth) for each in self._asked}
        left = [each for key, each in self._journal.items() if key not in asked]
        return tuple(each for each in left if each.name.rpartition("/")[2] != TIMER)


class _Asked(ABC):
    """What the function has asked for in this attempt."""

    __slots__ = ("recorded", "step")

    def __init__(self, step: StepOf, recorded: Recorded | None) -> None:
        self.step = step
        self.recorded = recorded

    @property
    @abstractmethod
    def is_waited_for(self) -> bool:
        """Whether its end would matter: it was not delivered, and nobody gave it up."""

    @abstractmethod
    def deliver(self, loop: ReplayLoop) -> None:
        """Hand over the recorded end."""

    @abstractmethod
    def request(self) -> JobRequest:
        """Return what makes it."""

    @abstractmethod
    def forget(self) -> None:
        """Wait for it no more."""


class _AskedStep(_Asked):
    __slots__ = ("_future", "_request", "_value_of")

    def __init__(
        self,
        step: StepOf,
        recorded: Recorded | None,
        request: JobRequest,
        future: "asyncio.Future[Any]",
        value_of: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(step, recorded)
        self._request = request
        self._future = future
        self._value_of = value_of

    @property
    def is_waited_for(self) -> bool:
        return not self._future.done()

    def deliver(self, loop: ReplayLoop) -> None:
        assert self.recorded is not None
        assert self.recorded.ended is not None
        try:
            value = self.recorded.ended.value()
            if self._value_of is not None:
                value = self._value_of(value)
        except (UnavailableError, ConfigurationError):
            raise
        except Exception as error:
            self._future.set_exception(error)
        else:
            self._future.set_result(value)

    def request(self) -> JobRequest:
        return msgspec.structs.replace(self._request, step=self.step)

    def forget(self) -> None:
        self._future.cancel()


class _AskedTimer(_Asked):
    __slots__ = ("_call", "_due_at", "_has_fired", "_new", "_when")

    def __init__(
        self,
        step: StepOf,
        recorded: Recorded | None,
        new: Callable[[datetime], JobRequest],
        due_at: datetime,
        when: float,
        call: Call,
    ) -> None:
        super().__init__(step, recorded)
        self._new = new
        self._due_at = due_at
        self._when = when
        self._call = call
        self._has_fired = False

    @property
    def is_waited_for(self) -> bool:
        return not self._has_fired and not self._call[0].cancelled()

    def deliver(self, loop: ReplayLoop) -> None:
        self._has_fired = True
        loop.advance_to(self._when)  # another clock may have ended it a little early
        loop.add_call(self._call)

    def request(self) -> JobRequest:
        return msgspec.structs.replace(self._new(self._due_at), step=self.step)

    def forget(self) -> None:
        self._call[0].cancel()


class Step(Coroutine[Any, Any, R]):
    """A step that is to be awaited; it is asked for when that is done.

    Whatever takes a coroutine takes it: ``asyncio.create_task``, ``gather``, ``TaskGroup``.
    """

    __slots__ = ("_form", "_number", "_replay", "_request", "_value_of", "_waiting")

    has_stable_hash = True  # of as_completed(), which puts what it is given into a set

    def __init__(
        self,
        replay: Replay,
        request: JobRequest,
        value_of: Callable[[Any], R] | None = None,
        form: bytes | None = None,
    ) -> None:
        self._waiting: Generator[Any, Any, R] | None = None
        self._replay = replay
        self._request = request
        self._value_of = value_of
        self._form = form
        self._number = replay.loop.next_number()

    def __hash__(self) -> int:
        return self._number

    def __repr__(self) -> str:
        return f"<Step {self._request.task}>"

    def __await__(self) -> Generator[Any, Any, R]:
        if self._waiting is not None:
            raise RuntimeError(f"step {self._request.task!r} was awaited before; call it again")
        self._waiting = self._replay.ask(self._request, self._value_of, self._form).__await__()
        return self._waiting

    def send(self, value: Any) -> Any:
        """Go on with it, as with a coroutine."""
        return (self._waiting or self.__await__()).send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in it, as with a coroutine."""
        if self._waiting is None:
            self._waiting = _raising()
            next(self._waiting)
        return self._waiting.throw(*error)

    def close(self) -> None:
        """End it, as with a coroutine; the step itself goes on if it was asked for."""
        if self._waiting is None:
            self._waiting = _raising()
        self._waiting.close()

    def __del__(self) -> None:
        if self._waiting is None and not self._replay.is_over:
            said = f"step {self._request.task!r} was never awaited, so it is not made"
            warnings.warn(said, RuntimeWarning, stacklevel=2)


def _raising() -> Generator[Any, Any, Any]:
    yield


_CURRENT: ContextVar[Replay | None] = ContextVar("windlass_replay", default=None)


def current() -> Replay | None:
    """Return the attempt of a workflow in which this code runs; None outside of one."""
    replay = _CURRENT.get()
    return None if replay is None or replay.loop.is_closed() else replay


def step(
    request: JobRequest,
    value_of: Callable[[Any], R] | None = None,
    form: bytes | None = None,
) -> Step[R]:
    """Return what to await for the result of a step; see ``Replay.ask``.  Raises: NotInRun."""
    replay = current()
    if replay is None:
        raise NotInRun(request.task, "there is no running workflow of which it could be a step")
    return Step(replay, request, value_of, form)


def print_of(task: str, form: bytes) -> str:
    """Return the digest of a call: of the task's name and the form of its arguments."""
    digest = blake2b(task.encode(), digest_size=PRINT_BYTES)
    digest.update(b"\0")
    digest.update(form)
    return digest.hexdigest()


async def _called(call: Callable[[], Coroutine[Any, Any, R]]) -> R:
    return await call()


_NOT_THE_USERS = (str(Path(__file__).parents[1]), str(Path(asyncio.__file__).parent))


def _line_of_caller() -> str:
    """Return the line of the workflow's code which asks for a step; "" if asyncio does."""
    frame = sys._getframe(1)
    while frame.f_code is not ReplayLoop.drain.__code__ and frame.f_back is not None:
        if not frame.f_code.co_filename.startswith(_NOT_THE_USERS):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


def _line_of(root: ReplayTask) -> str:
    """Return the line at which the function stands; "" if that is not known."""
    waits_in: Any = root.get_coro()
    line = ""
    while (frame := getattr(waits_in, "cr_frame", None)) is not None:
        if not frame.f_code.co_filename.startswith(_NOT_THE_USERS):
            line = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        waits_in = waits_in.cr_await
    return line
