"""A sample app for qtasks: the real library first, then the front end with other imports."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PostgresServer, RedisServer
from windlass import App

SAMPLE = Path(__file__).parent / "qtasks_sample"
IMPORT = re.compile(r"^(\s*(?:from|import) )qtasks\b", re.MULTILINE)
APPS = {"warehouse": "sell.py", "press": "publish.py"}  # plain functions, async functions
TIMEOUT_S = 120


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
    """What the sample gives with the real library, its own worker and a real Redis."""
    folders = {name: tmp_path_factory.mktemp(name) / "app" for name in APPS}
    told = {}
    for folder in folders.values():
        shutil.copytree(SAMPLE, folder)
    envs = {
        name: environment(folder, SAMPLE_BROKER=redis_server.url(place))
        for place, (name, folder) in enumerate(folders.items(), start=14)
    }
    with (
        process(
            "warehouse.py",
            folder=folders["warehouse"],
            env=envs["warehouse"],
            stop=signal.SIGKILL,
        ),
        process(
            *("-m", "qtasks", "-A", "press:app", "run"),
            folder=folders["press"],
            env=envs["press"],
            stop=signal.SIGKILL,
        ),
    ):
        drivers = {name: driver(name, folders[name], envs[name]) for name in APPS}
        for name, running in drivers.items():
            told[name] = results(running)
    return told


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
