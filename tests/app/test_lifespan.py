"""The lifespan of a worker: what its attempts share, made before the first and closed last."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.app.live import WAIT_S, quick_app, running, working
from windlass import App, BadOption, context
from windlass.errors import LifespanBroke


async def test_it_is_made_before_the_first_attempt_and_closed_after_the_last(
    store_url: str,
) -> None:
    app = quick_app(store_url)
    order: list[str] = []

    @app.lifespan
    async def resources() -> AsyncIterator[list[str]]:
        order.append("made")
        await asyncio.sleep(0)
        yield order
        order.append("closed")

    @app.task
    async def asynchronous() -> None:
        context().state.append("async")

    @app.task
    def plain() -> None:
        context().state.append("plain")

    @app.task
    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            context().state.append("slow")

    async with working(app):
        for task in (asynchronous, plain):
            await (await task.aenqueue()).aresult(WAIT_S)
        job = await slow.aenqueue()
        await running(job)

    assert order == ["made", "async", "plain", "slow", "closed"]


async def test_each_worker_makes_its_own(store_url: str) -> None:
    app = quick_app(store_url)
    made: list[object] = []

    @app.lifespan
    async def resources() -> AsyncIterator[object]:
        made.append(object())
        yield made[-1]

    @app.task
    async def which() -> int:
        return made.index(context().state)

    for n in range(2):
        async with working(app):
            assert await (await which.aenqueue()).aresult(WAIT_S) == n


async def test_where_it_cannot_start_nothing_is_claimed(store_url: str) -> None:
    app = quick_app(store_url)

    @app.lifespan
    async def resources() -> AsyncIterator[None]:
        raise ConnectionError("no database")
        yield

    @app.task
    async def task() -> None: ...

    async with app.session():
        job = await task.aenqueue()
        with pytest.raises(LifespanBroke, match="at its start: ConnectionError: no database"):
            await app.run_worker()

        assert (await job.ajob()).fence == 0


async def test_what_it_raises_at_its_end_is_told_and_nothing_is_lost(store_url: str) -> None:
    app = quick_app(store_url)

    @app.lifespan
    async def resources() -> AsyncIterator[None]:
        yield
        raise OSError("cannot close")

    @app.task
    async def task() -> int:
        return 1

    async def work() -> None:
        async with working(app):
            assert await (await task.aenqueue()).aresult(WAIT_S) == 1

    with pytest.raises(LifespanBroke, match="at its end: OSError: cannot close"):
        await work()
    await app.aclose()


async def no_generator() -> None: ...


def no_coroutine() -> Any:
    yield


@pytest.mark.parametrize("wrong", [no_generator, no_coroutine, 7])
def test_what_is_no_lifespan_is_refused(wrong: Any, tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="yields once"):
        App(f"sqlite:///{tmp_path}/a.db").lifespan(wrong)


def test_there_is_one_for_an_app(tmp_path: Path) -> None:
    app = App(f"sqlite:///{tmp_path}/a.db")

    @app.lifespan
    async def first() -> AsyncIterator[None]:
        yield

    with pytest.raises(BadOption, match="one already"):
        app.lifespan(first)
