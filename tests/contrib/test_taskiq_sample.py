"""One application on taskiq, and with other import lines on the front end: the same results."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import PostgresServer, RedisServer
from windlass import App

SAMPLE = Path(__file__).parent / "taskiq_sample" / "depot"
IMPORT = re.compile(r"^from taskiq(_redis)?(?=[. ])", re.MULTILINE)
START_S, VISIT_S, STOP_S = 30.0, 90.0, 20.0
WITHOUT_SCHEDULES = "simple", "labelled", "wrong", "retried", "needing", "waiting", "sharing"
TASKIQ = [sys.executable, "-m", "taskiq"]
WINDLASS = [sys.executable, "-m", "windlass"]


class Depot:
    """A copy of the sample in a folder of its own, and the processes that are run there."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.closed = folder / "closed.txt"
        shutil.copytree(SAMPLE, folder / "depot", ignore=shutil.ignore_patterns("__pycache__"))
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("WINDLASS_", "DEPOT"))}
        self.environ = clean | environ | {"DEPOT_CLOSED": str(self.closed)}

    def turn_to_windlass(self) -> int:
        """Change the import lines, and nothing else; return how many that was."""
        changed = 0
        for path in (self.folder / "depot").glob("*.py"):
            text, n = IMPORT.subn("from windlass.contrib.taskiq", path.read_text())
            path.write_text(text)
            changed += n
        return changed

    @contextmanager
    def running(self, name: str, command: list[str], until: str = "") -> Iterator[None]:
        """Run a process within a block, which begins when its log has some words."""
        log = self.folder / f"{name}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environ, stdout=file, stderr=file
            )
        try:
            end = time.monotonic() + START_S
            while until not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(STOP_S)

    def visit(self, *parts: str) -> Any:
        """Have a client do everything; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", "depot.visit", *parts],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=VISIT_S,
        )
        logs = "".join(path.read_text()[-3_000:] for path in self.folder.glob("*.log"))
        assert done.returncode == 0, done.stderr + logs
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def of_taskiq(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the application tells on taskiq, with its own worker and scheduler, over Redis."""
    depot = Depot(tmp_path_factory.mktemp("taskiq"), DEPOT_REDIS=redis_server.url(9))
    target = ["depot.brokers:broker", "depot.tasks", "--workers", "1"]
    timetable = ["depot.brokers:scheduler", "depot.tasks", "--update-interval", "1"]
    with ExitStack() as stack:
        worker = depot.running("worker", [*TASKIQ, "worker", *target], until="Listening started")
        stack.enter_context(worker)
        stack.enter_context(depot.running("scheduler", [*TASKIQ, "scheduler", *timetable]))
        told = depot.visit()
    return told, depot.closed.read_text()


def test_the_sample_does_on_taskiq_what_it_is_written_to_show(of_taskiq: Any) -> None:
    told, _ = of_taskiq

    assert told["simple"]["one"]["return_value"] == "2"
    assert told["wrong"]["caught"] == ["vase", 3, "OSError('the knife is blunt')"]
    assert told["retried"]["stays shut"]["labels"]["_retries"] == 2
    assert told["needing"]["tickets"]["return_value"] == "[True, False]"
    assert len(told["labelled"]["diary"]) == 6
    assert ["ann", "blue"] in told["scheduled"]["delivered"]


@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_with_other_import_lines_the_sample_gives_the_same_results(
    store: str, of_taskiq: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    if store == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        url = server.create_database("depot")
        app = App(url)
        app.migrate()
        app.close()
    depot = Depot(tmp_path, WINDLASS_STORE=url)
    assert depot.turn_to_windlass() == 10
    worker = [*WINDLASS, "worker", "depot.tasks:broker", "--scheduler"]
    with depot.running("worker", worker):
        told = depot.visit()

    expected, closed = of_taskiq
    assert told == expected
    assert depot.closed.read_text() == closed == "gate north closed\n"


def test_in_memory_the_sample_gives_the_same_results_too(tmp_path: Path) -> None:
    here = Depot(tmp_path / "windlass", DEPOT="test")
    here.turn_to_windlass()
    there = Depot(tmp_path / "taskiq", DEPOT="test")
    told = here.visit(*WITHOUT_SCHEDULES)

    assert told == there.visit(*WITHOUT_SCHEDULES)
    assert here.closed.read_text() == there.closed.read_text() == "gate north closed\n"


def test_the_front_end_needs_nothing_of_taskiq() -> None:
    code = (
        "import sys\n"
        "for name in ('taskiq', 'taskiq_redis', 'taskiq_dependencies', 'redis', 'pydantic'):\n"
        "    sys.modules[name] = None\n"
        "import asyncio\n"
        "from windlass.contrib.taskiq import InMemoryBroker\n"
        "broker = InMemoryBroker(await_inplace=True)\n"
        "@broker.task\n"
        "async def double(value: int) -> int:\n"
        "    return 2 * value\n"
        "async def main():\n"
        "    print((await (await double.kiq('4')).get_result()).return_value)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("8\n", "")
