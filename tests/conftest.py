"""Runs coroutine tests, each in an event loop of its own, and refuses what they leave behind."""

import asyncio
import inspect
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pythons import OtherPythons
from tests.servers import PgBouncer, PostgresServer, RabbitServer, RedisServer
from windlass import App

_NUMBERS = itertools.count(1)


_OTHER_PYTHONS = pytest.StashKey[OtherPythons]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the runs under other Pythons with this one, if their tests are among those to run."""
    asked = any("other_pythons" in getattr(item, "fixturenames", ()) for item in session.items)
    if asked and not session.config.option.collectonly:
        session.config.stash[_OTHER_PYTHONS] = OtherPythons()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End them, however this run ends."""
    if (runs := config.stash.get(_OTHER_PYTHONS, None)) is not None:
        runs.close()


@pytest.fixture(scope="session")
def other_pythons(request: pytest.FixtureRequest) -> OtherPythons:
    """The runs under the other Pythons of this machine, begun with this one."""
    return request.config.stash[_OTHER_PYTHONS]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an ``async def`` test; its fixtures are plain values and factories."""
    test = pyfuncitem.obj
    if not inspect.iscoroutinefunction(test):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    asyncio.run(_run_and_look(test, {name: pyfuncitem.funcargs[name] for name in names}))
    return True


async def _run_and_look(test: Any, arguments: dict[str, Any]) -> None:
    await test(**arguments)
    for _ in range(10):  # what has just been cancelled may take its last steps
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.01)

    assert not left, "the test left tasks behind"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server which the tests share; each makes databases of its own."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_database(postgres_server: PostgresServer) -> str:
    """The name of a database with our tables, to be copied: that is quicker than to migrate."""
    app = App(postgres_server.create_database("migrated"))
    app.migrate()
    app.close()
    return "migrated"


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """A transaction pooler before the shared server."""
    bouncer = PgBouncer(postgres_server)
    yield bouncer
    bouncer.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis server which the tests share; each flushes what it uses."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def rabbit_server() -> Iterator[RabbitServer]:
    """A RabbitMQ server which the tests share; each names queues of its own."""
    server = RabbitServer()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    migrated: str = request.getfixturevalue("migrated_database")
    return server.create_database(f"jobs_{next(_NUMBERS)}", like=migrated)
