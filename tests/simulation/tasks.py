"""The tasks of the simulated world: they succeed, fail, sleep long, ask for another time."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.simulation.invariants import Book
from windlass import Cancel, Retry, Snooze, context
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec

RARE = "rare"  # not every worker knows this one


def make_specs(book: Book) -> dict[str, TaskSpec]:
    """Return the tasks; each returns the fence under which it ran."""

    async def done(seconds: float) -> int:
        here = context()
        book.begin(here.job_id, here.fence)
        here.progress(0.0, "begun")
        await asyncio.sleep(seconds)
        here.progress(1.0, f"done by {here.fence}")
        book.produced.add((here.job_id, here.fence))
        return here.fence

    async def fails(seconds: float) -> int:
        await done(seconds)
        raise ValueError("always")

    async def flaky(seconds: float) -> int:
        fence = await done(seconds)
        if context().failures < 2:
            raise ConnectionError("twice")
        return fence

    async def snoozes(seconds: float) -> int:
        fence = await done(seconds)
        if context().attempt < 3:
            raise Snooze(1.5)
        return fence

    async def gives_up(seconds: float) -> int:
        await done(seconds)
        raise Cancel("not needed")

    async def asks_again(seconds: float) -> int:
        fence = await done(seconds)
        if context().failures == 0:
            raise Retry(after=2.0)
        return fence

    retry = Retry(4, delay=0.5, jitter=0.5)
    functions: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "done": (done, {}),
        "fails": (fails, {"retry": Retry(2, delay=0.3)}),
        "flaky": (flaky, {"retry": retry}),
        "snoozes": (snoozes, {}),
        "gives_up": (gives_up, {}),
        "asks_again": (asks_again, {"retry": retry}),
        "limited": (done, {"timeout_s": 0.6, "retry": Retry(2, delay=0.2)}),
        RARE: (done, {}),
    }
    return {name: _spec(name, function, options) for name, (function, options) in functions.items()}


def _spec(name: str, function: Callable[..., Any], options: dict[str, Any]) -> TaskSpec:
    return TaskSpec(
        name=name,
        function=function,
        signature=Signature(name, function),
        isolation="loop",
        is_async=True,
        **options,
    )
