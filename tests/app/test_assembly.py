"""A worker put together: its parts start in order, stop in reverse, and leave nothing behind."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.app.live import WAIT_S, quick_app, working
from windlass import App
from windlass.assembly import Assembly
from windlass.engine.components import Components
from windlass.errors import BadOption, BadStoreUrl, CannotListen, LifespanBroke

PARTS = (
    "watch",
    "store",
    "large results",
    "resources",
    "services",
    "dependencies",
    "executors",
    "scheduler",
    "worker",
)


class Belongings:
    """What this process holds: threads, child processes, files."""

    def __init__(self) -> None:
        self.threads = set(threading.enumerate())
        self.children = set(psutil.Process().children())  # what servers start is theirs
        self.files = set(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else set()

    def more_than(self, before: "Belongings") -> list[object]:
        return [
            *(self.threads - before.threads),
            *(self.children - before.children),
            *(self.files - before.files),
        ]


def app_with_plain_task(folder: Path) -> App:
    app = quick_app(f"sqlite:///{folder}/jobs.db")

    @app.task(name="plain")
    def plain() -> int:
        return 7

    return app


async def run_a_job(app: App) -> int:
    async with working(app):
        return await (await app.task_named("plain").aenqueue()).aresult(WAIT_S)  # type: ignore[no-any-return]


class Refused(Exception):
    """A part would not start."""


def failing(start: Callable[[], AbstractAsyncContextManager[None]], *, after: bool):  # type: ignore[no-untyped-def]
    """Return a part that fails, before or after the real one has started."""

    @asynccontextmanager
    async def part() -> AsyncIterator[None]:
        if not after:
            raise Refused
        async with start():
            raise Refused
        yield

    return part


def hanging(begun: asyncio.Event):  # type: ignore[no-untyped-def]
    """Return a part that never comes to the end of its start."""

    @asynccontextmanager
    async def part() -> AsyncIterator[None]:
        begun.set()
        await asyncio.sleep(60)
        yield

    return part


def sabotage(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Assembly], Components]
) -> list[Components]:
    """Have each worker that is put together from here on use other components."""
    made: list[Components] = []
    init = Assembly.__init__

    def put_together(self: Assembly, *arguments: object) -> None:
        init(self, *arguments)  # type: ignore[arg-type]
        self.components = change(self)
        made.append(self.components)

    monkeypatch.setattr(Assembly, "__init__", put_together)
    return made


async def test_its_parts_start_in_the_documented_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sabotage(monkeypatch, lambda assembly: assembly.components)

    assert await run_a_job(app_with_plain_task(tmp_path)) == 7
    assert [components.names for components in made] == [PARTS]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", PARTS)
async def test_a_start_that_fails_at_any_part_leaves_nothing_and_can_be_repeated(
    name: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_with_plain_task(tmp_path)
    await run_a_job(app)  # what is made once for the whole process is there from now on
    before, tasks = Belongings(), asyncio.all_tasks()
    with monkeypatch.context() as patch:
        attribute = {
            "watch": "_watched",
            "store": "_opened_store",
            "large results": "_kept_large_results",
            "resources": "_held_resources",
            "services": "_held_services",
            "dependencies": "_shared_dependencies",
            "executors": "_started_executors",
            "scheduler": "_running_scheduler",
            "worker": "_made_worker",
        }[name]

        def change(assembly: Assembly) -> Components:
            part = failing(getattr(assembly, attribute), after=after)
            return assembly.components.replaced(name, part)

        sabotage(patch, change)
        with pytest.raises(Refused):
            await app.run_worker()

    assert Belongings().more_than(before) == []
    assert asyncio.all_tasks() == tasks
    assert await run_a_job(app) == 7


@pytest.mark.parametrize("name", PARTS)
async def test_a_start_that_is_cancelled_at_any_part_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_with_plain_task(tmp_path)
    await run_a_job(app)
    before, begun = Belongings(), asyncio.Event()
    sabotage(monkeypatch, lambda assembly: assembly.components.replaced(name, hanging(begun)))
    starting = asyncio.create_task(app.run_worker())
    await asyncio.wait_for(begun.wait(), WAIT_S)
    starting.cancel()
    await asyncio.wait([starting], timeout=WAIT_S)

    assert starting.cancelled()
    assert Belongings().more_than(before) == []


async def test_each_part_names_what_keeps_it_from_starting(tmp_path: Path) -> None:
    app = app_with_plain_task(tmp_path)
    await run_a_job(app)
    before = Belongings()
    with pytest.raises(BadOption, match="HOST:PORT"):
        await app.run_worker(health="nowhere")
    async with await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0) as taken:
        port = taken.sockets[0].getsockname()[1]
        with pytest.raises(CannotListen):
            await app.run_worker(health=f"127.0.0.1:{port}")
    other = app_with_plain_task(tmp_path)
    other.settings = replace(other.settings, store="ftp://x/y")
    with pytest.raises(BadStoreUrl):
        await other.run_worker()

    @app.lifespan
    async def breaks() -> AsyncIterator[None]:
        raise OSError("no")
        yield

    with pytest.raises(LifespanBroke):
        await app.run_worker()
    assert Belongings().more_than(before) == []
