"""Flask with its own test client, and a real worker."""

import threading

import pytest
from flask import Flask, current_app, g

from tests.contrib.beside import worker_of
from windlass import App, JobFailed
from windlass.contrib.flask import Windlass, windlass_app
from windlass.errors import AppNotConnected


def test_views_enqueue_and_tasks_run_in_the_application_context(store_url: str) -> None:
    app = App("sqlite:///nowhere.db")
    torn_down: list[tuple[int, BaseException | None]] = []
    extension = Windlass(app)

    @app.task
    def plain(n: int) -> str:
        assert "n" not in g, "it has a g of its own"
        g.n = n
        return f"{current_app.name} {current_app.config['SHOP']} {n} in {threading.get_ident()}"

    @app.task
    async def unblocking(n: int) -> str:
        assert "n" not in g
        g.n = n
        return f"{current_app.config['SHOP']} {n}"

    @app.task
    def broken() -> None:
        g.n = 99
        raise OSError("out of order")

    def create_app() -> Flask:
        flask = Flask("shop")
        flask.config.update(SHOP="teas", WINDLASS_STORE=store_url)
        extension.init_app(flask)

        @flask.teardown_appcontext
        def tear_down(error: BaseException | None) -> None:
            if "n" in g:
                torn_down.append((threading.get_ident(), error))

        @flask.post("/<kind>/<int:n>")
        def start(kind: str, n: int) -> str:
            assert windlass_app() is app
            return (plain if kind == "plain" else unblocking).enqueue(n).id

        return flask

    client = create_app().test_client()
    try:
        with worker_of(app):
            jobs = [client.post(f"/plain/{n}").text for n in (1, 2)]
            results = [app.job(job_id).result(timeout=15) for job_id in jobs]
            other = app.job(client.post("/async/3").text).result(timeout=15)
            with pytest.raises(JobFailed, match="out of order"):
                broken.enqueue().result(timeout=15)
    finally:
        app.close()

    assert [text.partition(" in ")[0] for text in results] == ["shop teas 1", "shop teas 2"]
    assert other == "teas 3"
    threads = {int(text.partition(" in ")[2]) for text in results}
    assert {thread for thread, _ in torn_down} >= threads, "torn down where the task has run"
    assert [str(error) for _, error in torn_down if error is not None] == ["out of order"]
    assert len(torn_down) == 4


def test_a_task_without_an_application_fails_and_says_why(store_url: str) -> None:
    app = App(store_url)
    Windlass(app)

    @app.task
    def task() -> None: ...

    try:
        with worker_of(app), pytest.raises(JobFailed, match="init_app"):
            task.enqueue().result(timeout=15)
    finally:
        app.close()


def test_an_application_without_the_extension_says_what_is_missing() -> None:
    with Flask("bare").app_context(), pytest.raises(AppNotConnected, match="init_app"):
        windlass_app()


def test_at_once_is_as_good_as_later() -> None:
    app, flask = App(), Flask("shop")
    Windlass(app, flask)

    with flask.app_context():
        assert windlass_app() is app
