"""Commands of ``windlass`` that tests start in a folder with an app of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from windlass import App

WAIT_S = 20.0
QUICK = {
    "WINDLASS_LEASE_S": "3",
    "WINDLASS_RENEW_S": "0.5",
    "WINDLASS_SWEEP_INTERVAL_S": "0.2",
    "PYTHONDONTWRITEBYTECODE": "1",  # two versions of a module within one second
}
JOBS = """
import asyncio, time
from windlass import App

app = App("sqlite:///own.db")

@app.task(name="nap")
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)

@app.task(name="deaf")
def deaf(seconds: float) -> None:
    time.sleep(seconds)

@app.task(name="deaf_elsewhere")
async def deaf_elsewhere(seconds: float) -> None:
    await asyncio.to_thread(time.sleep, seconds)
"""


class Command:
    """One ``windlass …`` process; its output is kept in a file."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._log = folder / f"command-{time.monotonic_ns()}.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "windlass", *arguments],
                cwd=folder,
                env={**clean, **QUICK},
                stdout=log,
                stderr=log,
            )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text()

    def children(self) -> list[psutil.Process]:
        """Return the live processes below it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return [p for p in psutil.Process(self.process.pid).children(True) if is_alive(p)]
        return []

    def says(self, text: str) -> bool:
        """Wait until it has written a text."""
        return eventually(lambda: text in self.output)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(WAIT_S)

    def end(self) -> None:
        """Kill it, and what it started, if that still lives."""
        children = self.children()
        self.process.kill()
        self.process.wait(WAIT_S)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


class Site:
    """A folder with ``jobs.py``, a store, and the commands that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store_url = f"sqlite:///{folder}/jobs.db"
        self.app = App(self.store_url)
        self._commands: list[Command] = []
        self.write(JOBS)

    def write(self, source: str) -> None:
        """Replace the module of the app, in one step."""
        draft = self.folder / "jobs.draft"
        draft.write_text(source)
        draft.replace(self.folder / "jobs.py")

    def start(self, *arguments: str) -> Command:
        """Start ``windlass`` with these arguments."""
        command = Command(self.folder, *arguments)
        self._commands.append(command)
        return command

    def worker(self, *options: str) -> Command:
        """Start a worker of the app on the site's store."""
        return self.start("worker", "jobs:app", "--store", self.store_url, *options)

    def worker_pids(self) -> set[int]:
        """Return the processes of the workers that the store knows and that live."""
        rows = self.app.blocking(lambda client: client.workers())
        return {row.pid for row in rows if psutil.pid_exists(row.pid)}

    def close(self) -> None:
        """End everything."""
        for command in self._commands:
            command.end()
        self.app.close()


@contextlib.contextmanager
def site_in(folder: Path) -> Iterator[Site]:
    """Make a site, and end everything in it afterwards."""
    site = Site(folder)
    try:
        yield site
    finally:
        site.close()


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def eventually(holds: Callable[[], bool], within_s: float = WAIT_S) -> bool:
    """Wait until something holds; False if it does not within the time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return holds()
