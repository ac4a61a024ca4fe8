"""Child processes: warm, killed in time with all that they started, and never left behind."""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.executors import child_app
from tests.executors.attempts import error_of, make_claim, run, value_of
from windlass.core.context import Context
from windlass.core.tasks import TaskSpec
from windlass.errors import AppNotFound
from windlass.executors.processes import START_TIMEOUT_S, ProcessExecutor
from windlass.model.jobs import Reason
from windlass.model.outcomes import Released
from windlass.stores.clock import SystemClock

TARGET = "tests.executors.child_app:app"
KILL_LIMIT_S = 0.25
RUNS = 5


def spec(name: str) -> TaskSpec:
    return child_app.app.specs[f"{child_app.__name__}.{name}"]


@asynccontextmanager
async def processes(
    slots: int = 2, target: str | None = TARGET, recycle_after_jobs: int | None = None
) -> AsyncIterator[ProcessExecutor]:
    executor = ProcessExecutor(
        target, slots, environ=os.environ, recycle_after_jobs=recycle_after_jobs
    )
    await executor.start()
    try:
        yield executor
    finally:
        await executor.stop()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    end = time.monotonic() + within_s
    while not holds() and time.monotonic() < end:
        await asyncio.sleep(0.02)
    return holds()


# -- running -----------------------------------------------------------------


async def test_a_child_is_started_once_and_stays_warm() -> None:
    async with processes() as executor:
        pids = {value_of(await run(executor, spec("pid"))) for _ in range(5)}

        assert len(pids) == 1
        assert pids != {os.getpid()}


@pytest.mark.parametrize(
    ("task", "recycle_after_jobs", "served"),
    [("pid", 2, [2, 2, 1]), ("pid_twice", None, [2, 2, 1]), ("pid_twice", 1, [2, 2, 1])],
)
async def test_a_child_serves_so_many_attempts_and_makes_way(
    task: str, recycle_after_jobs: int | None, served: list[int]
) -> None:
    async with processes(slots=1, recycle_after_jobs=recycle_after_jobs) as executor:
        pids = [value_of(await run(executor, spec(task))) for _ in range(5)]

        assert [pids.count(pid) for pid in dict.fromkeys(pids)] == served
        assert all(gone(pid) for pid in pids[:4])


async def test_as_many_children_run_at_once_as_there_are_slots() -> None:
    async with processes(slots=2) as executor:
        outcomes = await asyncio.gather(*(run(executor, spec("pid")) for _ in range(10)))

        assert len({value_of(outcome) for outcome in outcomes}) == 2


async def test_an_async_function_runs_in_a_child_too() -> None:
    async with processes() as executor:
        assert value_of(await run(executor, spec("add_async"), a=1, b=2)) == 3


async def test_an_error_comes_back_with_its_traceback_and_its_cause() -> None:
    async with processes() as executor:
        failed = error_of(await run(executor, spec("fails")))

        assert (failed.error.type, failed.error.message) == ("ValueError", "it broke")
        assert "/no/such/file" in failed.error.traceback
        assert "direct cause" in failed.error.traceback
        assert "child_app.py" in failed.error.traceback


async def test_what_user_code_prints_is_no_part_of_the_talk() -> None:
    async with processes() as executor:
        assert value_of(await run(executor, spec("chatters"))) == "heard"


async def test_attempts_share_no_context_variables() -> None:
    async with processes(slots=1) as executor:
        counts = [value_of(await run(executor, spec("counts_context"))) for _ in range(3)]

        assert counts == [1, 1, 1]


async def test_the_context_of_the_attempt_is_there() -> None:
    claim = make_claim(spec("own_key"))
    async with processes() as executor:
        outcome = await executor.run(spec("own_key"), claim, Context(claim))

        assert value_of(outcome) == Context(claim).idempotency_key


async def test_a_child_gets_no_setting_of_windlass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDLASS_STORE", "postgresql://me:secret@host/db")
    monkeypatch.setenv("KEPT", "yes")
    async with processes() as executor:
        assert value_of(await run(executor, spec("own_settings"))) == ["KEPT"]


async def test_a_result_over_the_limit_is_a_failure_of_the_job_and_not_of_the_child() -> None:
    limited = spec("large")
    async with processes(slots=1) as executor:
        before = value_of(await run(executor, spec("pid")))
        failed = error_of(await run(executor, limited, size=limited.result_limit_bytes + 1))

        assert failed.error.type == "windlass.errors.PayloadTooLarge"
        assert not failed.retryable
        assert value_of(await run(executor, spec("pid"))) == before


