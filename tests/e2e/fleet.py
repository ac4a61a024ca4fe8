"""Real worker and scheduler processes that tests start, stop, kill and pause."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
QUICK = {
    "WINDLASS_LEASE_S": "2",
    "WINDLASS_RENEW_S": "0.5",
    "WINDLASS_SWEEP_INTERVAL_S": "0.2",
    "WINDLASS_LOSSES_MAX": "1000",
    "WINDLASS_SHUTDOWN_TIMEOUT_S": "5",
}


class Fleet:
    """Worker processes on one store; whatever still lives at the end is killed."""

    def __init__(self, store_url: str, folder: Path, **settings: str) -> None:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WINDLASS_")}
        self.env = {**clean, **QUICK, **settings, "WINDLASS_STORE": store_url}
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self.workers:
            self.kill(worker)

    def start(
        self, *options: str, target: str = "tests.e2e.fleet_app:app", command: str = "worker"
    ) -> subprocess.Popen[bytes]:
        """Start one worker process, or one of another command; its log is kept in the folder."""
        log = self.log_of(len(self.workers)).open("wb")
        worker = subprocess.Popen(
            [sys.executable, "-m", "windlass", command, target, *options],
            cwd=ROOT,
            env=self.env,
            stdout=log,
            stderr=log,
        )
        log.close()
        self.workers.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        """Kill a worker with SIGKILL.  Idempotent."""
        with contextlib.suppress(ProcessLookupError):
            worker.send_signal(signal.SIGCONT)
            worker.kill()
        worker.wait(10)

    def stop(self, worker: subprocess.Popen[bytes], timeout_s: float = 20) -> int:
        """Stop a worker with SIGTERM and return its exit code."""
        worker.terminate()
        return worker.wait(timeout_s)

    def log_of(self, number: int) -> Path:
        """Return the log of the process that was started as the ``number``-th, from 0."""
        return self.folder / f"worker-{number}.log"

    def logs(self) -> str:
        """Return what all workers have written, for a failing test's message."""
        files = sorted(self.folder.glob("worker-*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text()[-3000:]}" for file in files)


def eventually(holds: Callable[[], bool], *, within_s: float, every_s: float = 0.05) -> bool:
    """Wait until something holds; False if it does not within the time."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(every_s)
    return holds()
