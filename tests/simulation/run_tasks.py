"""The app of a simulated world of runs: what its steps do, pure functions of their arguments."""

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.invariants import Book
from windlass import App, Cancel, Concurrency, Retry, Snooze, chain, context, continue_as, group
from windlass.core.context import Context
from windlass.errors import NotInAttempt
from windlass.model.jobs import JobId

SURE = ("sure", "flaky", "snoozes", "asks_again", "capped")  # they return ``value_of``
BAD = ("fails", "gives_up")
STEPS = (*SURE, *BAD, "limited", "goes_on")
LIMIT_S = 0.6


@dataclass(slots=True)
class RunBook(Book):
    """What attempts were given besides."""

    given: dict[tuple[JobId, int], tuple[int, Any, Any]] = field(default_factory=dict)


class SimulatedApp(App):
    """An app that is never opened; its ids are those of the world."""

    def __init__(self, make_id: Callable[[], JobId]) -> None:
        super().__init__("sqlite:///never-opened.db")
        self._make_id = make_id

    def new_job_id(self) -> JobId:
        """Return an id that the seed decides."""
        return self._make_id()


def value_of(number: int, one: Any, many: Any) -> int:
    """Return what a step makes of what it is given."""
    return zlib.crc32(json.dumps([number, one, many]).encode())


def _here() -> Context | None:
    try:
        return context()
    except NotInAttempt:
        return None  # plain code


def register_tasks(app: App, book: RunBook) -> None:
    """Register what steps do; in plain code they do it at once, and well."""

    async def work(number: int, seconds: float, one: Any, many: Any) -> int:
        here = _here()
        if here is None:
            return value_of(number, one, many)
        book.begin(here.job_id, here.fence)
        book.given[here.job_id, here.fence] = number, one, many
        await asyncio.sleep(seconds)
        book.produced.add((here.job_id, here.fence))
        return value_of(number, one, many)

    async def sure(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> int:
        return await work(number, seconds, one, many)

    async def fails(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> int:
        await work(number, seconds, one, many)
        raise ValueError("always")

    async def flaky(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> int:
        value = await work(number, seconds, one, many)
        if (here := _here()) is not None and here.failures < 2:
            raise ConnectionError("twice")
        return value

    async def snoozes(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> int:
        value = await work(number, seconds, one, many)
        if (here := _here()) is not None and here.attempt < 3:
            raise Snooze(0.7)
        return value

    async def gives_up(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> int:
        await work(number, seconds, one, many)
        raise Cancel("not needed")

    async def asks(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> int:
        value = await work(number, seconds, one, many)
        if (here := _here()) is not None and here.failures == 0:
            raise Retry(after=1.0)
        return value

    async def goes_on(number: int, seconds: float = 0.0, one: Any = None, many: Any = None) -> Any:
        await work(number, seconds, one, many)
        return _continued(app, number)

    async def joined(value: Any, number: int) -> int:
        return await work(number, 0.0, value, None)

    retry = Retry(4, delay=0.3, jitter=0.5)
    app.task(name="sure")(sure)
    app.task(name="fails", retry=Retry(2, delay=0.2))(fails)
    app.task(name="flaky", retry=retry)(flaky)
    app.task(name="snoozes")(snoozes)
    app.task(name="gives_up")(gives_up)
    app.task(name="asks_again", retry=retry)(asks)
    app.task(name="limited", timeout=LIMIT_S, retry=Retry(2, delay=0.2))(sure)
    app.task(name="capped", limits=[Concurrency(2)])(sure)
    app.task(name="goes_on")(goes_on)
    app.task(name="joined")(joined)


def _continued(app: App, number: int) -> Any:
    sure, joined = app.task_named("sure"), app.task_named("joined")
    match number % 4:
        case 0:
            return continue_as(chain(sure.bind(number), joined.bind(number=number)))
        case 1:
            return continue_as(group(sure.bind(number), sure.bind(number + 1, 0.2)))
        case 2:
            return continue_as(app.task_named("small_dag").bind(number))
        case _:
            return continue_as(app.task_named("small_flow").bind(number))
