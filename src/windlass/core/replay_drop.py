"""Drops the coroutines of a suspended function, so that nothing is left and nothing warns.

Python itself ends a coroutine that nobody will go on with by a GeneratorExit at its ``await``.
``except Exception`` does not see that; ``finally`` and ``with`` blocks do run.
"""

import contextlib
import gc
import inspect
from collections import deque
from collections.abc import AsyncGenerator, Coroutine
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

ENDINGS_MAX = 1_000  # frames of one coroutine, and awaits that their ``finally`` blocks come to
HOLDERS_MAX = 10_000
HOLDER_LENGTH_MAX = 1_000

_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_FRAMES = (CoroutineType, GeneratorType, AsyncGeneratorType)


def drop(coroutine: Coroutine[Any, Any, Any]) -> None:
    """End a coroutine where it stands, whatever it does about that.

    The innermost frame first: from an inner one that comes to another await instead of ending,
    the outer would get a RuntimeError, which it could catch.
    """
    for _ in range(ENDINGS_MAX):
        _drop_unbegun(coroutine)
        innermost = _innermost(coroutine)
        with contextlib.suppress(BaseException):  # its result, and its errors, are of no account
            _end(innermost)
        if innermost is coroutine and getattr(coroutine, "cr_frame", None) is None:
            return


def drop_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """End an asynchronous generator that stands at a ``yield``."""
    closing = generator.aclose()
    with contextlib.suppress(BaseException):
        closing.send(None)
        drop(closing)  # it came to an await


def _innermost(holder: Any) -> Any:
    """Return what is to be ended first of all that a coroutine awaits."""
    for _ in range(ENDINGS_MAX):
        awaited = _awaited(holder)
        inner = awaited if isinstance(awaited, _FRAMES) else _frame_behind(awaited)
        if inner is None or _frame_of(inner) is None:
            return holder
        if isinstance(inner, AsyncGeneratorType) and not inner.ag_running:
            return holder  # this use of the generator is over
        holder = awaited
    return holder


def _awaited(holder: Any) -> Any:
    match holder:
        case CoroutineType():
            return holder.cr_await
        case GeneratorType():
            return holder.gi_yieldfrom
        case _:  # one use of an asynchronous generator, or what stands for a coroutine
            inner = _frame_behind(holder)
            return inner.ag_await if isinstance(inner, AsyncGeneratorType) else inner


def _frame_behind(awaited: Any) -> Any:
    return next((each for each in gc.get_referents(awaited) if isinstance(each, _FRAMES)), None)


def _frame_of(inner: Any) -> Any:
    match inner:
        case CoroutineType():
            return inner.cr_frame
        case GeneratorType():
            return inner.gi_frame
        case _:
            return inner.ag_frame


def _end(holder: Any) -> None:
    if isinstance(_frame_behind(holder), AsyncGeneratorType) and not isinstance(holder, _FRAMES):
        holder.throw(GeneratorExit())  # its ``close`` leaves the generator as it is
    else:
        holder.close()


def _drop_unbegun(holder: Any) -> None:
    """Close the coroutines which a suspended one holds and has not begun: else they would warn.

    They stand in its variables, among the arguments of a call that it is about to make, or in
    a list of either; the collector knows all of these.
    """
    seen: set[int] = set()
    holders = deque([holder])
    while holders and len(seen) < HOLDERS_MAX:
        for each in gc.get_referents(holders.popleft()):
            if id(each) in seen:
                continue
            if isinstance(each, CoroutineType) and _is_unbegun(each):
                each.close()
            elif isinstance(each, _FRAMES) or (
                isinstance(each, _CONTAINERS) and len(each) <= HOLDER_LENGTH_MAX
            ):
                seen.add(id(each))
                holders.append(each)


def _is_unbegun(coroutine: "CoroutineType[Any, Any, Any]") -> bool:
    return inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
