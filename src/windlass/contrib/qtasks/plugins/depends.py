"""Dependencies: what a task is given besides its arguments; Windlass makes and ends them."""

import contextlib
import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from typing import Annotated, Any

import windlass
from windlass.contrib.qtasks.signatures import hints_of
from windlass.core.dependencies import Scope
from windlass.errors import NotSupported


class ScopeEnum(Enum):
    """How long what a dependency gives is kept."""

    TASK = "task"
    WORKER = "worker"
    BROKER = "broker"
    STORAGE = "storage"
    GLOBAL_CONFIG = "global_config"


_SCOPES: dict[str, Scope] = {"task": "job", "worker": "worker"}


class Depends:
    """The mark of a parameter that is made for a task: as its default, or inside ``Annotated``.

    func:  a function, a generator that yields once, or one that ``contextlib`` has made a context
           manager of; of either kind, plain or async.
    scope: "task": made for each run and ended after it, also after an error.  "worker": made once
           for a worker.
    Raises: NotSupported, for another scope.
    """

    def __init__(self, func: Callable[..., Any], scope: ScopeEnum | str = ScopeEnum.TASK) -> None:
        self.func = func
        self.scope = scope.value if isinstance(scope, ScopeEnum) else scope
        if self.scope not in _SCOPES:
            raise NotSupported("qtasks", f"Depends(scope={self.scope!r})", 'use "task" or "worker"')

    def native(self, *, in_loop: bool) -> windlass.Depends:
        """Return the mark that Windlass knows, for tasks of an event loop or of threads."""
        function = self.func
        code = getattr(function, "__code__", None)
        if code is not None and code.co_filename == contextlib.__file__:
            function = inspect.unwrap(function)  # the generator inside of @contextmanager
        elif not _gives_by_itself(function):
            function = _entered_in_loop(function) if in_loop else _entered(function)
        return windlass.Depends(function, scope=_SCOPES[self.scope])


def _gives_by_itself(function: Callable[..., Any]) -> bool:
    tests = (
        inspect.isgeneratorfunction,
        inspect.isasyncgenfunction,
        inspect.iscoroutinefunction,
    )
    return any(test(function) for test in tests)


@functools.cache
def _entered(function: Callable[..., Any]) -> Callable[[], Iterator[Any]]:
    """Return a generator of what a function returns, entered where that is a context manager."""

    def entered() -> Iterator[Any]:
        value = function()
        with value if hasattr(value, "__enter__") else contextlib.nullcontext(value) as given:
            yield given

    return entered


@functools.cache
def _entered_in_loop(function: Callable[..., Any]) -> Callable[[], AsyncIterator[Any]]:
    """Do as ``_entered`` where what is returned may also be async, or awaited."""

    async def entered() -> AsyncIterator[Any]:
        value = function()
        if inspect.isawaitable(value):
            value = await value
        async with contextlib.AsyncExitStack() as stack:
            if hasattr(value, "__aenter__"):
                value = await stack.enter_async_context(value)
            elif hasattr(value, "__enter__"):
                value = stack.enter_context(value)
            yield value

    return entered


def dependencies_of(function: Callable[..., Any]) -> dict[str, Depends]:
    """Return the parameters of a function which are made for it."""
    found = {}
    hints = hints_of(function)
    for parameter in inspect.signature(function).parameters.values():
        marks = [parameter.default, *_marks(hints.get(parameter.name))]
        mark = next((mark for mark in marks if isinstance(mark, Depends)), None)
        if mark is not None:
            found[parameter.name] = mark
    return found


def _marks(hint: Any) -> tuple[Any, ...]:
    return hint.__metadata__ if typing.get_origin(hint) is Annotated else (hint,)
