"""Starlette, FastAPI and Litestar, each with its own test client, and a real worker."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import fastapi.testclient
import litestar
import litestar.testing
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.contrib.beside import worker_of
from windlass import App, StoreUnavailable, Task
from windlass.contrib.asgi import WindlassLifespan
from windlass.contrib.fastapi import WindlassApp
from windlass.errors import AppNotConnected
from windlass.testing.workbench import Workbench

pytest_plugins = ["windlass.testing.pytest"]


def app_with_task(store_url: str) -> tuple[App, "Task[[int], int, int]"]:
    app = App(store_url)

    @app.task(name="double")
    def double(n: int) -> int:
        return 2 * n

    return app, double


def is_open(app: App) -> bool:
    """Tell whether anything of the app is open in any loop."""
    return bool(app._sessions or app._inline or app._portal.is_running)


def test_starlette_opens_and_closes_the_app_and_its_handlers_enqueue(store_url: str) -> None:
    app, double = app_with_task(store_url)

    async def with_await(request: Request) -> JSONResponse:
        assert request.state.windlass is app
        job = await double.aenqueue(int(request.path_params["n"]))
        return JSONResponse(await job.aresult(timeout=15))

    def blocking(request: Request) -> JSONResponse:
        job = double.enqueue(int(request.path_params["n"]))
        return JSONResponse(job.result(timeout=15))

    routes = [Route("/a/{n}", with_await), Route("/b/{n}", blocking)]
    server = Starlette(routes=routes, lifespan=WindlassLifespan(app))
    with worker_of(app), TestClient(server) as client:
        assert is_open(app)
        assert client.get("/a/4").json() == 8
        assert client.get("/b/5").json() == 10

    assert not is_open(app)


def test_fastapi_gives_the_app_as_a_dependency(store_url: str) -> None:
    app, double = app_with_task(store_url)
    ran: list[str] = []

    @asynccontextmanager
    async def own(server: fastapi.FastAPI) -> AsyncIterator[dict[str, Any]]:
        assert is_open(app)
        ran.append("start")
        yield {"own": 7}
        ran.append("end")

    server = fastapi.FastAPI(lifespan=WindlassLifespan(app, inner=own))

    @server.post("/jobs/{n}")
    async def start(n: int, jobs: WindlassApp) -> str:
        [job] = await jobs.aenqueue_many([double.prepare(n)])
        return job.id

    @server.post("/blocking/{n}")
    def start_blocking(n: int, jobs: WindlassApp) -> str:
        assert jobs is app
        return double.enqueue(n).id

    @server.get("/jobs/{job_id}")
    def result(job_id: str, jobs: WindlassApp, request: fastapi.Request) -> int:
        found: int = jobs.job(job_id).result(timeout=15)
        return found + int(request.state.own)

    with worker_of(app), fastapi.testclient.TestClient(server) as client:
        first = client.post("/jobs/4").json()
        second = client.post("/blocking/5").json()
        assert client.get(f"/jobs/{first}").json() == 8 + 7
        assert client.get(f"/jobs/{second}").json() == 10 + 7

    assert ran == ["start", "end"]
    assert not is_open(app)


def test_without_the_lifespan_the_dependency_says_what_is_missing() -> None:
    server = fastapi.FastAPI()

    @server.get("/")
    def page(jobs: WindlassApp) -> None: ...

    with (
        fastapi.testclient.TestClient(server) as client,
        pytest.raises(AppNotConnected, match="lifespan=WindlassLifespan"),
    ):
        client.get("/")


def test_litestar_opens_and_closes_the_app_and_its_handlers_enqueue(store_url: str) -> None:
    app, double = app_with_task(store_url)

    @litestar.get("/a/4")
    async def with_await() -> int:
        return await (await double.aenqueue(4)).aresult(timeout=15)

    @litestar.get("/b/5", sync_to_thread=True)
    def blocking() -> int:
        return double.enqueue(5).result(timeout=15)

    server = litestar.Litestar([with_await, blocking], lifespan=[WindlassLifespan(app)])
    with worker_of(app), litestar.testing.TestClient(server) as client:
        assert is_open(app)
        assert client.get("/a/4").json() == 8
        assert client.get("/b/5").json() == 10

    assert not is_open(app)


def test_a_store_that_is_not_there_ends_the_start() -> None:
    app = App("postgresql://nobody@127.0.0.1:1/nowhere")
    with (
        pytest.raises(StoreUnavailable),
        TestClient(Starlette(lifespan=WindlassLifespan(app))),
    ):
        pass

    assert not is_open(app)


@pytest.fixture
def windlass_app() -> App:
    return App("postgresql://nobody@127.0.0.1:1/production")


def test_what_a_request_enqueues_a_workbench_runs(workbench: Workbench) -> None:
    server = fastapi.FastAPI(lifespan=WindlassLifespan(workbench.app))

    @workbench.app.task
    def double(n: int) -> int:
        return 2 * n

    @server.post("/{n}")
    async def start(n: int, jobs: WindlassApp) -> str:
        [job] = await jobs.aenqueue_many([double.prepare(n)])
        return job.id

    with fastapi.testclient.TestClient(server) as client:
        job_id = client.post("/4").json()

    assert workbench.drain() == 1
    assert workbench.app.job(job_id).result(timeout=5) == 8
