"""Real workers and large results: killed between the put and the settle; the command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet, eventually
from windlass import App
from windlass.model.jobs import JobFilter

LARGE = 300_000


def test_a_worker_killed_between_put_and_settle_loses_nothing_and_leaves_nothing(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "large"
    monkeypatch.setenv("LARGE_APP_MARK", str(tmp_path / "killed"))
    app = App(store_url, large_results=place.as_uri())
    text = app.task(name="text")(_text)
    with Fleet(store_url, tmp_path, WINDLASS_LARGE_RESULTS=place.as_uri()) as fleet:
        job = text.enqueue(LARGE)
        first = fleet.start(target="tests.e2e.large_app:app")
        assert first.wait(30) == -signal.SIGKILL, fleet.logs()
        assert {blob.name for blob in place.rglob("*.*")} == {f"{job.id}.1"}
        fleet.start(target="tests.e2e.large_app:app")
        assert job.result(30) == "x" * LARGE
        fleet.start(target="tests.e2e.large_app:app")  # its upkeep looks at its start

        names = {f"{job.id}.2"}
        assert eventually(lambda: {blob.name for blob in place.rglob("*.*")} == names, within_s=30)
        assert (job.job().losses, job.job().failures) == (1, 0)
        assert app.operations.purge(JobFilter()) == 1
        fleet.start(target="tests.e2e.large_app:app")
        assert eventually(lambda: not list(place.rglob("*.*")), within_s=30), fleet.logs()
    app.close()


def test_the_command_line_shows_large_results(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "large"
    (tmp_path / "killed").touch()
    monkeypatch.setenv("LARGE_APP_MARK", str(tmp_path / "killed"))
    settings = {"WINDLASS_LARGE_RESULTS": place.as_uri()}
    with Fleet(store_url, tmp_path, **settings) as fleet:
        fleet.start(target="tests.e2e.large_app:app")

        def told(*words: str, **environ: str) -> str:
            return subprocess.run(
                [sys.executable, "-m", "windlass", *words],
                cwd=Path(__file__).parents[2],
                env={**fleet.env, **environ},
                capture_output=True,
                text=True,
                check=True,
            ).stdout

        words = ("tests.e2e.large_app:app", "text", f"[{LARGE}]", "--wait", "--timeout", "30")
        made = json.loads(told("enqueue", *words, "--json"))
        assert made["result"] == "x" * LARGE
        shown = json.loads(told("jobs", "show", made["id"], "--json"))
        assert shown["result"] == "x" * LARGE
        off = json.loads(told("jobs", "show", made["id"], "--json", WINDLASS_LARGE_RESULTS=""))
        assert "has no setting large_results" in off["result"]
        [listed] = json.loads(told("jobs", "list", "--json"))

        assert listed["result"] == "(300,002 bytes among the large results)"


async def _text(size: int) -> str:
    """Stand for the task of the workers' app."""
    return "x" * size
