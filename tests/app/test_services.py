"""Services: what each worker of an app holds open while it works."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.app.live import WAIT_S, quick_app, working
from windlass import App, BadOption
from windlass.errors import AppNotConnected, ServiceBroke


async def test_they_are_held_from_before_the_first_attempt_until_after_the_last(
    store_url: str,
) -> None:
    app = quick_app(store_url)
    order: list[str] = []

    @app.lifespan
    async def resources() -> AsyncIterator[None]:
        order.append("lifespan begins")
        yield
        order.append("lifespan ends")

    @app.worker_service
    async def first() -> AsyncIterator[None]:
        order.append("first begins")
        yield
        order.append("first ends")

    @asynccontextmanager
    async def second(name: str) -> AsyncIterator[str]:
        order.append(f"{name} begins")
        yield name
        order.append(f"{name} ends")

    app.worker_service(lambda: second("second"))

    begun = asyncio.Event()

    @app.task
    async def task() -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            order.append("attempt")

    async with working(app):
        await task.aenqueue()
        await asyncio.wait_for(begun.wait(), WAIT_S)

    assert order == [
        *("lifespan begins", "first begins", "second begins"),
        "attempt",
        *("second ends", "first ends", "lifespan ends"),
    ]


@asynccontextmanager
async def without_app() -> AsyncIterator[None]:
    raise AppNotConnected("somewhere()")
    yield


async def without_network() -> AsyncIterator[None]:
    raise ConnectionError("no network")
    yield


@pytest.mark.parametrize(
    ("service", "error", "told"),
    [
        (without_network, ServiceBroke, "without_network raised at its start: ConnectionError: no"),
        (without_app, AppNotConnected, "use somewhere"),
        (lambda: None, ServiceBroke, "<lambda> raised at its start: TypeError"),
    ],
)
async def test_where_one_cannot_start_nothing_is_claimed_and_the_others_are_left(
    service: Any, error: type[Exception], told: str, store_url: str
) -> None:
    app = quick_app(store_url)
    order: list[str] = []

    @app.worker_service
    async def before() -> AsyncIterator[None]:
        yield
        order.append("left")

    app.worker_service(service)

    @app.task
    async def task() -> None: ...

    async with app.session():
        job = await task.aenqueue()
        with pytest.raises(error, match=told):
            await app.run_worker()

        assert order == ["left"]
        assert (await job.ajob()).fence == 0


async def test_what_one_raises_at_its_end_is_told_and_the_others_end_too(store_url: str) -> None:
    app = quick_app(store_url)
    order: list[str] = []

    @app.worker_service
    async def before() -> AsyncIterator[None]:
        yield
        order.append("left")

    @app.worker_service
    async def broken() -> AsyncIterator[None]:
        yield
        raise OSError("cannot close")

    @app.task
    async def task() -> int:
        return 1

    async def work() -> None:
        async with working(app):
            assert await (await task.aenqueue()).aresult(WAIT_S) == 1

    with pytest.raises(ServiceBroke, match="broken raised at its end: OSError: cannot close"):
        await work()
    await app.aclose()

    assert order == ["left"]


async def no_generator() -> None: ...


@pytest.mark.parametrize("wrong", [no_generator, 7])
def test_what_cannot_be_held_is_refused(wrong: Any) -> None:
    with pytest.raises(BadOption, match="async context manager"):
        App("sqlite:///never.db").worker_service(wrong)
