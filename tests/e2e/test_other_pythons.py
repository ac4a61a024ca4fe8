"""The same tests under each other supported Python of this machine, on the embedded store.

``tests/install_pythons.sh`` makes their environments; ``make test`` calls it.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = sorted(ROOT.glob(".venv-3.*/installed"))
TESTS = ("unit", "contract/test_sqlite.py", "executors", "testing", "contrib", "app")
TIMEOUT_S = 900
PASSED = re.compile(r"^(\d+) passed", re.MULTILINE)

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


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[Path, tuple[subprocess.Popen[bytes], Path]]]:
    """A run of the tests under each Python, all at once: most of them wait most of the time."""
    logs = tmp_path_factory.mktemp("pythons")
    begun = {}
    for installed in ENVIRONMENTS:
        log = logs / installed.parent.name
        with log.open("wb") as out:
            begun[installed] = (begin(installed.parent / "bin/python", out), log)
    yield begun
    for process, _ in begun.values():
        if process.poll() is None:
            process.kill()
        process.wait()


def begin(python: Path, out: IO[bytes]) -> subprocess.Popen[bytes]:
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


@pytest.mark.skipif(not ENVIRONMENTS, reason="no other Python is installed: make pythons says why")
@pytest.mark.parametrize("installed", ENVIRONMENTS, ids=lambda path: str(path.parent.name))
def test_the_tests_pass_under_another_python(
    installed: Path, runs: Mapping[Path, tuple[subprocess.Popen[bytes], Path]]
) -> None:
    process, log = runs[installed]
    process.wait(TIMEOUT_S)

    told = log.read_text(errors="replace")
    assert process.returncode == 0, told[-20_000:]
    passed = PASSED.search(told)
    assert passed is not None
    assert int(passed[1]) > 2_000, told[-300:]