async def test_a_copy_that_user_code_forked_answers_nothing() -> None:
    async with processes(slots=1) as executor:
        first = value_of(await run(executor, spec("forks")))

        assert value_of(await run(executor, spec("pid"))) == first


async def test_what_a_task_depends_on_is_made_in_the_child() -> None:
    clock = SystemClock()
    executor = ProcessExecutor(TARGET, 1, environ=os.environ, clock=clock)
    await executor.start()
    values = []
    for name in ("depends", "depends_async", "depends"):
        claim = make_claim(spec(name), number=7)
        before = clock.now()
        outcome = await executor.run(spec(name), claim, Context(claim))
        number, once, own, deadline = value_of(outcome)
        late_s = (datetime.fromisoformat(deadline) - before).total_seconds() - 60

        assert (number, own) == (7, claim.job_id)
        assert 0 <= late_s < START_TIMEOUT_S
        values.append(once)
    failed = error_of(await run(executor, spec("depends_on_what_breaks")))
    await executor.stop()

    assert len(set(values)) == 1
    assert failed.error.type == "ConnectionError"
    assert "no database" in failed.error.message


async def test_an_error_is_told_where_it_was_raised_and_a_death_in_the_worker(
    tmp_path: Path,
) -> None:
    child_app.TOLD.clear()
    async with processes(slots=1) as executor:
        error_of(await run(executor, spec("fails")))
        assert value_of(await run(executor, spec("told"))) == [
            ["ValueError", "fails", "attempt_plain"]
        ]
        error_of(await run(executor, spec("exits"), code=3))
        error_of(await run(executor, spec("sleeps"), started=str(tmp_path / "started")))

    assert child_app.TOLD == [("ChildDied", "exits", ""), ("AttemptTimeout", "sleeps", "")]


# -- ends --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sleeps", "holds_the_gil"])
async def test_a_child_is_killed_within_250_ms_of_its_time_limit(name: str, tmp_path: Path) -> None:
    limited = spec(name)
    assert limited.timeout_s is not None
    late_s = []
    async with processes(slots=1) as executor:
        for n in range(RUNS):
            started = tmp_path / f"{n}"
            failed = error_of(await run(executor, limited, started=str(started)))
            late_s.append(time.monotonic() - float(started.read_text()) - limited.timeout_s)

            assert failed.reason is Reason.TIMEOUT

        assert statistics.median(late_s) < KILL_LIMIT_S
        assert isinstance(value_of(await run(executor, spec("pid"))), int)  # the slot is free


async def test_a_cancel_kills_the_child_and_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with processes(slots=1) as executor:
        attempt = asyncio.create_task(run(executor, spec("starts_others"), pids=str(pids)))
        assert await eventually(pids.exists)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        child, grandchild = map(int, pids.read_text().split())

        assert gone(child)
        assert await eventually(lambda: gone(grandchild), 1.0)
        assert isinstance(value_of(await run(executor, spec("pid"))), int)  # the slot is free


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("exits", {"code": 3}, "it exited with code 3"),
        ("exits", {"code": 0}, "it exited with code 0"),
        ("kills_itself", {"number": int(signal.SIGSEGV)}, "SIGSEGV"),
        ("kills_itself", {"number": int(signal.SIGKILL)}, "out of memory?"),
    ],
)
async def test_a_child_that_dies_is_a_failed_attempt_that_says_how(
    name: str, arguments: dict[str, int], told: str
) -> None:
    async with processes(slots=1) as executor:
        failed = error_of(await run(executor, spec(name), **arguments))

        assert failed.error.type == "windlass.errors.ChildDied"
        assert told in failed.error.message
        assert isinstance(value_of(await run(executor, spec("pid"))), int)


async def test_sys_exit_ends_the_attempt_and_not_the_child() -> None:
    async with processes(slots=1) as executor:
        before = value_of(await run(executor, spec("pid")))
        failed = error_of(await run(executor, spec("leaves")))

        assert failed.error.type == "SystemExit"
        assert value_of(await run(executor, spec("pid"))) == before


