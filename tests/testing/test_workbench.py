"""The workbench as a project uses it: the fixtures of the plugin, in plain and in async tests."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from windlass import (
    App,
    BadArguments,
    Concurrency,
    JobFailed,
    Retry,
    Schedule,
    Snooze,
    State,
    chain,
    context,
    every,
)
from windlass.errors import BadOption, LifespanBroke, WouldDeadlock
from windlass.model.schedules import DueSchedules
from windlass.model.workers import Swept
from windlass.testing.workbench import Workbench

pytest_plugins = ["windlass.testing.pytest"]

shop = App("postgresql://nobody@localhost:1/production", sweep_interval_s=3.0)
seen: list[object] = []
began: list[str] = []


@shop.lifespan
async def resources() -> AsyncIterator[str]:
    began.append("lifespan")
    yield "pool"


@shop.task
def sell(article: str, on: date = date(2030, 1, 1)) -> str:
    seen.append((article, on))
    return article.upper()


@shop.task
async def pack(article: str) -> str:
    await sell.aenqueue(f"wrapping for {article}")
    return f"{article} packed for {context().state}"


@shop.task(retry=Retry(3, delay=60.0, jitter=0.0))
def charge(amount: int) -> int:
    if amount < 0:
        raise ValueError("less than nothing")
    return amount


@shop.task(retry=Retry(2, delay=0.0))
async def at_once() -> int:
    return context().attempt


@shop.task(isolation="process")
def heavy() -> str:
    return threading.current_thread().name


@shop.task(limits=[Concurrency(1)])
async def one_by_one(n: int) -> None:
    await asyncio.sleep(0.001)


@shop.task
def later() -> None:
    if context().attempt == 1:
        raise Snooze(3600)


@shop.task(schedule=Schedule(every(timedelta(hours=1)), name="hourly"))
def report() -> str:
    occasion = context().occasion
    assert occasion is not None
    return occasion.fire_at.isoformat()


@pytest.fixture
def windlass_app() -> App:
    seen.clear()
    return shop


# -- drain -------------------------------------------------------------------


def test_nothing_runs_before_the_drain_and_all_with_what_it_makes_after_it(
    workbench: Workbench,
) -> None:
    job = pack.enqueue("tea")
    assert job.job().state is State.QUEUED

    assert workbench.drain() == 2
    assert job.result(timeout=5) == "tea packed for pool"
    assert seen == [("wrapping for tea", date(2030, 1, 1))]
    assert workbench.drain() == 0


async def test_the_same_in_an_async_test(workbench: Workbench) -> None:
    job = await pack.aenqueue("tea")

    assert await workbench.adrain() == 2
    assert await job.aresult(timeout=5) == "tea packed for pool"
    with pytest.raises(WouldDeadlock):
        workbench.drain()


def test_a_chain_runs_to_its_end(workbench: Workbench) -> None:
    last = chain(sell.bind("tea"), sell.bind()).enqueue()

    assert workbench.drain() == 2
    assert last.result(timeout=5) == "TEA"


def test_jobs_under_a_limit_and_a_task_for_a_child_process_run_here_too(
    workbench: Workbench,
) -> None:
    shop.enqueue_many([one_by_one.prepare(n) for n in range(10)])
    job = heavy.enqueue()

    assert workbench.drain() == 11
    assert "MainThread" not in job.result(timeout=5)


def test_what_cannot_run_now_does_not_keep_the_drain_from_ending(workbench: Workbench) -> None:
    shop.operations.pause(task=sell.name)
    job = sell.enqueue("tea")

    assert workbench.drain() == 0
    assert job.job().state is not State.SUCCEEDED


def test_arguments_are_checked_as_ever(workbench: Workbench) -> None:
    with pytest.raises(BadArguments):
        sell.enqueue(article=None)  # type: ignore[arg-type]


# -- time --------------------------------------------------------------------


def test_a_delayed_job_runs_once_the_clock_has_moved(workbench: Workbench) -> None:
    job = sell.using(delay=timedelta(minutes=20)).enqueue("tea")
    assert workbench.drain() == 0

    workbench.advance(timedelta(minutes=19))
    assert workbench.drain() == 0

    workbench.advance(timedelta(minutes=1))
    assert workbench.drain() == 1
    assert job.result(timeout=5) == "TEA"


def test_a_retry_comes_after_its_delay_and_ends_as_its_policy_says(workbench: Workbench) -> None:
    job = charge.enqueue(-1)
    states = []
    for _ in range(3):
        assert workbench.drain() == 1
        assert workbench.drain() == 0
        states.append(job.job().state)
        workbench.advance(timedelta(minutes=3))

    assert states == [State.SCHEDULED, State.SCHEDULED, State.FAILED]
    assert [job.id for job in workbench.jobs(State.FAILED)] == [job.id]
    with pytest.raises(JobFailed, match="less than nothing"):
        job.result(timeout=5)


def test_a_retry_without_delay_belongs_to_the_same_drain(workbench: Workbench) -> None:
    workbench.fail_next(at_once, OSError("the line is dead"))
    job = at_once.enqueue()

    assert workbench.drain() == 2
    assert job.result(timeout=5) == 2


def test_schedules_fire_when_the_clock_says_so(workbench: Workbench) -> None:
    assert workbench.drain() == 0

    workbench.advance(timedelta(hours=1))
    assert workbench.drain() == 1
    assert len(workbench.enqueued(report)) == 1


def test_running_for_a_time_gives_each_tick_and_each_retry_its_own_instant(
    workbench: Workbench,
) -> None:
    job = later.enqueue()

    assert workbench.run_for(timedelta(hours=3, minutes=1)) == 2 + 3
    ticks = {job.result(timeout=5) for job in workbench.enqueued(report)}
    assert len(ticks) == 3
    started_at = job.job().started_at
    assert started_at is not None
    assert started_at.hour == 1


async def test_running_for_a_time_in_an_async_test(workbench: Workbench) -> None:
    await later.aenqueue()

    assert await workbench.arun_for(3600) == 2 + 1


def test_time_does_not_go_back(workbench: Workbench) -> None:
    with pytest.raises(BadOption, match="forward"):
        workbench.advance(-1)


# -- failures and assertions -------------------------------------------------


def test_an_injected_failure_is_one_of_the_task(workbench: Workbench) -> None:
    workbench.fail_next(charge, ConnectionError("no answer"), ConnectionError("no answer"))
    job = charge.enqueue(5)
    other = sell.enqueue("tea")

    assert workbench.drain() == 2
    assert other.result(timeout=5) == "TEA"
    assert job.job().failures == 1
    assert workbench.run_for(timedelta(minutes=10)) == 2
    assert job.result(timeout=5) == 5
    assert job.job().failures == 2


def test_what_was_enqueued_is_found_by_its_arguments(workbench: Workbench) -> None:
    first, second = sell.enqueue("tea", on=date(2031, 1, 1)), sell.enqueue("rum")
    workbench.drain()

    assert [job.id for job in workbench.enqueued(sell)] == [first.id, second.id]
    assert [job.id for job in workbench.enqueued(sell, article="rum")] == [second.id]
    assert [job.id for job in workbench.enqueued(sell, on=date(2031, 1, 1))] == [first.id]
    assert not workbench.enqueued(sell, article="tea", on=date(2030, 1, 1))
    assert not workbench.enqueued(charge)


async def test_what_was_enqueued_is_found_in_an_async_test(workbench: Workbench) -> None:
    await sell.aenqueue("tea")

    assert workbench.enqueued(sell, article="tea")


# -- before and after --------------------------------------------------------


def test_afterwards_the_app_is_as_it_was(workbench: Workbench) -> None:
    sell.enqueue("tea")
    workbench.drain()

    assert "production" in shop.settings.store
    assert shop.settings.poll_interval_s < 1


def test_an_app_comes_off_the_bench_as_it_went_on(windlass_app: App) -> None:
    assert windlass_app.settings.poll_interval_s == 1.0
    assert windlass_app.settings.sweep_interval_s == 3.0


def test_threads_do_not_pile_up(workbench: Workbench) -> None:
    sell.enqueue("tea")
    workbench.drain()
    before = threading.active_count()
    for _ in range(5):
        sell.enqueue("tea")
        workbench.drain()

    assert threading.active_count() <= before


def test_a_worker_that_cannot_begin_says_why(tmp_path: Path) -> None:
    app = App()

    @app.lifespan
    async def broken() -> AsyncIterator[None]:
        raise OSError("no pool")
        yield

    @app.task
    def task() -> None: ...

    with (
        Workbench(app, tmp_path).running() as bench,
        pytest.raises(LifespanBroke, match="no pool"),
    ):
        bench.drain()


def test_services_of_the_worker_are_not_held_on_the_bench(tmp_path: Path) -> None:
    app = App()

    @app.worker_service
    async def consumer() -> AsyncIterator[None]:
        raise OSError("it would take from the real queue")
        yield

    @app.task
    def task() -> None: ...

    with Workbench(app, tmp_path).running() as bench:
        task.enqueue()

        assert bench.drain() == 1


def test_large_results_stay_on_the_bench_too(tmp_path: Path) -> None:
    app = App("postgresql://nobody@localhost:1/production", large_results="s3://production/jobs")

    @app.task
    def large() -> str:
        return "x" * 1_000_000

    with Workbench(app, tmp_path).running() as bench:
        job = large.enqueue()
        assert bench.drain() == 1
        assert len(job.result(timeout=5)) == 1_000_000

    assert any((tmp_path / "large-results").rglob("*"))


RUNNERS = """
import threading

