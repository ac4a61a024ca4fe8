"""Injection: makes what a task depends on, calls its function, and ends all that it made.

What was made last is ended first, whatever became of the function: a generator is thrown the
attempt's error and cannot hide it; what it raises itself takes the error's place.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Hashable, Mapping
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any

from windlass.core.context import context
from windlass.core.dependencies import Kind, Needs, Provider, Step
from windlass.core.tasks import TaskSpec
from windlass.errors import DependencyBroke

log = logging.getLogger("windlass.dependencies")

Steps = Coroutine[Any, Any, Any]
Drive = Callable[[Steps], Any]
_Open = list[tuple[Provider, Any]]
_Result = tuple[Any, BaseException | None]


def injected(specs: Mapping[str, TaskSpec], share: "Share", drive: Drive) -> dict[str, TaskSpec]:
    """Return the tasks, each that needs something with a function that asks for its payload only.

    drive: runs something async to its end for a plain function, and returns its result.
    """
    return {
        name: spec
        if spec.needs is None
        else replace(spec, function=_caller(spec, spec.needs, share, drive))
        for name, spec in specs.items()
    }


def _caller(spec: TaskSpec, needs: Needs, share: "Share", drive: Drive) -> Callable[..., Any]:
    function = spec.function

    async def call_async(*args: Any, **kwargs: Any) -> Any:
        plan, values, opened = needs.plan(), [context()], _Open()
        try:
            for step in plan.steps:
                values.append(await _make(step, values, opened, share))
            for name, place in plan.places:
                kwargs[name] = values[place]
            result = await function(*args, **kwargs)
        except BaseException as error:
            await _end_all(opened, error)
            raise
        if opened:
            await _end_all(opened, None)
        return result

    def call_plain(*args: Any, **kwargs: Any) -> Any:
        plan, values, opened = needs.plan(), [context()], _Open()
        try:
            for step in plan.steps:
                values.append(_make_plain(step, values, opened, share, drive))
            for name, place in plan.places:
                kwargs[name] = values[place]
            result = function(*args, **kwargs)
        except BaseException as error:
            _end_all_plain(opened, error, drive)
            raise
        if opened:
            _end_all_plain(opened, None, drive)
        return result

    return call_async if spec.is_async else call_plain


# -- what one attempt has of its own -----------------------------------------


async def _make(step: Step, values: list[Any], opened: _Open, share: "Share") -> Any:
    provider = step.provider
    if provider.scope == "worker":
        return await share.get(provider)
    made = provider.function(**{name: values[place] for name, place in step.places})
    match provider.kind:
        case Kind.COROUTINE:
            return await made
        case Kind.GENERATOR:
            value = _begin(provider, made)
            opened.append((provider, made))
            return value
        case Kind.ASYNC_GENERATOR:
            value = await _begin_async(provider, made)
            opened.append((provider, made))
            return value
    return made


def _make_plain(step: Step, values: list[Any], opened: _Open, share: "Share", drive: Drive) -> Any:
    if step.provider.scope == "worker":
        return share.get_plain(step.provider, drive)
    made = step.provider.function(**{name: values[place] for name, place in step.places})
    match step.provider.kind:
        case Kind.COROUTINE:
            return drive(made)
        case Kind.GENERATOR:
            value = _begin(step.provider, made)
            opened.append((step.provider, made))
            return value
        case Kind.ASYNC_GENERATOR:
            return drive(_hold(step.provider, made, opened))
    return made


async def _end_all(opened: _Open, error: BaseException | None) -> None:
    """End what is open, last first.  Raises: the last error that came up in doing so."""
    last = error
    while opened:
        provider, generator = opened.pop()
        try:
            if provider.is_async:
                await _end_async(provider, generator, last)
            else:
                _end(provider, generator, last)
        except BaseException as raised:
            last = raised
    if last is not None and last is not error:
        raise last


def _end_all_plain(opened: _Open, error: BaseException | None, drive: Drive) -> None:
    """Do as ``_end_all``, from code that cannot wait."""
    last = error
    while opened:
        provider, generator = opened.pop()
        try:
            if provider.is_async:
                drive(generator.end(last))
            else:
                _end(provider, generator, last)
        except BaseException as raised:
            last = raised
    if last is not None and last is not error:
        raise last


# -- generators --------------------------------------------------------------


def _begin(provider: Provider, generator: Generator[Any, None, None]) -> Any:
    try:
        return next(generator)
    except StopIteration:
        raise DependencyBroke(provider.name, "it does not yield") from None


async def _begin_async(provider: Provider, generator: AsyncGenerator[Any, None]) -> Any:
    try:
        return await anext(generator)
    except StopAsyncIteration:
        raise DependencyBroke(provider.name, "it does not yield") from None


def _end(
    provider: Provider, generator: Generator[Any, None, None], error: BaseException | None
) -> None:
    """Run what follows the yield; ``error`` is thrown there.  Raises: only what is new."""
    trace = error.__traceback__ if error is not None else None
    try:
        if error is None:
            next(generator)
        else:
            generator.throw(error)
    except StopIteration:
        return
    except BaseException as raised:
        if not _is_passed_on(raised, error):
            raise
        raised.__traceback__ = trace  # without the frames of those through whom it went
        return
    generator.close()
    raise DependencyBroke(provider.name, "it yields twice")


async def _end_async(
    provider: Provider, generator: AsyncGenerator[Any, None], error: BaseException | None
) -> None:
    """Do as ``_end``, for an async generator."""
    trace = error.__traceback__ if error is not None else None
    try:
        if error is None:
            await anext(generator)
        else:
            await generator.athrow(error)
    except StopAsyncIteration:
        return
    except BaseException as raised:
        if not _is_passed_on(raised, error):
            raise
        raised.__traceback__ = trace
        return
    await generator.aclose()
    raise DependencyBroke(provider.name, "it yields twice")


def _is_passed_on(raised: BaseException, error: BaseException | None) -> bool:
    """Tell whether a generator let the error through; it may not raise a Stop(Async)Iteration."""
    if isinstance(error, StopIteration | StopAsyncIteration):
        return raised is error or raised.__cause__ is error
    return raised is error


class _Host:
    """Holds an async generator open for those who cannot, in an asyncio task of its own.

    So it begins and ends in one task, which task groups and context variables ask for.
    """

    def __init__(self, provider: Provider, generator: AsyncGenerator[Any, None]) -> None:
        self._provider = provider
        self._generator = generator
        loop = asyncio.get_running_loop()
        self._began: asyncio.Future[_Result] = loop.create_future()
        self._ending: asyncio.Future[BaseException | None] = loop.create_future()
        self._task = loop.create_task(self._hold())

    async def begin(self) -> Any:
        """Return what it yields."""
        try:
            return _unpacked(await self._began)
        except asyncio.CancelledError:
            self._task.cancel()
            raise

    async def end(self, error: BaseException | None) -> None:
        """Run what follows its yield.  Raises: what came up in doing so, or before."""
        if not self._ending.done():
            self._ending.set_result(error)
        raised = await self._task
        if raised is not None:
            raise raised

    async def _hold(self) -> BaseException | None:
        try:
            value = await _begin_async(self._provider, self._generator)
        except BaseException as error:
            _hand_over(self._began, (None, error))
            return None
        _hand_over(self._began, (value, None))
        try:
            error_of_others = await self._ending
        except BaseException as stopped:  # by its own task group, or with its loop
            error_of_others = stopped
        try:
            await _end_async(self._provider, self._generator, error_of_others)
        except BaseException as raised:
            return raised
        return None


async def _hold(provider: Provider, generator: AsyncGenerator[Any, None], opened: _Open) -> Any:
    host = _Host(provider, generator)
    value = await host.begin()
    opened.append((provider, host))
    return value


def _hand_over(future: "asyncio.Future[_Result]", result: _Result) -> None:
    if not future.done():  # nobody waits any more
        future.set_result(result)


# -- what the attempts of a worker share -------------------------------------


class Share:
    """What is made once for a worker, or for a child process, and how it ends.

    Made at the first use, in a task of its own: an attempt which is stopped meanwhile stops
    nothing of it, and those who come at the same time wait for the same.  What is plain runs
    on a thread of its own, so that a heavy one does not hold the loop up.  If it fails, those
    who wait fail, and the next one tries again.
    """

    def __init__(self) -> None:
        self._context = copy_context()  # of the worker: no attempt's own is seen here
        self._made: dict[Hashable, Any] = {}
        self._making: dict[Hashable, asyncio.Task[_Result]] = {}
        self._opened: _Open = []

    async def get(self, provider: Provider) -> Any:
        """Return the one instance, made now if there is none."""
        if provider.key in self._made:
            return self._made[provider.key]
        making = self._making.get(provider.key)
        if making is None:
            making = asyncio.get_running_loop().create_task(
                self._make(provider), context=self._context.copy()
            )
            self._making[provider.key] = making
        return _unpacked(await asyncio.shield(making))

    def get_plain(self, provider: Provider, drive: Drive) -> Any:
        """Return the one instance, for code that cannot wait."""
        if provider.key in self._made:
            return self._made[provider.key]
        return drive(self.get(provider))

    async def close(self) -> None:
        """End all that was made, last first.  What raises at that is logged.  Idempotent."""
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        self._made.clear()
        while self._opened:
            provider, generator = self._opened.pop()
            try:
                if provider.is_async:
                    await generator.end(None)
                else:
                    await _on_own_thread(partial(_end, provider, generator, None))
            except Exception:
                log.exception("the dependency %s broke at its end", provider.name)

    async def _make(self, provider: Provider) -> _Result:
        try:
            needs = {name: await self.get(need) for name, need in provider.needs if need}
            value = await self._begin(provider, partial(provider.function, **needs))
        except BaseException as error:  # even an exit: it is those who wait that fail
            return None, error
        finally:
            del self._making[provider.key]
        self._made[provider.key] = value
        return value, None

    async def _begin(self, provider: Provider, make: Callable[[], Any]) -> Any:
        match provider.kind:
            case Kind.VALUE:
                return await _on_own_thread(make)
            case Kind.COROUTINE:
                return await make()
            case Kind.GENERATOR:
                generator = make()
                value = await _on_own_thread(partial(_begin, provider, generator))
                self._opened.append((provider, generator))
                return value
            case Kind.ASYNC_GENERATOR:
                return await _hold(provider, make(), self._opened)


async def _on_own_thread(call: Callable[[], Any]) -> Any:
    """Await a blocking call; its thread never holds up the end of the process."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def run() -> None:
        try:
            result: _Result = call(), None
        except BaseException as error:
            result = None, error
        try:
            loop.call_soon_threadsafe(_hand_over, future, result)
        except RuntimeError:  # the loop is closed: nobody waits
            return

    thread = threading.Thread(target=copy_context().run, args=(run,), daemon=True)
    thread.start()
    return _unpacked(await future)


# -- async steps of plain functions ------------------------------------------


def drive_on(loop: asyncio.AbstractEventLoop) -> Drive:
    """Return what runs async steps on a loop, for functions on other threads."""

    def drive(steps: Steps) -> Any:
        waiting = _result_of(steps)
        try:
            future = asyncio.run_coroutine_threadsafe(waiting, loop)
        except RuntimeError:  # the loop is closed: the worker has left this thread behind
            waiting.close()
            steps.close()
            raise
        return _unpacked(future.result())

    return drive


def drive_alone() -> Drive:
    """Return what runs async steps on a loop that moves only meanwhile."""
    runner = asyncio.Runner()  # its loop is made at the first use

    def drive(steps: Steps) -> Any:
        return _unpacked(runner.run(_result_of(steps), context=copy_context()))

    return drive


async def _result_of(steps: Steps) -> _Result:
    """Await something; not even an exit must get at the loop."""
    try:
        return await steps, None
    except BaseException as error:
        return None, error


def _unpacked(result: _Result) -> Any:
    value, error = result
    if error is not None:
        raise error
    return value
