"""Plain functions in children of a real worker: killed in time, and nothing else with them."""

from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet, eventually
from tests.e2e.fleet_app import crash, endless, isolated
from windlass import App, JobCancelled, JobFailed, State
from windlass.model.jobs import Job, JobId

WAIT_S = 20


def finished(app: App, job_id: JobId, fleet: Fleet) -> Job:
    """Return a job once it has ended."""

    def job() -> Job:
        return app.blocking(lambda client: client.get(job_id))

    assert eventually(lambda: job().ended_at is not None, within_s=WAIT_S), fleet.logs()
    return job()


def test_a_child_past_its_time_limit_is_killed_and_its_slot_is_free_again(
    store_url: str, tmp_path: Path
) -> None:
    app = App(store_url)
    with Fleet(store_url, tmp_path) as fleet:
        worker = fleet.start("--concurrency", "1")
        [warm, slow, after] = app.enqueue_many(
            [isolated.prepare(0), isolated.prepare(60), isolated.prepare(0)]
        )

        assert warm.result(WAIT_S) != worker.pid
        with pytest.raises(JobFailed, match="timeout"):
            slow.result(WAIT_S)
        killed = finished(app, slow.id, fleet)
        assert killed.started_at is not None
        assert killed.ended_at is not None
        assert 0.5 <= (killed.ended_at - killed.started_at).total_seconds() < 1.5
        assert after.result(WAIT_S) not in (warm.result(), worker.pid)  # another child
        assert worker.poll() is None
    app.close()


def test_a_cancel_kills_the_child_that_runs_the_job(store_url: str, tmp_path: Path) -> None:
    app = App(store_url)
    with Fleet(store_url, tmp_path) as fleet:
        worker = fleet.start("--concurrency", "1")
        [job, after] = app.enqueue_many([endless.prepare(), isolated.prepare(0)])
        assert eventually(lambda: job.job().state is State.RUNNING, within_s=WAIT_S), fleet.logs()

        assert job.cancel() is State.RUNNING
        with pytest.raises(JobCancelled):
            job.result(WAIT_S)
        assert after.result(WAIT_S) != worker.pid
    app.close()


def test_a_child_that_dies_costs_an_attempt_and_not_the_worker(
    store_url: str, tmp_path: Path
) -> None:
    app = App(store_url)
    with Fleet(store_url, tmp_path) as fleet:
        worker = fleet.start("--concurrency", "1")
        [job, after] = app.enqueue_many([crash.prepare(), isolated.prepare(0)])

        with pytest.raises(JobFailed, match="killed by SIGKILL"):
            job.result(WAIT_S)
        ended = finished(app, job.id, fleet)
        assert (ended.attempt, ended.failures, ended.losses) == (2, 2, 0)
        assert after.result(WAIT_S) != worker.pid
        assert worker.poll() is None
    app.close()