async def test_a_child_killed_while_idle_is_replaced_without_a_failure() -> None:
    async with processes(slots=1) as executor:
        first = value_of(await run(executor, spec("pid")))
        os.kill(first, signal.SIGKILL)
        assert await eventually(lambda: gone(first))

        assert value_of(await run(executor, spec("pid"))) != first


async def test_a_stop_kills_what_runs_and_gives_the_jobs_back(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    async with processes(slots=1) as executor:
        attempt = asyncio.create_task(run(executor, spec("starts_others"), pids=str(pids)))
        waiting = asyncio.create_task(run(executor, spec("pid")))
        assert await eventually(pids.exists)
        await executor.stop()

        assert await attempt == Released(started=True)
        assert await waiting == Released()
        assert await eventually(lambda: all(gone(int(p)) for p in pids.read_text().split()), 1.0)


WORKER = """
import asyncio, os, sys
from tests.executors import child_app
from tests.executors.attempts import run
from windlass.executors.processes import ProcessExecutor

async def main():
    executor = ProcessExecutor("tests.executors.child_app:app", 1, environ=os.environ)
    await executor.start()
    spec = child_app.app.specs["tests.executors.child_app.starts_others"]
    await run(executor, spec, pids=sys.argv[1])

asyncio.run(main())
"""


async def test_a_worker_killed_with_sigkill_leaves_no_process_behind(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    worker = subprocess.Popen([sys.executable, "-c", WORKER, str(pids)])
    try:
        assert await eventually(pids.exists)
        family = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        worker.wait(10)
        everyone = {p.pid for p in family} | {int(p) for p in pids.read_text().split()}

        assert await eventually(lambda: all(map(gone, everyone)), 2.0)
    finally:
        worker.kill()
        worker.wait(10)


# -- loading -----------------------------------------------------------------


async def test_an_app_that_cannot_be_imported_is_a_failed_attempt() -> None:
    async with processes(target="tests.executors.no_such_module:app") as executor:
        failed = error_of(await run(executor, spec("pid")))

        assert failed.error.type == "windlass.errors.AppNotFound"
        assert "no_such_module" in failed.error.message


async def test_a_task_that_the_child_does_not_know_is_named() -> None:
    unknown = child_app.app.specs[f"{child_app.__name__}.pid"]
    claim = make_claim(unknown)
    other = type(claim)(claim.job_id, 1, 1, 0, "somewhere.else", "default", b"{}")
    async with processes() as executor:
        failed = error_of(await executor.run(unknown, other, Context(other)))

        assert failed.error.type == "windlass.errors.TaskNotFound"
        assert "somewhere.else" in failed.error.message


@pytest.mark.parametrize("target", [None, "module", ":app", "module:"])
def test_a_target_that_no_child_could_import_is_refused(target: str | None) -> None:
    with pytest.raises(AppNotFound):
        ProcessExecutor(target, 1, environ={})


async def told(executor: ProcessExecutor, name: str, **arguments: Any) -> list[tuple[float, str]]:
    """Run one attempt and return what it said of its progress."""
    said: list[tuple[float, str]] = []
    claim = make_claim(spec(name), **arguments)
    context = Context(claim, on_news=lambda context: said.append(context.take_news()))
    value_of(await executor.run(spec(name), claim, context))
    return said


async def test_what_a_child_says_is_heard_while_it_runs(tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    heard = asyncio.Event()
    async with processes() as executor:
        claim = make_claim(spec("says_and_waits"), go_on=str(go_on))
        context = Context(claim, on_news=lambda _: heard.set())
        running = asyncio.create_task(executor.run(spec("says_and_waits"), claim, context))
        async with asyncio.timeout(30):
            await heard.wait()
        assert context.last_progress == (0.5, "half")
        go_on.touch()

        assert value_of(await running) == "went on"


async def test_of_many_words_a_child_sends_few_and_the_last() -> None:
    async with processes(slots=1) as executor:
        said = await told(executor, "says", words=100_000)

        assert said[-1] == (1.0, "word 100000")
        assert len(said) < 50
        assert (await told(executor, "says_async"))[-1] == (0.75, "")  # the same child goes on
        assert await told(executor, "says", words=0) == []


async def test_a_forked_copy_of_a_child_says_nothing() -> None:
    async with processes(slots=1) as executor:
        assert await told(executor, "forks_and_says") == [(0.1, "the original")]
        assert await told(executor, "says", words=1) == [(1.0, "word 1")]
