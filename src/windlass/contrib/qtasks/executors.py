"""What runs a task in a worker, hook by hook; a class of your own may replace any hook."""

import asyncio
import inspect
import json
import time
from typing import Any

from windlass.contrib.qtasks.logs import Logger
from windlass.contrib.qtasks.registries import AsyncTask, SyncTask
from windlass.contrib.qtasks.schemas import TaskExecSchema, TaskPrioritySchema
from windlass.contrib.qtasks.signatures import dumped, with_models
from windlass.contrib.qtasks.state import current_attempt

_END = object()


class BaseTaskExecutor:
    """One run of a task.

    task_func, task_broker: its definition, and the call.
    echo:    what a task with ``echo=True`` is given as itself.
    _args, _kwargs, _result: the arguments and what came of them, for hooks and middleware to
             change.
    plugins: empty.
    """

    def __init__(
        self,
        task_func: TaskExecSchema,
        task_broker: TaskPrioritySchema,
        log: Logger | None = None,
        plugins: dict[str, Any] | None = None,
    ) -> None:
        self.task_func = task_func
        self.task_broker = task_broker
        self.log = (log or Logger("QueueTasks")).with_subname(type(self).__name__)
        self.plugins = plugins or {}
        self.echo: Any = None
        self._args: list[Any] = list(task_broker.args)
        self._kwargs: dict[str, Any] = dict(task_broker.kwargs)
        self._result: Any = None

    def _prepare(self) -> None:
        """Put the arguments together: the task itself, dependencies, models."""
        task_func = self.task_func
        attempt = current_attempt()
        if task_func.echo:
            kind = AsyncTask if task_func.is_async else SyncTask
            self.echo = kind(
                task_func,
                attempt.app if attempt else None,
                priority=self.task_broker.priority,
                task_uuid=self.task_broker.uuid,
            )
            self._args.insert(0, self.echo)
        if attempt is not None:
            self._kwargs.update(attempt.injected)
        skip = 1 if task_func.echo else 0
        self._args, self._kwargs = with_models(task_func.func, self._args, self._kwargs, skip)

    def _call(self) -> Any:
        return self.task_func.func(*self._args, **self._kwargs)

    def _middlewares(self, position: str) -> list[type[Any]]:
        """Return the task's own middleware and, behind it, that of the app."""
        own: list[type[Any]] = getattr(self.task_func, f"middlewares_{position}")
        attempt = current_attempt()
        return [*own, *(attempt.app.middlewares(position) if attempt else [])]

    def _check_time(self, began: float) -> None:
        """Refuse what a plain function returned too late: nothing can stop it before its end."""
        limit_s = self.task_func.max_time
        if limit_s and time.monotonic() - began > limit_s:
            raise TimeoutError(self._late)

    @property
    def _late(self) -> str:
        name, limit_s = self.task_func.name, self.task_func.max_time
        return f"Time limit exceeded for task {name}: {limit_s} seconds"

    def _decoder(self) -> Any:
        attempt = current_attempt()
        default = attempt.app.config.task_default_decode if attempt else None
        return self.task_func.decode or default or _to_json


class SyncTaskExecutor(BaseTaskExecutor):
    """One run of a plain function, on a thread of a worker."""

    def execute(self, decode: bool = True) -> Any:
        """Run the task through all hooks; return its result, as JSON if ``decode``."""
        self.before_execute()
        self.execute_middlewares_before()
        began = time.monotonic()
        self._result = self.run_task()
        self._check_time(began)
        self.after_execute()
        self.execute_middlewares_after()
        if decode:
            self._result = self.decode()
        return self._result

    def before_execute(self) -> None:
        """Put the arguments together."""
        self._prepare()

    def execute_middlewares_before(self) -> None:
        """Call what stands before the task."""
        self._run_middlewares("before")

    def run_task(self) -> Any:
        """Call the function; of a generator return the list of what it yields."""
        result = self._call()
        return self.run_task_gen(result) if self.task_func.generating else result

    def run_task_gen(self, func: Any) -> list[Any]:
        """Return what a generator yields, each through the task's ``generate_handler``."""
        handle = self.task_func.generate_handler
        return [handle(value) if handle else value for value in func]

    def after_execute(self) -> None:
        """Make plain data of a model."""
        self._result = dumped(self._result)

    def execute_middlewares_after(self) -> None:
        """Call what stands after the task."""
        self._run_middlewares("after")

    def decode(self) -> Any:
        """Return the result as JSON, or as the task's own decoder says."""
        return self._decoder()(self._result)

    def _run_middlewares(self, position: str) -> None:
        executor: Any = self
        for kind in self._middlewares(position):
            executor = kind(executor)() or executor


class AsyncTaskExecutor(BaseTaskExecutor):
    """One run of a task of an async app, in a worker's event loop.

    A plain function, or a plain generator, runs on a thread, so that the loop goes on.
    """

    async def execute(self, decode: bool = True) -> Any:
        """Run the task through all hooks; return its result, as JSON if ``decode``."""
        await self.execute_middlewares_before()
        await self.before_execute()
        limit_s = self.task_func.max_time if self.task_func.is_async else None
        began = time.monotonic()
        limit = asyncio.timeout(limit_s)
        try:
            async with limit:
                self._result = await self.run_task()
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(self._late) from error
            raise
        if not self.task_func.is_async:
            self._check_time(began)
        await self.after_execute()
        await self.execute_middlewares_after()
        if decode:
            self._result = await self.decode()
        return self._result

    async def before_execute(self) -> None:
        """Put the arguments together."""
        self._prepare()

    async def execute_middlewares_before(self) -> None:
        """Call what stands before the task."""
        await self._run_middlewares("before")

    async def run_task(self) -> Any:
        """Call the function; of a generator return the list of what it yields."""
        task_func = self.task_func
        if task_func.generating:
            return await self.run_task_gen(self._call())
        if task_func.awaiting:
            return await self._call()
        return await asyncio.to_thread(self._call)

    async def run_task_gen(self, func: Any) -> list[Any]:
        """Return what a generator yields, each through the task's ``generate_handler``."""
        results = []
        if self.task_func.generating == "async":
            async for value in func:
                results.append(await self._handled(value))  # noqa: PERF401
        else:
            while (value := await asyncio.to_thread(next, func, _END)) is not _END:
                results.append(await self._handled(value))
        return results

    async def after_execute(self) -> None:
        """Make plain data of a model."""
        self._result = dumped(self._result)

    async def execute_middlewares_after(self) -> None:
        """Call what stands after the task."""
        await self._run_middlewares("after")

    async def decode(self) -> Any:
        """Return the result as JSON, or as the task's own decoder says."""
        return await _awaited(self._decoder()(self._result))

    async def _handled(self, value: Any) -> Any:
        handle = self.task_func.generate_handler
        return await _awaited(handle(value)) if handle else value

    async def _run_middlewares(self, position: str) -> None:
        executor: Any = self
        for kind in self._middlewares(position):
            executor = await kind(executor)() or executor


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
