"""An event loop on which the same code does the same again: nothing in it comes from outside.

What is ready runs in the order in which it became so. Time stands still until it is told to go
on. There is no I/O, no other thread and no clock.
"""

import asyncio
import sys
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, NoReturn, TypeVarTuple

from windlass.core.replay_drop import drop, drop_generator
from windlass.errors import RefusedInWorkflow

CALLS_MAX = 10_000_000  # between two ends: then it goes round and never waits
CLOSED_TASKS_MAX = 10_000  # that code may begin while it is being dropped

_TASKS_FILE = asyncio.ensure_future.__code__.co_filename
_SAME_SCOPE = frozenset({"wait_for"})
_OUT_OF_ORDER = frozenset({"as_completed", "_AsCompletedIterator.__init__"})

Ts = TypeVarTuple("Ts")
Call = tuple[asyncio.Handle, Callable[..., object], tuple[Any, ...], Context]


class Scope:
    """Where in the tree of a run's asyncio tasks code runs: it makes the keys of steps.

    path: "" for the function itself; "0", "1" for the tasks that it begins, in that order;
          "0.0" for the first which the first of them begins.
    """

    __slots__ = ("_children", "_uses", "path")

    def __init__(self, path: str = "") -> None:
        self.path = path
        self._children: dict[str, int] = {}
        self._uses: dict[str, int] = {}

    def child(self, kind: str = "") -> "Scope":
        """Return the scope of the next task of this kind that is begun here."""
        n = self._children.get(kind, 0)
        self._children[kind] = n + 1
        return Scope(f"{self.path}.{kind}{n}" if self.path else f"{kind}{n}")

    def key(self, name: str) -> tuple[str, int]:
        """Return the key of the next use of a name here."""
        nth = self._uses.get(name, 0)
        self._uses[name] = nth + 1
        return (f"{self.path}/{name}" if self.path else name), nth


_SCOPE: ContextVar[Scope] = ContextVar("windlass_replay_scope")


class ReplayTask(asyncio.Task[Any]):
    """A task with its scope.  Its hash is its number, so that sets of tasks keep their order."""

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        number: int,
        scope: Scope,
        context: Context,
        **options: Any,
    ) -> None:
        self.number = number  # all before it may begin to run
        self.scope = scope
        self.own_context = context
        super().__init__(coroutine, context=context, **options)

    def __hash__(self) -> int:
        return self.number


