"""``windlass runs …`` and ``windlass dags …``, as a user types them."""

import asyncio
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from windlass import App
from windlass.cli.main import run

APP = """
import asyncio

from windlass import App, Schedule, cron

app = App("sqlite:///here.db")


@app.task(name="fetch")
def fetch(page: str) -> str:
    if page == "bad":
        raise OSError("no such page")
    return page * 2


@app.task(name="join")
def join(pages: list[str]) -> str:
    return "+".join(pages)


@app.dag(name="pages", schedule=Schedule(cron("0 5 * * *"), arguments={"page": "a"}, window=True))
def pages(page: str) -> str:
    first, second = fetch(page), fetch("b")
    fetch.step(name="sorry", rule="one_failed", after=[first, second])("c")
    return join([first, second])


@app.workflow(name="waits")
async def waits() -> None:
    await fetch.astep("a")
    await asyncio.sleep(3600)
"""
BAD_APP = """
from windlass import App

app = App("sqlite:///here.db")


@app.dag(name="empty")
def empty() -> None: ...
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """An app in a module of its own, with its store in the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WINDLASS_STORE", "sqlite:///here.db")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "leaves.py").write_text(APP)
    (tmp_path / "bad_leaves.py").write_text(BAD_APP)
    made: App = import_module("leaves").app
    yield made
    made.close()
    for name in ("leaves", "bad_leaves"):
        sys.modules.pop(name, None)


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    """Return the JSON document that a command prints."""
    capsys.readouterr()
    assert run([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def worked_off(app: App) -> None:
    """Run all that can run now."""

    async def work() -> None:
        await app.run_worker(burst=True)
        await app.aclose()

    asyncio.run(work())


def test_runs_are_listed_and_shown_with_their_steps(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    good = app.task_named("pages").enqueue("a")
    bad = app.task_named("pages").enqueue("bad")
    worked_off(app)
    listed = told(capsys, "runs", "list")
    failed = told(capsys, "runs", "list", "--state", "failed", "--name", "pages", "--kind", "dag")
    shown = told(capsys, "runs", "show", bad.id)

    assert [one["id"] for one in listed] == [bad.id, good.id]
    assert [one["id"] for one in failed] == [bad.id]
    assert shown["error"]["type"] == "windlass.errors.StepsFailed"
    states = {(step["name"], step["nth"]): step["state"] for step in shown["steps"]}
    assert states == {
        ("fetch", 0): "failed",
        ("fetch", 1): "succeeded",
        ("sorry", 0): "succeeded",
        ("join", 0): "failed",
    }
    assert run(["runs", "show", good.id]) == 0
    text = capsys.readouterr().out
    assert "fetch [1]" in text
    assert "skipped" in text
    assert run(["runs", "list"]) == 0
    assert good.id in capsys.readouterr().out


def test_a_run_is_cancelled_with_its_steps(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    waits = app.task_named("waits").enqueue()
    worked_off(app)
    why = told(capsys, "why", waits.id)
    [answer] = told(capsys, "runs", "cancel", waits.id)
    shown = told(capsys, "runs", "show", waits.id)

    assert "its steps: 1 scheduled, 1 succeeded" in why["because"]
    assert answer == {"id": waits.id, "state": "cancelled"}
    assert [step["state"] for step in shown["steps"]] == ["succeeded", "cancelled"]


def test_a_run_of_a_tick_says_of_which(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    app.schedules.sync()
    run_id = app.schedules.start("pages")
    [listed] = told(capsys, "runs", "list")
    assert run(["schedules", "show", "pages"]) == 0

    assert listed["id"] == run_id
    assert listed["kind"] == "dag"
    assert "pages" in capsys.readouterr().out


def test_what_is_no_run_is_told(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    job = app.task_named("fetch").enqueue("a")

    for command in ("show", "cancel"):
        assert run(["runs", command, job.id]) == 1
        assert f"no job '{job.id}'" in capsys.readouterr().err


def test_dags_are_listed_and_shown(app: App, capsys: pytest.CaptureFixture[str]) -> None:
    listed = told(capsys, "dags", "list", "leaves:app")
    shown = told(capsys, "dags", "show", "leaves:app", "pages")
    assert run(["dags", "show", "leaves:app", "pages"]) == 0

    assert listed == [{"name": "pages", "steps": 4, "queue": "default"}]
    assert shown[3] == {
        "step": "join",
        "task": "join",
        "waits_for": ["fetch", "fetch [1]"],
        "rule": "all_success",
    }
    assert "one_failed" in capsys.readouterr().out
    assert run(["dags", "show", "leaves:app", "page"]) == 2
    assert "did you mean 'pages'?" in capsys.readouterr().err


def test_a_dag_that_is_declared_wrongly_is_a_problem(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = told(capsys, "check", "bad_leaves:app", code=1)
    assert run(["dags", "list", "bad_leaves:app"]) == 2

    assert "DAG 'empty': it has no steps" in checked["problems"][0]
    assert "it has no steps" in capsys.readouterr().err
