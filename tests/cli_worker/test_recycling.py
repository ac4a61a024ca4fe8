"""Worker processes that make way for fresh ones: nothing is lost, nothing is interrupted."""

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from tests.cli_worker.commands import JOBS, Command, Site, eventually, is_alive
from windlass import App
from windlass.cli.worker import Birth, OwnProcess
from windlass.errors import StoreUnavailable
from windlass.model.jobs import Job, JobFilter, JobId, JobRequest, State

OWN = f"""{JOBS}
import os

BORN = time.monotonic_ns()
KEPT = []

@app.task(name="born")
async def born() -> int:
    return BORN

@app.task(name="keep")
async def keep(megabytes: int) -> int:
    KEPT.append(b"x" * megabytes * 1024 * 1024)
    return BORN
"""


@pytest.fixture
def own(site: Site) -> Site:
    site.write(OWN)
    return site


def enqueue(site: Site, task: str, payload: bytes = b"{}", times: int = 1) -> list[JobId]:
    new_id = site.app.new_job_id
    requests = [
        JobRequest(id=new_id(), task=task, queue="default", payload=payload) for _ in range(times)
    ]
    return site.app.enqueue_requests(requests)


def jobs(site: Site) -> list[Job]:
    return site.app.blocking(lambda client: client.jobs(JobFilter(), limit=100))


def ended(site: Site, worker: Command) -> list[Job]:
    """Return all jobs once each of them has ended."""
    assert eventually(lambda: all(job.ended_at for job in jobs(site))), worker.output
    return jobs(site)


def assert_each_ran_once(found: list[Job]) -> None:
    assert [(j.state, j.attempt, j.losses) for j in found if j.attempt != 1 or j.losses] == []
    assert {job.state for job in found} == {State.SUCCEEDED}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_process_is_replaced_after_so_many_jobs(own: Site, processes: str) -> None:
    enqueue(own, "born", times=10)
    worker = own.worker("--processes", processes, "--max-jobs", "3")
    found = ended(own, worker)
    served = Counter(job.result for job in found)

    assert_each_ran_once(found)
    assert max(served.values()) <= 3
    assert len(served) >= 4
    assert eventually(lambda: len(own.worker_pids()) == int(processes)), worker.output
    assert worker.stop() == 0, worker.output


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_process_is_replaced_when_it_holds_too_much_memory(own: Site, processes: str) -> None:
    worker = own.worker("--processes", processes, "--max-memory", "120MB", "--concurrency", "1")
    assert eventually(lambda: len(own.worker_pids()) == int(processes)), worker.output
    enqueue(own, "keep", b'{"megabytes":150}', times=4)
    found = ended(own, worker)

    assert_each_ran_once(found)
    assert worker.says("over its bound of 120 MB"), worker.output
    assert eventually(lambda: len(own.worker_pids()) == int(processes)), worker.output
    assert worker.stop() == 0, worker.output


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sighup_replaces_every_process_and_interrupts_nothing(own: Site, processes: str) -> None:
    worker = own.worker("--processes", processes)
    assert eventually(lambda: len(own.worker_pids()) == int(processes)), worker.output
    before = own.worker_pids()
    [first] = enqueue(own, "nap", b'{"seconds":1.5}')
    assert eventually(lambda: jobs(own)[0].state is State.RUNNING), worker.output
    own.write(OWN.replace("return BORN", "return -1"))
    worker.process.send_signal(signal.SIGHUP)
    enqueue(own, "born", times=2)
    found = ended(own, worker)

    assert_each_ran_once(found)
    assert [job.result for job in found if job.id != first] == [b"-1", b"-1"], "the new code runs"
    same = {worker.process.pid} if processes == "1" else set()
    assert eventually(lambda: own.worker_pids() & before == same), worker.output
    assert worker.stop() == 0, worker.output


def test_a_successor_works_while_the_retired_process_still_runs_its_last_job(own: Site) -> None:
    worker = own.worker("--processes", "2", "--concurrency", "1")
    assert eventually(lambda: len(own.worker_pids()) == 2), worker.output
    enqueue(own, "nap", b'{"seconds":60.0}')
    assert eventually(lambda: jobs(own)[0].state is State.RUNNING), worker.output
    worker.process.send_signal(signal.SIGHUP)
    assert worker.says("retires; a fresh one takes its place"), worker.output

    assert eventually(lambda: len(own.worker_pids()) == 3), worker.output
    children = worker.children()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.says("stopping:"), worker.output
    assert worker.stop() == 0, worker.output
    assert [child for child in children if is_alive(child)] == []
    assert jobs(own)[0].state is State.QUEUED


def test_a_worker_that_an_operator_drains_has_no_successor(own: Site) -> None:
    worker = own.worker()
    assert eventually(lambda: len(own.worker_pids()) == 1), worker.output
    [row] = own.app.blocking(lambda client: client.workers())
    own.app.blocking(lambda client: client.drain(row.id))

    assert worker.process.wait(20) == 0, worker.output
    assert "a fresh process takes over" not in worker.output


class Away:
    """An app whose store is away for its first two starts."""

    starts = 0

    async def run_worker(self, **options: object) -> None:
        self.starts += 1
        if self.starts <= 2:
            raise StoreUnavailable("somewhere", "it is away")


@pytest.mark.parametrize("is_successor", [True, False])
def test_only_a_successor_waits_for_a_store_that_is_away(
    is_successor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("windlass.cli.worker.START_AGAIN_S", 0.01)
    app = Away()
    birth = Birth({}, Path.cwd(), is_successor)
    own = OwnProcess(cast(App, app), "jobs:app", birth, None, None)
    work = own._run_worker(queues=None, health=None, on_health=[])
    if is_successor:
        asyncio.run(work)
        assert app.starts == 3
    else:
        with pytest.raises(StoreUnavailable):
            asyncio.run(work)
        assert app.starts == 1


@pytest.mark.parametrize("processes", ["1", "2"])
def test_sigusr1_writes_the_stack_of_every_thread(own: Site, processes: str) -> None:
    worker = own.worker("--processes", processes)
    assert eventually(lambda: len(own.worker_pids()) == int(processes)), worker.output
    worker.process.send_signal(signal.SIGUSR1)

    assert eventually(lambda: worker.output.count("Current thread") == int(processes))
    assert "watch.py" in worker.output
    assert all(os.path.exists(f"/proc/{pid}") for pid in own.worker_pids())
    assert worker.stop() == 0, worker.output
