"""Plain functions on threads that never hold up the end of the process."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue

from windlass.core.context import Context
from windlass.core.tasks import TaskSpec
from windlass.executors.attempt import attempt_plain
from windlass.model.jobs import Claim
from windlass.model.outcomes import Outcome

STOP_WAIT_S = 0.5

_Call = Callable[[], Outcome]
_Future = asyncio.Future[Outcome]


class ThreadExecutor:
    """Up to ``slots`` daemon threads, started as they are needed, each used again and again.

    A thread cannot be ended from outside: when ``run`` is cancelled it goes on, keeps its
    slot until it ends, and its outcome is dropped.  The standard library's pool would wait
    for such a thread when the interpreter exits; these threads are left behind.
    """

    def __init__(self, slots: int) -> None:
        assert slots > 0
        self._slots = slots
        self._calls: SimpleQueue[tuple[_Call, _Future] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0  # calls handed to threads and not yet back; only the loop counts
        self._done: deque[tuple[_Future, Outcome | None]] = deque()
        self._drain_is_due = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Make ready; no thread is started before it is needed."""
        self._loop = asyncio.get_running_loop()

    async def stop(self) -> None:
        """End the threads that are idle, soon; leave behind those that are stuck.  Idempotent."""
        threads, self._threads = self._threads, []
        for _ in threads:
            self._calls.put(None)
        deadline = asyncio.get_running_loop().time() + STOP_WAIT_S
        for thread in threads:
            while thread.is_alive() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def run(self, spec: TaskSpec, claim: Claim, context: Context) -> Outcome:
        """Run one attempt on a thread, with a copy of the caller's context variables."""
        loop = self._loop
        assert loop is not None, "start() comes first"
        future: _Future = loop.create_future()
        call = partial(copy_context().run, attempt_plain, spec, claim, context)
        self._calls.put((call, future))
        self._busy += 1
        if self._busy > len(self._threads) < self._slots:
            self._add_thread()
        return await future

    def _add_thread(self) -> None:
        name = f"windlass-thread-{len(self._threads)}"
        thread = threading.Thread(target=self._serve, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    # -- on the threads ------------------------------------------------------

    def _serve(self) -> None:
        while (item := self._calls.get()) is not None:
            call, future = item
            # Cancelled while it waited for a thread: it never begins.
            outcome = None if future.cancelled() else call()
            self._hand_back(future, outcome)
            del item, call, future, outcome  # an idle thread keeps nothing alive

    def _hand_back(self, future: _Future, outcome: Outcome | None) -> None:
        # Append, then look; _drain resets, then pops: so nothing is left lying.
        self._done.append((future, outcome))
        if self._drain_is_due:
            return
        self._drain_is_due = True
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed: nobody waits for late outcomes
            self._done.clear()

    # -- on the loop ---------------------------------------------------------

    def _drain(self) -> None:
        self._drain_is_due = False
        while self._done:
            future, outcome = self._done.popleft()
            self._busy -= 1
            if outcome is not None and not future.done():
                future.set_result(outcome)
