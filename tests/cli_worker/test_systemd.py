"""A worker under a service manager: what real processes say on a real datagram socket."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli_worker.commands import JOBS, Site, eventually
from windlass.model.jobs import JobRequest

SLOW_TO_START = f"""{JOBS}
import os

app.settings = __import__("dataclasses").replace(app.settings, stall_limit_s=1.0)

@app.lifespan
async def resources():
    await asyncio.sleep(1.0)
    yield

@app.task(name="block")
async def block(seconds: float) -> None:
    time.sleep(seconds)

@app.task(name="environ")
async def environ() -> list[str]:
    return [name for name in os.environ if "NOTIFY" in name or "WATCHDOG" in name]
"""


class Manager:
    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setblocking(False)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        while True:
            try:
                self.heard += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.heard

    def hears(self, line: str) -> bool:
        return eventually(lambda: line in self.listen())


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    path = tmp_path / "notify"
    manager = Manager(path)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "2000000")
    yield manager
    manager.socket.close()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_ready_comes_with_the_lease_the_watchdog_is_fed_and_stopping_comes_first(
    site: Site, manager: Manager, processes: str
) -> None:
    site.write(SLOW_TO_START)
    worker = site.worker("--processes", processes)
    assert manager.hears("WATCHDOG=1"), worker.output
    assert "READY=1" not in manager.heard
    assert manager.hears("READY=1"), worker.output
    assert len(site.worker_pids()) == int(processes)

    job = JobRequest(id=site.app.new_job_id(), task="environ", queue="default", payload=b"{}")
    assert site.app.job(site.app.enqueue_requests([job])[0]).result(timeout=20) == []
    fed = manager.listen().count("WATCHDOG=1")
    assert eventually(lambda: manager.listen().count("WATCHDOG=1") > fed + 3)
    assert manager.heard.count("READY=1") == 1
    assert worker.stop() == 0, worker.output
    assert "STOPPING=1" in manager.listen()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_the_watchdog_starves_while_a_worker_stands_still(
    site: Site, manager: Manager, processes: str
) -> None:
    site.write(SLOW_TO_START)
    worker = site.worker("--processes", processes)
    assert manager.hears("READY=1"), worker.output
    job = JobRequest(
        id=site.app.new_job_id(), task="block", queue="default", payload=b'{"seconds":5.0}'
    )
    site.app.enqueue_requests([job])
    assert eventually(lambda: any("has not moved" in line for line in manager.listen()))
    fed = manager.listen().count("WATCHDOG=1")
    time.sleep(1.5)

    assert manager.listen().count("WATCHDOG=1") == fed
    assert eventually(lambda: manager.listen().count("WATCHDOG=1") > fed), worker.output
