"""Routers: tasks defined apart from their app, on both stores."""

from collections.abc import Generator
from typing import Any

import pytest

from tests.app.live import WAIT_S, quick_app, working
from windlass import App, AttemptCall, BadOption, BadTask, EnqueueCall, Outcome, Router, context
from windlass.errors import BadMiddleware, NotIncluded


def noting(order: list[str], name: str) -> Any:
    def middleware(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
        order.append(name)
        yield call

    return middleware


async def test_its_tasks_are_the_apps_once_it_is_included(store_url: str) -> None:
    app, router = quick_app(store_url), Router(queue="mail")

    @router.task
    async def early() -> str:
        return context().queue

    app.include(router)

    @router.task(queue="own")
    def late(n: int) -> tuple[str, int]:
        return context().queue, n

    async with working(app):
        assert await (await early.aenqueue()).aresult(WAIT_S) == "mail"
        [job] = await app.aenqueue_many([late.using(priority=3).prepare(7)])
        assert await job.aresult(WAIT_S) == ("own", 7)

    assert app.task_named(late.name) is late
    assert set(app.specs) == {early.name, late.name}
    app.close()


def test_the_blocking_face_of_its_tasks(store_url: str) -> None:
    app, router = quick_app(store_url), Router()
    task = router.task(name="t")(_noop)
    app.include(router)

    job = task.enqueue()

    assert job.job().queue == "default"
    assert job.cancel() == "cancelled"
    app.close()


def _noop() -> None: ...


async def test_its_middleware_stands_between_the_apps_and_the_tasks(store_url: str) -> None:
    app, router, other = quick_app(store_url), Router(), Router()
    order: list[str] = []
    sizes: list[int] = []

    @router.task(around_attempt=[noting(order, "task")])
    async def within() -> None: ...

    router.around_attempt(noting(order, "router"))
    app.around_attempt(noting(order, "app"))

    @router.around_enqueue
    def count(call: EnqueueCall) -> Generator[EnqueueCall, Any, None]:
        sizes.append(len(call.requests))
        yield call

    @other.task
    async def without() -> None: ...

    app.include(router)
    app.include(other)
    async with working(app):
        batch = [within.prepare(), without.prepare(), within.prepare()]
        for job in await app.aenqueue_many(batch):
            await job.aresult(WAIT_S)

    assert sizes == [2]
    assert order.count("app") == 3
    assert [name for name in order if name != "app"] == ["router", "task"] * 2


def test_a_task_of_a_router_without_an_app_says_what_to_do() -> None:
    task = Router().task(_noop)
    with pytest.raises(NotIncluded, match=r"app\.include\(router\)"):
        task.enqueue()

    assert task() is None  # a plain call needs no app


def test_what_cannot_be_included_is_refused(tmp_path: Any) -> None:
    app, router = App(f"sqlite:///{tmp_path}/a.db"), Router()
    router.task(name="free")(_noop)
    router.task(name="t")(_noop)
    app.task(name="t")(_noop)
    with pytest.raises(BadTask, match="has a task of this name"):
        app.include(router)
    assert set(app.specs) == {"t"}  # no half of it

    free = Router()
    app.include(free)
    with pytest.raises(BadOption, match="already included"):
        App(f"sqlite:///{tmp_path}/b.db").include(free)
    with pytest.raises(BadTask, match="already registered"):
        free.task(name="t")(_noop)
    assert not free.specs
    with pytest.raises(BadMiddleware, match="before its router is included"):
        free.around_attempt(noting([], "late"))
