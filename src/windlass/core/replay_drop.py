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

AWAITS_MAX = 100  # awaits in ``finally`` blocks that one coroutine may still come to
HOLDERS_MAX = 10_000
HOLDER_LENGTH_MAX = 1_000

_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_FRAMES = (CoroutineType, GeneratorType, AsyncGeneratorType)


def drop(coroutine: Coroutine[Any, Any, Any]) -> None:
    """End a coroutine where it stands, whatever it does about that.

    One that comes to another await is ended there in turn, AWAITS_MAX times at most.
    """
    for _ in range(AWAITS_MAX):
        _drop_unbegun(coroutine)
        with contextlib.suppress(BaseException):  # its result, and its errors, are of no account
            coroutine.close()
        if getattr(coroutine, "cr_frame", None) is None:
            return


def drop_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """End an asynchronous generator that stands at a ``yield``."""
    closing = generator.aclose()
    with contextlib.suppress(BaseException):
        closing.send(None)
    with contextlib.suppress(BaseException):
        closing.close()  # it came to an await


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
