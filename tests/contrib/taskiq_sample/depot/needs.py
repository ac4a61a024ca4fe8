"""What the depot's tasks depend on."""

import itertools
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any, Generic, TypeVar

from taskiq import Context, TaskiqDepends, TaskiqState

T = TypeVar("T")
numbers = itertools.count(1)


def ticket() -> int:
    """Evaluated once for a run, unless somebody asks for one of its own."""
    return next(numbers)


def left(number: int = TaskiqDepends(ticket)) -> int:
    return number


def right(number: Annotated[int, TaskiqDepends(ticket)]) -> int:
    return number


def own(number: int = TaskiqDepends(ticket, use_cache=False)) -> int:
    return number


async def gate(context: Annotated[Context, TaskiqDepends()]) -> str:
    return f"{context.state.gate} for {context.message.task_name}"


class Ledger:
    """A class whose own needs are given to its constructor."""

    def __init__(
        self, state: TaskiqState = TaskiqDepends(), door: str = TaskiqDepends(gate)
    ) -> None:
        self.state = state
        self.door = door

    def count(self, what: str) -> int:
        counts = self.state.counts
        counts[what] = counts.get(what, 0) + 1
        return int(counts[what])


def scale(state: Annotated[TaskiqState, TaskiqDepends()]) -> Generator[str, None, None]:
    state.opened.append("scale on")
    try:
        yield "scale"
    except ValueError as error:
        state.opened.append(f"scale saw {error!r}")
    else:
        state.opened.append("scale weighed")
    finally:
        state.opened.append("scale off")


async def crane(
    weigher: str = TaskiqDepends(scale), state: TaskiqState = TaskiqDepends()
) -> AsyncGenerator[str, None]:
    state.opened.append("crane up")
    yield f"crane with {weigher}"
    state.opened.append("crane down")


@contextmanager
def ladder() -> Generator[str, None, None]:
    yield "ladder"


@asynccontextmanager
async def lift() -> AsyncGenerator[str, None]:
    yield "lift"


class Shelf:
    """A shelf of so many boards."""

    def __init__(self, boards: int = 1) -> None:
        self.boards = boards


class Rack(Generic[T]):
    """Holds one of whatever it is asked to hold."""

    def __init__(self, content: T = TaskiqDepends()) -> None:
        self.content = content


def broken() -> Any:
    raise LookupError("no key", 7)
