"""``windlass worker --processes MIN:MAX``: more while there is more to do, fewer when not."""

from tests.cli_worker.commands import Site, eventually
from windlass.model.jobs import Job, JobFilter, JobRequest, State


def test_processes_come_with_the_backlog_and_go_when_it_is_gone(site: Site) -> None:
    options = ["--concurrency", "2", "--scale-up-after", "1", "--scale-down-after", "2"]
    worker = site.worker("--processes", "1:3", *options)
    assert eventually(lambda: len(site.worker_pids()) == 1), worker.output
    new_id = site.app.new_job_id
    site.app.enqueue_requests(
        [
            JobRequest(id=new_id(), task="nap", queue="default", payload=b'{"seconds":2.0}')
            for _ in range(24)
        ]
    )
    assert eventually(lambda: len(site.worker_pids()) == 3), worker.output
    found: list[Job] = []

    def have_ended() -> bool:
        found[:] = site.app.blocking(lambda client: client.jobs(JobFilter(), limit=100))
        return all(job.ended_at for job in found)

    assert eventually(have_ended, within_s=40), worker.output
    assert eventually(lambda: len(site.worker_pids()) == 1), worker.output
    assert {(job.state, job.attempt, job.losses) for job in found} == {(State.SUCCEEDED, 1, 0)}
    assert worker.output.count("a process more") == 2
    assert worker.output.count("one less") == 2
    assert worker.stop() == 0, worker.output


def test_a_mistake_in_the_range_ends_with_code_2(site: Site) -> None:
    worker = site.worker("--processes", "8:1")

    assert worker.process.wait(20) == 2, worker.output
    assert "the smaller number first" in worker.output
