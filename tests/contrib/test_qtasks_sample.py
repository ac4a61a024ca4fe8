"""A sample app for qtasks: the real library first, then the front end with other imports."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PostgresServer, RedisServer
from windlass import App

SAMPLE = Path(__file__).parent / "qtasks_sample"
IMPORT = re.compile(r"^(\s*(?:from|import) )qtasks\b", re.MULTILINE)
APPS = {"warehouse": "sell.py", "press": "publish.py"}  # plain functions, async functions
TIMEOUT_S = 120
NONE = {"absent", "absent result", "too short"}  # there is no such task, or not yet
REAL_WORKERS = {
    "warehouse": ("warehouse.py",),
    "press": ("-m", "qtasks", "-A", "press:app", "run"),
}


def environment(folder: Path, **more: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("WINDLASS_", "QTASKS_"))}
    return {**own, "SAMPLE_FOLDER": str(folder), **more}


@contextmanager
def process(*words: str, folder: Path, env: dict[str, str], stop: int) -> Iterator[None]:
    """Run Python beside a block; afterwards it ends in an orderly way, unless it is killed."""
    log = folder / "worker.log"
    with log.open("wb") as file:
        running = subprocess.Popen(
            [sys.executable, *words], cwd=folder, env=env, stdout=file, stderr=file
        )
    try:
        yield
        assert running.poll() is None, log.read_text()
    finally:
        running.send_signal(stop)
        code = running.wait(30)
    if stop != signal.SIGKILL:
        assert code == 0, log.read_text()


def driver(name: str, folder: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, APPS[name]],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(running: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, err = running.communicate(timeout=TIMEOUT_S)
    finally:
        running.kill()
        running.wait(30)
    assert running.returncode == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


@pytest.fixture(scope="module")
def real(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What the sample gives with the real library, its own worker and a real Redis.

    The real library loses a task in a hundred where processors are few: what one run has lost is
    taken from another.
    """
    told: dict[str, dict[str, Any]] = {name: {} for name in APPS}
    lost = {name: {""} for name in APPS}
    for turn in range(4):
        asked = {name: tmp_path_factory.mktemp(name) / "app" for name in APPS if lost[name]}
        databases = {name: 2 * turn + place for place, name in enumerate(APPS)}
        with ExitStack() as stack:
            running = {}
            for name, folder in asked.items():
                shutil.copytree(SAMPLE, folder)
                url = redis_server.url(databases[name])
                env = environment(folder, SAMPLE_BROKER=url, SAMPLE_WAIT="5")
                words, stop = REAL_WORKERS[name], signal.SIGKILL
                stack.enter_context(process(*words, folder=folder, env=env, stop=stop))
                running[name] = driver(name, folder, env)
            for name, found in {name: results(each) for name, each in running.items()}.items():
                lost[name] = lost_in(found) & (lost[name] | {*found} - {*told[name]})
                told[name] |= {key: found[key] for key in found.keys() - lost_in(found)}
    assert not any(lost.values()), lost
    return told


def lost_in(found: dict[str, Any]) -> set[str]:
    """Return the tasks that never ended, and what was asked about their attempts."""
    lost = {name for name, task in found.items() if task is None} - NONE
    return lost | {f"{name} attempts" for name in lost} & found.keys()


def with_other_imports(folder: Path) -> Path:
    """Copy the sample; nothing but the imports is changed."""
    shutil.copytree(SAMPLE, folder)
    for path in folder.glob("*.py"):
        path.write_text(IMPORT.sub(r"\1windlass.contrib.qtasks", path.read_text()))
    return folder


@pytest.mark.parametrize(
    ("name", "store", "by_command_line"),
    [
        ("warehouse", "sqlite", True),
        ("press", "sqlite", True),
        ("warehouse", "sqlite", False),
        pytest.param("press", "postgres", False, marks=pytest.mark.postgres),
    ],
)
def test_the_sample_gives_the_same_with_only_its_imports_changed(
    name: str,
    store: str,
    by_command_line: bool,
    real: dict[str, dict[str, Any]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    if store == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database("qtasks_sample")
        app = App(url)
        app.migrate()
        app.close()
    folder = with_other_imports(tmp_path / "app")
    env = environment(folder, WINDLASS_STORE=url, SAMPLE_BROKER="redis://:secret@127.0.0.1:1/0")
    words = ["-m", "windlass", "worker", f"{name}:app"] if by_command_line else [f"{name}.py"]
    with process(*words, folder=folder, env=env, stop=signal.SIGTERM):
        told = results(driver(name, folder, env))

    assert told == real[name]
    assert len(told) > 30
    log = (folder / "worker.log").read_text()
    assert log.count("not used: redis://:***@127.0.0.1:1/0") == 1, log
    assert "secret" not in log
