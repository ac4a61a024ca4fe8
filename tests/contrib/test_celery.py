"""The front end for code that uses Celery, beside the real Celery.

The same shop runs twice: on Celery with Redis, and with only its import lines changed.
"""

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
import redis

from tests.servers import PostgresServer, RedisServer
from windlass import App

SAMPLE = Path(__file__).parent / "celery_sample"
IMPORT = re.compile(r"^(from|import) celery\b", re.MULTILINE)
REDIS_DATABASE = 9
END_S = 120
QUICK = {"WINDLASS_POLL_INTERVAL_S": "0.1", "WINDLASS_SWEEP_INTERVAL_S": "0.05"}

PARTS = [
    "asking",
    "breaking",
    "calling",
    "composing",
    "eagerly",
    "failing",
    "handlers",
    "inline",
    "linking",
    "of_groups",
    "progress",
    "retrying",
    "scheduled",
    "signatures",
    "timing",
    "values",
]


class Shop:
    """The sample app in a folder of its own, with a worker and a driver."""

    def __init__(self, folder: Path, **environment: str) -> None:
        shutil.copytree(SAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "gates").mkdir()
        own = {"SHOP_DIARY": str(folder / "diary"), "SHOP_GATES": str(folder / "gates")}
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        self._folder = folder
        self._env = {**clean, "PYTHONPATH": str(folder), **own, **environment}

    def change_imports(self) -> None:
        """Change the import lines, and nothing else."""
        for path in self._folder.rglob("*.py"):
            path.write_text(IMPORT.sub(r"\1 windlass.contrib.celery", path.read_text("utf-8")))

    @contextmanager
    def working(self, *command: str) -> Iterator["subprocess.Popen[str]"]:
        """Start a worker, and the driver beside it; hand out the driver's process."""
        with self._started(*command) as worker, self._started("driver.py") as driver:
            yield driver
            assert worker.poll() is None, self._log(command[-1])

    @contextmanager
    def _started(self, *command: str) -> Iterator["subprocess.Popen[str]"]:
        log = (self._folder / f"{Path(command[-1]).stem}.log").open("w")
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=self._folder,
            env=self._env,
            stdout=subprocess.PIPE if command[0] == "driver.py" else log,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(END_S)
            log.close()
            if process.stdout is not None:
                process.stdout.close()

    def _log(self, name: str) -> str:
        return (self._folder / f"{Path(name).stem}.log").read_text()[-4_000:]

    def told_by(self, driver: "subprocess.Popen[str]") -> dict[str, Any]:
        """Return what a driver prints at its end."""
        out, _ = driver.communicate(timeout=END_S)
        assert driver.returncode == 0, self._log("driver.py")
        told: dict[str, Any] = json.loads(out)
        return told


@pytest.fixture(scope="module")
def told(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> dict[str, dict[str, Any]]:
    """What the shop says on Celery, and on the front end with each store; all at the same time."""
    folder = tmp_path_factory.mktemp("shops")
    broker = redis_server.url(REDIS_DATABASE)
    with redis.Redis.from_url(broker) as client:
        client.flushdb()
    postgres = postgres_server.create_database("celery_shop")
    app = App(postgres)
    app.migrate()
    app.close()
    real = Shop(folder / "real", SHOP_BROKER=broker, SHOP_POOL="prefork")
    beat = ("-B", "-s", str(folder / "beat"))
    celery = ("-m", "celery", "-A", "shop", "worker", *beat, "-Q", "celery,reports")
    # One takes its store from Windlass's settings, and one from the code, for its child processes.
    threads = {"SHOP_BROKER": "redis://127.0.0.1:1/0", "WINDLASS_STORE": "sqlite:///jobs.db"}
    fronts = {
        "sqlite": Shop(folder / "sqlite", SHOP_POOL="threads", **threads, **QUICK),
        "postgres": Shop(folder / "postgres", SHOP_POOL="prefork", SHOP_BROKER=postgres, **QUICK),
    }
    windlass = ("-m", "windlass", "worker", "shop:app", "--scheduler")
    for front in fronts.values():
        front.change_imports()
    with (
        real.working(*celery) as on_celery,
        fronts["sqlite"].working(*windlass) as on_sqlite,
        fronts["postgres"].working(*windlass) as on_postgres,
    ):
        return {
            "celery": real.told_by(on_celery),
            "sqlite": fronts["sqlite"].told_by(on_sqlite),
            "postgres": fronts["postgres"].told_by(on_postgres),
        }


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("part", PARTS)
def test_the_shop_gives_the_same_results_when_only_its_import_lines_are_changed(
    told: dict[str, dict[str, Any]], part: str, store: str
) -> None:
    assert told[store][part] == told["celery"][part]


def test_each_part_of_the_driver_is_compared(told: dict[str, dict[str, Any]]) -> None:
    assert sorted(told["celery"]) == PARTS
