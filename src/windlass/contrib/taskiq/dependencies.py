"""What tasks depend on: found by ``TaskiqDepends``, made for one run, ended behind it.

All of it happens in the event loop, also for plain tasks, and what a broker overrides or has
been given counts from the next run on: so it is in taskiq, and that is why this stands beside
Windlass's own dependencies, which are planned when a task is defined.
"""

import functools
import inspect
import logging
import typing
from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

log = logging.getLogger("windlass.taskiq")


@dataclass(frozen=True, eq=False)
class Dependency:
    """The mark of a parameter; ``TaskiqDepends`` makes it."""

    dependency: Any = None
    use_cache: bool = True
    kwargs: Mapping[str, Any] = field(default_factory=dict)


def TaskiqDepends(
    dependency: Any = None, *, use_cache: bool = True, kwargs: Mapping[str, Any] | None = None
) -> Any:
    """Mark a parameter whose value is made where the task runs.

    dependency: a function, a class, a generator, plain or async; default: the annotation's class.
    use_cache:  False makes one of its own for this parameter, with all that it needs itself.
    kwargs:     arguments for it.
    """
    return Dependency(dependency, use_cache, dict(kwargs or {}))


def is_marked(parameter: inspect.Parameter, hint: Any) -> bool:
    """Tell whether a parameter is given by a dependency."""
    return _mark(parameter, hint) is not None


def _mark(parameter: inspect.Parameter, hint: Any) -> Dependency | None:
    marks = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
    for each in (*reversed(marks), parameter.default):
        if isinstance(each, Dependency):
            return each
    return None


@functools.lru_cache(maxsize=1024)
def needs_of(function: Any) -> Mapping[str, Dependency]:
    """Return what a dependency, or a task, needs itself: by parameter, each with its function.

    Raises: TypeError, if of a parameter nothing says what it is.
    """
    origin = typing.get_origin(function) or function
    bearer = _bearer(origin)
    hints = typing.get_type_hints(bearer, include_extras=True)
    variables = getattr(origin, "__parameters__", ())
    stands_for = dict(zip(variables, typing.get_args(function), strict=False))
    needs = {}
    for name, parameter in inspect.signature(bearer).parameters.items():
        mark = _mark(parameter, hints.get(name))
        if mark is None:
            continue
        wanted = mark.dependency or _unmarked(hints.get(name))
        if isinstance(wanted, TypeVar):
            wanted = stands_for.get(wanted)
        if wanted is None:
            raise TypeError(f"parameter {name!r} of {function!r}: nothing says what to depend on")
        needs[name] = Dependency(wanted, mark.use_cache, mark.kwargs)
    return needs


def _bearer(function: Any) -> Callable[..., Any]:
    """Return what has the parameters: of a class its constructor, of an object its call."""
    bearer: Callable[..., Any]
    if inspect.isclass(function):
        bearer = function.__init__
    elif inspect.isroutine(function):
        bearer = function
    else:
        bearer = type(function).__call__
    return bearer


def _unmarked(hint: Any) -> Any:
    return hint.__origin__ if typing.get_origin(hint) is Annotated else hint


class Resolution:
    """The dependencies of one run.

    given:     values by what they are asked for with: the context, the state, ….
    overrides: what stands for what, at this moment.
    """

    def __init__(self, given: Mapping[Any, Any], overrides: Mapping[Any, Any]) -> None:
        self._given = given
        self._overrides = overrides
        self._made: dict[Any, list[tuple[Mapping[str, Any], Any]]] = _cache(given)
        self._open: list[Any] = []

    async def arguments(self, function: Any) -> dict[str, Any]:
        """Make what a function depends on; return it by parameter."""
        return await self._arguments(function, self._made)

    async def _arguments(self, function: Any, made: dict[Any, Any]) -> dict[str, Any]:
        needs = needs_of(function).items()
        return {name: await self._value(need, made) for name, need in needs}

    async def _value(self, need: Dependency, made: dict[Any, Any]) -> Any:
        function = self._overrides.get(need.dependency, need.dependency)
        if not need.use_cache:
            return await self._enter(function, need.kwargs, _cache(self._given))
        for kwargs, value in made.setdefault(function, []):
            if kwargs == need.kwargs:
                return value
        value = await self._enter(function, need.kwargs, made)
        made[function].append((need.kwargs, value))
        return value

    async def _enter(self, function: Any, kwargs: Mapping[str, Any], made: dict[Any, Any]) -> Any:
        """Call a dependency, and begin what it returns if that has an end too."""
        result = function(**{**kwargs, **await self._arguments(function, made)})
        if inspect.isgenerator(result):
            value = next(result)
        elif inspect.isasyncgen(result):
            value = await anext(result)
        elif isinstance(result, _ENTERED):
            value = result.__enter__()
        elif isinstance(result, _ASYNC_ENTERED):
            value = await result.__aenter__()
        else:
            return await result if inspect.iscoroutine(result) else result
        self._open.append(result)
        return value

    async def close(self, error: BaseException | None) -> None:
        """End all that was made, the last first; throw the run's error into it.

        What one raises behind an error is logged; without one it is raised.
        """
        while self._open:
            opened = self._open.pop()
            try:
                await _end(opened, error)
            except BaseException as raised:
                if error is None:
                    raise
                if raised is not error:
                    log.warning("a dependency raised at its end: %r", raised, exc_info=raised)


async def _end(opened: Any, error: BaseException | None) -> None:
    if isinstance(opened, _ENTERED):
        opened.__exit__(*_told(error))
    elif isinstance(opened, _ASYNC_ENTERED):
        await opened.__aexit__(*_told(error))
    elif inspect.isgenerator(opened):
        _end_generator(opened, error)
    else:
        await _end_async_generator(opened, error)


def _end_generator(opened: Any, error: BaseException | None) -> None:
    try:
        if error is None:
            for _ in opened:
                pass
        else:
            opened.throw(error)
    except StopIteration:
        pass
    finally:
        opened.close()


async def _end_async_generator(opened: Any, error: BaseException | None) -> None:
    try:
        if error is None:
            async for _ in opened:
                pass
        else:
            await opened.athrow(error)
    except StopAsyncIteration:
        pass
    finally:
        await opened.aclose()


def _told(error: BaseException | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


def _cache(given: Mapping[Any, Any]) -> dict[Any, list[tuple[Mapping[str, Any], Any]]]:
    return {function: [({}, value)] for function, value in given.items()}


@contextmanager
def _nothing() -> Any:
    yield


@asynccontextmanager
async def _nothing_async() -> Any:
    yield


_ENTERED, _ASYNC_ENTERED = type(_nothing()), type(_nothing_async())
