"""What each worker of an app holds while it works: the lifespan, and any number of services."""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from windlass.core.capture import type_name
from windlass.core.dependencies import name_of
from windlass.errors import BadOption, LifespanBroke, ServiceBroke, WindlassError

Lifespan = Callable[[], AsyncIterator[Any]]
Service = Callable[[], AbstractAsyncContextManager[Any]] | Callable[[], AsyncIterator[Any]]

LS = TypeVar("LS", bound=Lifespan)
SV = TypeVar("SV", bound=Service)


class Lifetimes:
    """What an app registers for each of its workers to hold."""

    def __init__(self) -> None:
        self._lifespan: Lifespan | None = None
        self._services: list[Service] = []

    def lifespan(self, resources: LS) -> LS:
        """Make what the attempts of one worker share; may be a decorator.

        ``async def () -> AsyncIterator``, which yields once: what stands before ``yield`` runs
        before a worker claims anything, what follows runs when its last attempt has ended.
        What it yields is ``context().state``, but not in child processes.
        Raises: BadOption, for another shape, or if there is one already.
        """
        yields: bool = inspect.isasyncgenfunction(resources)  # as a plain bool it narrows no type
        if not yields:
            raise BadOption("lifespan", resources, "must be an async function which yields once")
        if self._lifespan is not None:
            raise BadOption("lifespan", resources, "there is one already; make one of the two")
        self._lifespan = resources
        return resources

    def worker_service(self, service: SV) -> SV:
        """Have each worker hold this open from before its first claim until after its last attempt.

        An async function which yields once, or a function of no arguments that returns an async
        context manager; there may be many, and it may be a decorator.  What it yields is not
        looked at.
        Order:  within the lifespan; started as registered, stopped in reverse.
        Tests:  on a workbench there are none: what they consume would be lost with it.
        Errors: what its start raises stops the start of the worker: a WindlassError as it is,
                else ServiceBroke.  So does its end, when everything has stopped.
        Raises: BadOption, for what cannot be called so.
        """
        if not callable(service) or inspect.iscoroutinefunction(service):
            why = "must be an async function which yields once, or return an async context manager"
            raise BadOption("worker_service", service, why)
        self._services.append(service)
        return service

    @asynccontextmanager
    async def _held_lifespan(self) -> AsyncIterator[Any]:
        """Hold what the lifespan has made.  Raises: LifespanBroke."""
        if self._lifespan is None:
            yield None
            return
        async with _held(asynccontextmanager(self._lifespan), LifespanBroke) as state:
            yield state

    @asynccontextmanager
    async def _held_services(self) -> AsyncIterator[None]:
        """Hold all services.  Raises: ServiceBroke, or a WindlassError of a service."""
        async with AsyncExitStack() as stack:
            for service in self._services:
                await stack.enter_async_context(_held_service(service))
            yield


def _held_service(service: Any) -> AbstractAsyncContextManager[Any]:
    yields: bool = inspect.isasyncgenfunction(service)
    make = asynccontextmanager(service) if yields else service
    return _held(make, partial(ServiceBroke, name_of(service)), lets_pass=WindlassError)


@asynccontextmanager
async def _held(
    make: Callable[[], AbstractAsyncContextManager[Any]],
    broke: Callable[[str, str], WindlassError],
    lets_pass: type[Exception] | tuple[()] = (),
) -> AsyncIterator[Any]:
    """Hold what is made.

    broke:     makes the error of a start, or an end, that raised: of which of them, and what.
    lets_pass: what is told as it is.
    """
    resources = AsyncExitStack()
    try:
        held = await resources.enter_async_context(make())
    except lets_pass:
        raise
    except Exception as error:
        raise broke("start", _told(error)) from error
    try:
        yield held
    finally:
        try:
            await resources.aclose()
        except lets_pass:
            raise
        except Exception as error:
            raise broke("end", _told(error)) from error


def _told(error: Exception) -> str:
    return f"{type_name(type(error))}: {error}"
