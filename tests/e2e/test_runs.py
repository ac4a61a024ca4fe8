"""Runs of DAGs and workflows go on, whoever dies: real worker processes, SIGKILL."""

import random
import time
from pathlib import Path

from tests.e2e.fleet import Fleet, eventually
from tests.e2e.runs_app import WIDTH, app, expected, flow, graph
from windlass import App, State
from windlass.model.jobs import JobFilter, RunKind
from windlass.model.runs import Step

RUNS, KILLS = 25, 12
TARGET = "tests.e2e.runs_app:app"


def test_runs_survive_their_workers(store_url: str, tmp_path: Path) -> None:
    """I21 to I24: each step is made once and has one result; a run ends when its steps have."""
    chance = random.Random(3)
    with Fleet(store_url, tmp_path) as fleet:
        alive = [fleet.start("--concurrency", "8", target=TARGET) for _ in range(2)]
        here = App(store_url)
        here.use_settings(payload_limit_bytes=app.settings.payload_limit_bytes)
        numbers = list(range(RUNS))
        prepared = [dag.prepare(n) for n in numbers for dag in (graph, flow)]
        runs = [job.id for job in here.enqueue_many(prepared)]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 0.6))
            victim = chance.choice(alive)
            alive.remove(victim)
            fleet.kill(victim)
            alive.append(fleet.start("--concurrency", "8", target=TARGET))

        def live() -> int:
            return len(
                here.runs.page(limit=100, states=[State.WAITING, State.QUEUED, State.RUNNING])
            )

        assert eventually(lambda: not live(), within_s=90, every_s=0.25), fleet.logs()
        rows = {run.id: run for run in here.runs.page(limit=2 * RUNS + 1)}
        steps = {run: list(here.runs.steps(run)) for run in runs}
        jobs = here.operations.jobs(JobFilter(states=(State.RUNNING, State.QUEUED)), limit=10)
        results = [here.job(run).result(0) for run in runs]
        here.close()

    assert set(rows) == set(runs)
    assert {row.state for row in rows.values()} == {State.SUCCEEDED}, fleet.logs()
    assert results == [expected(n) for n in numbers for _ in range(2)]
    assert jobs == []
    for run, made in steps.items():
        check_each_step_once(made, rows[run].kind)


def check_each_step_once(steps: list[Step], kind: RunKind | None) -> None:
    """Every step that the code names is there once, and has succeeded."""
    assert {step.state for step in steps} == {State.SUCCEEDED}
    tasks = [step.task for step in steps]
    further = 0 if kind is RunKind.DAG else 1
    assert tasks.count("part") == 2 * WIDTH + further
    assert tasks.count("total") == 2
    assert tasks.count("windlass.timer") == further
    assert len({(step.name, step.nth) for step in steps}) == len(steps)
