"""A broker that runs each task where it is sent: for tests, and to try things out."""

import asyncio
import copy
import inspect
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime
from functools import partial
from typing import Any, NoReturn
from uuid import uuid4

from windlass.contrib.taskiq.abc.broker import AnyDecorated, AsyncBroker
from windlass.contrib.taskiq.abc.result_backend import AsyncResultBackend
from windlass.contrib.taskiq.events import TaskiqEvents
from windlass.contrib.taskiq.exceptions import (
    NoResultError,
    Requeued,
    ResultGetError,
    TaskiqResultTimeoutError,
    UnknownTaskError,
    refuse,
)
from windlass.contrib.taskiq.execution import execute, saved
from windlass.contrib.taskiq.message import TaskiqMessage, counts
from windlass.contrib.taskiq.result import TaskiqResult


class InmemoryResultBackend(AsyncResultBackend):
    """The results of what ran in this process, the newest of them."""

    def __init__(self, max_stored_results: int = 100) -> None:
        super().__init__()
        self.max_stored_results = max_stored_results
        self.results: OrderedDict[str, TaskiqResult[Any]] = OrderedDict()

    def keep(self, task_id: str, result: TaskiqResult[Any]) -> None:
        """Keep a result, and let the oldest go if there are too many."""
        if self.max_stored_results != -1 and len(self.results) >= self.max_stored_results:
            self.results.popitem(last=False)
        self.results[task_id] = result

    async def is_result_ready(self, task_id: str) -> bool:
        """Tell whether a task has ended, and with a result."""
        return task_id in self.results

    async def wait(self, task_id: str, timeout_s: float | None, check_interval_s: float) -> None:
        """Wait until there is a result.  Raises: TaskiqResultTimeoutError."""
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while task_id not in self.results:
            if until is not None and time.monotonic() > until:
                raise TaskiqResultTimeoutError(timeout_s)
            await asyncio.sleep(check_interval_s)

    async def get_result(self, task_id: str, with_logs: bool = False) -> TaskiqResult[Any]:
        """Return the result of a task that has ended.  Raises: ResultGetError."""
        if task_id not in self.results:
            raise ResultGetError(f"there is no result of task {task_id}")
        return self.results[task_id]


class InMemoryBroker(AsyncBroker):
    """Runs each task in the event loop that sends it.  Nothing is stored, and there is no worker.

    sync_tasks_pool_size: threads for plain functions.
    max_stored_results:   how many of the newest results are kept; -1: all.
    await_inplace:        ``kiq`` returns when the task has ended.
    max_async_tasks and its jitter are of no use: everything runs at once, as with taskiq.
    """

    result_backend: AsyncResultBackend

    def __init__(
        self,
        sync_tasks_pool_size: int = 4,
        max_stored_results: int = 100,
        cast_types: bool = True,
        max_async_tasks: int = 30,
        max_async_tasks_jitter: int = 0,
        propagate_exceptions: bool = True,
        await_inplace: bool = False,
    ) -> None:
        if not cast_types:
            refuse("cast_types=False", "parameters without annotation get what was sent")
        if not propagate_exceptions:
            refuse("propagate_exceptions=False", "a dependency that catches what it does not want")
        self._results = InmemoryResultBackend(max_stored_results)
        super().__init__(self._results)
        self.executor = ThreadPoolExecutor(sync_tasks_pool_size)
        self.await_inplace = await_inplace
        self._running: set[asyncio.Task[None]] = set()

    @property
    def windlass_app(self) -> NoReturn:
        """Refuse: there are no jobs for a worker.  Raises: NotSupported."""
        refuse("a worker of InMemoryBroker", "a broker with a store; see also windlass.testing")

    def with_result_backend(self, result_backend: AsyncResultBackend) -> "InMemoryBroker":
        """Return the broker, which keeps its results in memory whatever is given."""
        return super().with_result_backend(self._results)

    def id_generator(self) -> str:
        """Return the id of a task to be."""
        return uuid4().hex

    async def kick(self, message: TaskiqMessage, run_at: datetime | None = None) -> None:
        """Run a task, here and now, or beside the code that goes on.

        Raises: UnknownTaskError; NotSupported, for a later time.
        """
        if run_at is not None:
            refuse("a schedule with InMemoryBroker", "a broker with a store")
        task = self.find_task(message.task_name)
        if task is None:
            raise UnknownTaskError(message.task_name)
        run = self._run(task, message)
        if self.await_inplace:
            await run
            return
        running = asyncio.get_running_loop().create_task(run)
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def wait_all(self) -> None:
        """Wait until all tasks have ended that run now."""
        for running in list(self._running):
            await running

    async def _run(self, task: AnyDecorated, message: TaskiqMessage) -> None:
        """Run a message, again and again while it asks for it, and keep its result.

        The delays of retries are left out, as taskiq leaves them out.
        """
        attempt = failures = 0
        while True:
            attempt += 1
            sent = copy.deepcopy(message)
            sent.labels |= counts(failures, attempt)
            executed = await execute(self, task, sent, partial(self._call, task.original_func))
            if executed.error is not None and executed.result.again_s is not None:
                failures += 1
            elif not isinstance(executed.error, Requeued):
                break
        if not isinstance(executed.result.error, NoResultError):
            self._results.keep(message.task_id, executed.result)
            await saved(self, executed)

    async def _call(self, function: Any, args: list[Any], kwargs: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(function):
            return await function(*args, **kwargs)
        call = partial(copy_context().run, partial(function, *args, **kwargs))
        value = await asyncio.get_running_loop().run_in_executor(self.executor, call)
        return await value if inspect.isawaitable(value) else value

    async def startup(self) -> None:
        """Call the handlers of a client's start and of a worker's, and the middlewares."""
        await self.tell(TaskiqEvents.CLIENT_STARTUP)
        await self.tell(TaskiqEvents.WORKER_STARTUP)
        await self.call("startup")

    async def shutdown(self) -> None:
        """Call the handlers of a client's stop and of a worker's, and the middlewares."""
        await self.tell(TaskiqEvents.CLIENT_SHUTDOWN)
        await self.tell(TaskiqEvents.WORKER_SHUTDOWN)
        await self.call("shutdown")
        await self.close()

    async def open(self) -> None:
        """Do nothing: there is no store."""

    async def close(self) -> None:
        """End the threads."""
        self.executor.shutdown()
