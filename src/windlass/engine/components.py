"""Components: what stands on each other, started in order and stopped in reverse."""

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self

log = logging.getLogger("windlass.components")

Start = Callable[[], AbstractAsyncContextManager[Any]]


class Components:
    """Named parts, each of which may need those before it.

    A part is a function that returns an async context manager: entering it starts the part,
    leaving it stops it, and a part whose start fails leaves nothing behind.

    Start:  in order.  Where one fails, or is cancelled, exactly those which had started are
            stopped, in reverse, and the error is raised.
    Stop:   in reverse; one that fails does not keep the others from stopping.
    Repeat: after a stop, or a failed start, they can be started again.
    """

    def __init__(self, parts: Iterable[tuple[str, Start]]) -> None:
        self._parts = dict(parts)
        self._started: AsyncExitStack | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The parts, in the order of their start."""
        return tuple(self._parts)

    def replaced(self, name: str, start: Start) -> "Components":
        """Return components with another part in the place of one."""
        assert name in self._parts, f"no part is called {name!r}"
        return Components({**self._parts, name: start}.items())

    async def __aenter__(self) -> Self:
        assert self._started is None, "these components run already"
        async with AsyncExitStack() as stack:
            for name, start in self._parts.items():
                await stack.enter_async_context(start())
                stack.callback(log.debug, "stopping: %s", name)
                log.debug("started: %s", name)
            self._started = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        started, self._started = self._started, None
        assert started is not None
        return await started.__aexit__(kind, error, trace)
