"""Runs of the tests under the other Pythons of this machine, beside the run that asked for them.

``tests/install_pythons.sh`` makes their environments; ``make test`` calls it.
"""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = sorted(each.parent for each in ROOT.glob(".venv-3.*/installed"))
TESTS = ("unit", "contract/test_sqlite.py", "executors", "testing", "contrib", "app")
# The other libraries with their servers, once for this machine.
BESIDE_OTHERS = (
    "contrib/test_celery.py",
    "contrib/test_celery_drain.py",
    "contrib/test_celery_move.py",
    "contrib/test_qtasks_sample.py",
    "contrib/test_taskiq_sample.py",
)
# Each waits ten seconds or more for a time to pass, in code that no Python changes.
LONG = (
    "app/test_large_results.py::test_upkeep_deletes_what_is_not_needed_and_nothing_else",
    "app/test_large_results.py::test_who_is_overtaken_by_upkeep_is_told_what_became_of_the_result",
    "app/test_results.py::test_a_job_that_waits_for_an_expired_result_fails_and_says_why",
    "app/test_results.py::test_who_comes_too_late_for_a_result_is_told_so",
)


class OtherPythons:
    """A run under each other Python, on the embedded store, all at once.

    They begin with the whole run, since most of it waits for most of the time.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="windlass-pythons-"))
        self._runs: Mapping[Path, subprocess.Popen[bytes]] = {
            environment: self._begun(environment) for environment in ENVIRONMENTS
        }

    def ended(self, environment: Path, timeout_s: float) -> tuple[int, str]:
        """Wait for the end of a run; return its exit code, and what it has told."""
        code = self._runs[environment].wait(timeout_s)
        return code, self._log(environment).read_text(errors="replace")

    def close(self) -> None:
        """End what still runs."""
        for process in self._runs.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begun(self, environment: Path) -> subprocess.Popen[bytes]:
        with self._log(environment).open("wb") as out:
            return begin(environment / "bin/python", out)

    def _log(self, environment: Path) -> Path:
        return self._folder / environment.name


def begin(python: Path, out: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a run."""
    left_out = [f"--deselect=tests/{test}" for test in LONG]
    left_out += [f"--ignore=tests/{file}" for file in BESIDE_OTHERS]
    return subprocess.Popen(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not postgres", *left_out,
         *(f"tests/{each}" for each in TESTS)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