class ReplayFuture(asyncio.Future[Any]):
    """A future whose hash is its number."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class ReplayLoop(asyncio.AbstractEventLoop):
    """The loop of one attempt, for the thread that makes it.

    on_timer:  told of each call that is to be made at a later time; gives it to ``add_call``.
    unhandled: what ended with an error that nobody looked at.
    """

    def __init__(self, on_timer: Callable[[float, Call], object]) -> None:
        self._on_timer = on_timer
        self._ready: deque[Call] = deque()
        self._tasks: list[ReplayTask] = []
        self._look_at = 100  # how many tasks there are when those that ended are forgotten
        self._generators: weakref.WeakSet[AsyncGenerator[Any, Any]] = weakref.WeakSet()
        self._root = Scope()
        self._numbers = 0
        self._time = 0.0
        self._thread = threading.get_ident()
        self._is_halted = False
        self._is_dropping = False
        self._is_closed = False
        self._handler: Callable[..., object] | None = None
        self.unhandled: list[BaseException] = []

    # -- for the one who drives it --

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be this thread's loop for a while; at its end drop all that still waits."""
        loop_before, hooks_before = asyncio._get_running_loop(), sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._generator_begun, self._generator_left)
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            self._drop_all()
            asyncio._set_running_loop(loop_before)
            sys.set_asyncgen_hooks(*hooks_before)

    def begin(self, coroutine: Coroutine[Any, Any, Any], context: Context) -> ReplayTask:
        """Begin the task of the function itself."""
        context.run(_SCOPE.set, self._root)
        return self._begin(coroutine, self._root, context)

    def drain(self) -> bool:
        """Run until nothing is ready, or halted; False if CALLS_MAX calls did not end that."""
        ready = self._ready
        for _ in range(CALLS_MAX):
            if not ready or self._is_halted:
                return True
            handle, callback, arguments, context = ready.popleft()
            if handle.cancelled():
                continue
            try:
                context.run(callback, *arguments)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.call_exception_handler({"message": "a callback broke", "exception": error})
        return False

    def halt(self) -> None:
        """Let nothing more run before ``resume``."""
        self._is_halted = True

    def resume(self) -> None:
        """Let what is ready run again."""
        self._is_halted = False

    def advance_to(self, time: float) -> None:
        """Set the time, unless it is later already."""
        self._time = max(self._time, time)

    def add_call(self, call: Call) -> None:
        """Make a call that was put off ready."""
        self._ready.append(call)

    def live_tasks(self) -> list[ReplayTask]:
        """Return the tasks that have not ended, as they were begun."""
        self._tasks = [task for task in self._tasks if not task.done()]
        return list(self._tasks)

    def scope(self) -> Scope:
        """Return the scope of the code that runs: of its task, or of who gave the callback."""
        task = asyncio.current_task(self)
        return task.scope if isinstance(task, ReplayTask) else _SCOPE.get(self._root)

    def next_number(self) -> int:
        """Return a number that grows: the order in which the code made things."""
        self._numbers += 1
        return self._numbers

    @property
    def is_dropping(self) -> bool:
        """Whether the attempt is over: what code still asks for is not heard."""
        return self._is_dropping

    # -- for asyncio and the function --

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call it after all that is ready."""
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, context)
        if not self._is_dropping:
            self._ready.append((handle, callback, args, context))
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call it soon.  Raises: RefusedInWorkflow, in any other thread."""
        if threading.get_ident() != self._thread:
            raise RefusedInWorkflow("call_soon_threadsafe() from another thread")
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call it after a delay in seconds."""
        return self.call_at(self._time + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call it at a time of this loop; at once if that is past."""
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if self._is_dropping:
            return handle
        if when <= self._time:
            self._ready.append((handle, callback, args, context))
        else:
            self._on_timer(when, (handle, callback, args, context))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it: who keeps the timers looks at their handles."""

    def time(self) -> float:
        """Return the seconds from the start of the run to what was delivered last."""
        return self._time

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future."""
        future = ReplayFuture(loop=self)
        future.number = self.next_number()
        return future

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
        **options: Any,
    ) -> asyncio.Task[Any]:
        """Begin a task, in a scope of its own within the one of the code that asks for it."""
        maker = _maker()
        if maker in _OUT_OF_ORDER and not getattr(coro, "has_stable_hash", False):
            coro.close()
            raise RefusedInWorkflow(
                "as_completed() of coroutines, which it begins in no certain order,",
                "give it tasks, made with asyncio.create_task()",
            )
        scope = self.scope()
        if maker not in _SAME_SCOPE:  # some Pythons make a task there, and some do not
            scope = scope.child()
        return self._begin(coro, scope, context, name=name, **options)

    def _begin(
        self, coroutine: Any, scope: Scope, context: Context | None, **options: Any
    ) -> ReplayTask:
        if context is None:
            context = copy_context()
            context.run(_SCOPE.set, scope)
        task = ReplayTask(coroutine, self.next_number(), scope, context, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) >= self._look_at:
            self._look_at = 2 * len(self.live_tasks()) + 100
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep an error that nobody looked at, unless the function has a handler of its own."""
        if self._is_dropping:
            return
        if self._handler is not None:
            self._handler(self, context)
        else:
            self.unhandled.append(context.get("exception") or RuntimeError(context["message"]))

    def set_exception_handler(self, handler: Callable[..., object] | None) -> None:
        """Set who is told of errors that nobody looked at."""
        self._handler = handler

    def get_exception_handler(self) -> Any:
        """Return who is told of errors that nobody looked at."""
        return self._handler

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep the error."""
        self.unhandled.append(context.get("exception") or RuntimeError(context["message"]))

    def get_debug(self) -> bool:
        """Return False: tracebacks of where futures were made would cost every replay."""
        return False

    def get_task_factory(self) -> None:
        """Return None: tasks are the loop's own."""

    def is_running(self) -> bool:
        """Tell whether the function runs."""
        return not self._is_closed

    def is_closed(self) -> bool:
        """Tell whether the attempt is over."""
        return self._is_closed

    # -- the end --

    def _generator_begun(self, generator: AsyncGenerator[Any, Any]) -> None:
        self._generators.add(generator)

    def _generator_left(self, generator: AsyncGenerator[Any, Any]) -> None:
        """End a generator that nobody goes on with; in its own scope, outside of the numbering."""
        self._generators.discard(generator)
        if self._is_dropping or threading.get_ident() != self._thread:
            drop_generator(generator)
        else:
            self._begin(generator.aclose(), self.scope().child("~"), None)

    def _drop_all(self) -> None:
        self._is_dropping = True
        self._ready.clear()
        for _ in range(CLOSED_TASKS_MAX):
            if not self._tasks:
                break
            task = self._tasks.pop()  # the newest first: what is inside of others
            if not task.done():
                self._drop(task)
        for generator in list(self._generators):
            drop_generator(generator)
        self._is_closed = True

    def _drop(self, task: ReplayTask) -> None:
        """End a task's coroutine as if the task ran: a timeout in a ``finally`` asks for it."""
        coroutine: Any = task.get_coro()
        asyncio._enter_task(self, task)
        try:
            task.own_context.run(drop, coroutine)
        finally:
            asyncio._leave_task(self, task)


def _maker() -> str:
    """Name the function of asyncio that begins a task in the place of the user's code, or ""."""
    frame = sys._getframe(2)
    name = ""
    while frame.f_code.co_filename == _TASKS_FILE and frame.f_back is not None:
        name = frame.f_code.co_qualname
        if name in _SAME_SCOPE or name in _OUT_OF_ORDER:
            return name
        frame = frame.f_back
    return name


def _refusing(name: str) -> Callable[..., NoReturn]:
    def refuse(self: ReplayLoop, *args: Any, **options: Any) -> NoReturn:
        raise RefusedInWorkflow(f"{name}()")

    refuse.__name__ = name
    return refuse


# All that a loop has besides: it would reach outside.
for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and _name not in vars(ReplayLoop):
        setattr(ReplayLoop, _name, _refusing(_name))
