"""A project of Django: its own test runner, its management commands, and a real worker."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent / "django_project"


def environment(store_url: str, folder: Path) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("WINDLASS_")}
    return {**own, "PROJECT_STORE": store_url, "PROJECT_DB": str(folder / "project.db")}


def manage(*words: str) -> list[str]:
    return [sys.executable, "manage.py", *words]


def test_the_backend_does_what_django_promises_of_one(store_url: str, tmp_path: Path) -> None:
    env = environment(store_url, tmp_path)
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            manage("windlass_worker", "--concurrency", "4"), cwd=PROJECT, env=env, stderr=log
        )
    try:
        done = subprocess.run(
            manage("test"), cwd=PROJECT, env=env, capture_output=True, text=True, timeout=120
        )
    finally:
        worker.send_signal(signal.SIGTERM)
        code = worker.wait(20)

    assert done.returncode == 0, done.stderr + (tmp_path / "worker.log").read_text()
    assert "Ran 16 tests" in done.stderr
    assert code == 0


def test_the_whole_command_line_is_there(tmp_path: Path) -> None:
    env = environment(f"sqlite:///{tmp_path}/jobs.db", tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            manage("windlass", *words), cwd=PROJECT, env=env, capture_output=True, text=True
        )

    assert run("migrate").returncode == 0
    counts = run("jobs", "counts")
    assert counts.returncode == 0, counts.stderr
    unknown = run("worker", "--backend", "nobody")
    assert unknown.returncode == 2
    assert "no such attribute" in unknown.stderr


def test_the_workers_of_each_backend_know_every_task(tmp_path: Path) -> None:
    env = environment(f"sqlite:///{tmp_path}/jobs.db", tmp_path)
    code = "from windlass.contrib.django import worker; print(*worker.other.specs)"
    told = subprocess.run(
        manage("shell", "--no-startup", "-c", code),
        cwd=PROJECT,
        env=env,
        capture_output=True,
        text=True,
    )

    assert "shop.tasks.double" in told.stdout.split(), told.stderr
    assert "shop.views.defined_beside_a_view" in told.stdout.split()


@pytest.mark.parametrize("command", ["windlass", "windlass_worker"])
def test_the_commands_are_listed(command: str, tmp_path: Path) -> None:
    env = environment("sqlite:///jobs.db", tmp_path)
    told = subprocess.run(manage("help"), cwd=PROJECT, env=env, capture_output=True, text=True)

    assert f"    {command}\n" in told.stdout
