"""Limits in a fleet of eight processes, some of which are killed: never exceeded, never leaked.

Each attempt writes when it began and ended into a file; a killed process's attempts ended when
it was killed.  The monotonic clock is the same for all processes of a machine.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.e2e import fleet_app
from tests.e2e.fleet import Fleet, eventually
from windlass import App, Job
from windlass.model.jobs import JobFilter, State
from windlass.tasks import AnyTask

PROCESSES, KILLS = 8, 5
CAP, KEYS = 3, 3
JOBS = 360

Span = tuple[float, float]


def spans_of(witness: Path, killed: dict[int, float]) -> dict[str, list[Span]]:
    """Return when the attempts of each key ran."""
    began: dict[tuple[str, str], tuple[str, float]] = {}
    spans: dict[str, list[Span]] = defaultdict(list)
    for line in witness.read_text().splitlines():
        what, pid, attempt, key, at = line.split()
        if what == "began":
            began[pid, attempt] = key, float(at)
        else:
            key, since = began.pop((pid, attempt))
            spans[key].append((since, float(at)))
    for (pid, _), (key, since) in began.items():
        spans[key].append((since, killed[int(pid)]))
    return spans


def most_at_once(spans: list[Span]) -> int:
    """Return how many of the spans overlap at most."""
    edges = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    inside = most = 0
    for _, step in edges:
        inside += step
        most = max(most, inside)
    return most


def test_a_cap_holds_in_eight_processes_of_which_some_are_killed(
    store_url: str, tmp_path: Path
) -> None:
    """I28, under SIGKILL."""
    witness = tmp_path / "witness"
    witness.touch()
    app = App(store_url)
    capped = _task(app)
    requests = [capped.prepare(f"k{n % KEYS}", 0.02) for n in range(JOBS)]
    killed: dict[int, float] = {}
    with Fleet(store_url, tmp_path, WITNESS=str(witness)) as fleet:
        for _ in range(PROCESSES):
            fleet.start("--concurrency", "8")
        assert eventually(partial(_all_work, app), within_s=30)
        app.enqueue_many(requests)
        for n in range(KILLS):
            enough = partial(_has_lines, witness, 40 * (n + 1))
            assert eventually(enough, within_s=30), fleet.logs()
            victim = fleet.workers[n]
            fleet.kill(victim)
            killed[victim.pid] = time.monotonic()
            fleet.start("--concurrency", "8")

        assert eventually(partial(_has_ended, app, JOBS), within_s=90), fleet.logs()
    spans = spans_of(witness, killed)
    app.close()

    assert {key: most_at_once(its) for key, its in spans.items()} == {
        f"k{n}": CAP for n in range(KEYS)
    }


def test_a_rate_holds_in_eight_processes_of_which_some_are_killed(
    store_url: str, tmp_path: Path
) -> None:
    app = App(store_url)
    paced = _task(app, "paced")
    with Fleet(store_url, tmp_path, WITNESS=str(tmp_path / "witness")) as fleet:
        for _ in range(PROCESSES):
            fleet.start("--concurrency", "4")
        assert eventually(partial(_all_work, app), within_s=30)
        app.enqueue_many([paced.prepare("", 0.0) for _ in range(100)])
        for n in range(3):
            enough = partial(_has_ended, app, 20 * (n + 1))
            assert eventually(enough, within_s=30), fleet.logs()
            fleet.kill(fleet.workers[n])

        assert eventually(partial(_has_ended, app, 100), within_s=60), fleet.logs()
    jobs = app.blocking(lambda client: client.jobs(JobFilter(task="paced"), limit=100))
    app.close()
    starts = sorted(job.started_at.timestamp() for job in jobs if job.started_at is not None)

    # 50 starts a second and a burst of 5: in no second more than 54.
    assert len(starts) == 100
    assert max(sum(1 for at in starts if since <= at < since + 1) for since in starts) <= 54


def test_few_jobs_of_one_tenant_pass_the_many_of_another(store_url: str, tmp_path: Path) -> None:
    app = App(store_url)
    shared = _task(app, "shared")
    app.enqueue_many([shared.prepare("big", 0.0) for _ in range(100_000)])
    few = app.enqueue_many([shared.prepare("small", 0.0) for _ in range(10)])
    with Fleet(store_url, tmp_path, WITNESS="") as fleet:
        for _ in range(PROCESSES):
            fleet.start("--concurrency", "4")
        app.gather(few, timeout=60)
        last_at = max(ended_at for job in few if (ended_at := job.job().ended_at) is not None)
    passed = sum(job.ended_at <= last_at for job in _ended_jobs(app) if job.ended_at is not None)
    app.close()

    # What else was done meanwhile: a turn each, and what the processes had in hand.
    assert passed < 5_000


def _task(app: App, name: str = "capped") -> AnyTask:
    """Return a task of the fleet's app, on this test's own store."""
    task: AnyTask = getattr(fleet_app, name)
    assert task.spec.lanes is not None
    return app.task(name=task.name, limits=task.spec.lanes.limits)(task.spec.function)


def _has_lines(witness: Path, least: int) -> bool:
    return witness.read_text().count("\n") >= least


def _ended(app: App) -> int:
    counts = app.blocking(lambda client: client.counts())
    return sum(n for (_, state), n in counts.items() if state is State.SUCCEEDED)


def _ended_jobs(app: App) -> Iterator[Job]:
    where, before = JobFilter(states=(State.SUCCEEDED,)), None
    while page := app.operations.jobs(where, limit=1_000, before=before):
        yield from page
        before = page[-1].id


def _has_ended(app: App, least: int) -> bool:
    return _ended(app) >= least


def _all_work(app: App) -> bool:
    return len(app.blocking(lambda client: client.workers())) == PROCESSES