import pytest

from windlass import App

pytest_plugins = ["windlass.testing.pytest"]
shop = App("postgresql://nobody@localhost:1/production")


@shop.task(name="double")
async def double(n: int) -> int:
    return 2 * n


@pytest.fixture
def windlass_app():
    return shop


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_a_function(workbench):
    job = await double.aenqueue(1)
    assert await workbench.adrain() == 1
    assert await job.aresult() == 2


class TestMethods:
    @pytest.mark.anyio
    @pytest.mark.parametrize("n", [1, 2])
    async def test_a_method_which_drains_nothing(self, workbench, n):
        await double.aenqueue(n)
        assert workbench.enqueued(double, n=n)


def test_nothing_is_left():
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(5)  # one that ends may take its last steps
    assert threading.active_count() == 1, threading.enumerate()
"""


def test_whatever_runs_async_tests_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "test_shop.py").write_text(RUNNERS)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, "test_shop.py"], cwd=tmp_path, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout


class FiringSchedules:
    """Says that no tick is due; just before, one was fired, after a worker had looked in vain."""

    def __init__(self, bench: Workbench) -> None:
        self._traffic = bench._traffic

    async def due(self, limit: int, ahead_s: float = 0.0) -> DueSchedules:
        self._traffic.looks += 1
        self._traffic.empty_since = self._traffic.looks
        return DueSchedules(datetime.now(UTC))


class QuietStore:
    """Nothing is due."""

    def __init__(self, bench: Workbench) -> None:
        self.schedules = FiringSchedules(bench)

    async def sweep(self, limit: int, losses_max: int) -> Swept:
        return Swept()


async def test_a_look_before_the_last_tick_was_fired_does_not_count_as_quiet(
    tmp_path: Path,
) -> None:
    bench = Workbench(shop, tmp_path)
    store: Any = QuietStore(bench)
    working = asyncio.create_task(asyncio.sleep(60))
    quiet = asyncio.create_task(bench._is_quiet(store, working))
    await asyncio.sleep(0.05)
    assert not quiet.done()

    bench._traffic.looks += 1
    bench._traffic.empty_since = bench._traffic.looks
    assert await asyncio.wait_for(quiet, 5)
    working.cancel()


# -- runs --------------------------------------------------------------------


@shop.dag(name="season")
def season(article: str) -> str:
    return pack.step()(sell(article))


@shop.workflow(name="order")
async def order(amount: int) -> int:
    charged = await charge.astep(amount)
    await asyncio.sleep(7_200)
    return charged + await charge.astep(1)


def test_a_run_of_a_dag_is_drained_with_its_steps(workbench: Workbench) -> None:
    run = season.enqueue("hat")
    workbench.drain()

    assert run.result(0) == "HAT packed for pool"
    assert [step.name for step in shop.runs.steps(run.id)] == ["sell", "pack"]


def test_a_workflow_sleeps_until_the_clock_is_moved(workbench: Workbench) -> None:
    run = order.enqueue(7)
    workbench.fail_next(charge, OSError("once"))
    workbench.run_for(timedelta(hours=1))
    assert run.job().state is State.WAITING
    workbench.run_for(timedelta(hours=2))

    assert run.result(0) == 8
