"""``windlass worker`` in one process: how it begins and how it ends."""

import signal
import subprocess
import sys

import msgspec
import pytest

from tests.cli_worker.commands import Command, Site, eventually
from windlass.model.jobs import Job, JobId, JobRequest, State


def enqueue(site: Site, task: str) -> JobId:
    request = JobRequest(
        id=site.app.new_job_id(), task=task, queue="default", payload=b'{"seconds":60.0}'
    )
    return site.app.enqueue_requests([request])[0]


def state_of(site: Site, job_id: JobId) -> State:
    return site.app.blocking(lambda client: client.get(job_id)).state


def busy_worker(site: Site, task: str) -> tuple[Command, JobId]:
    """Start a worker and return once it runs a job of the task."""
    worker = site.worker()
    job_id = enqueue(site, task)
    assert eventually(lambda: state_of(site, job_id) is State.RUNNING), worker.output
    return worker, job_id


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_worker_with_code_0(site: Site, number: signal.Signals) -> None:
    worker = site.worker()
    assert eventually(lambda: site.worker_pids() == {worker.process.pid}), worker.output

    assert worker.stop(number) == 0, worker.output
    assert set() == site.worker_pids()


def test_the_option_store_wins_over_the_app_s_own(site: Site) -> None:
    worker = site.worker()
    assert eventually(lambda: site.worker_pids() == {worker.process.pid}), worker.output

    assert not (site.folder / "own.db").exists()


def test_a_second_signal_releases_what_runs_at_once(site: Site) -> None:
    worker, job_id = busy_worker(site, "nap")
    worker.process.send_signal(signal.SIGTERM)
    assert worker.says("stopping:"), worker.output

    assert worker.stop() == 0, worker.output
    assert State.QUEUED is state_of(site, job_id)


@pytest.mark.parametrize("task", ["deaf", "deaf_elsewhere"])
def test_a_thread_that_ignores_its_cancel_does_not_hold_the_process(site: Site, task: str) -> None:
    worker, _ = busy_worker(site, task)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.says("stopping:"), worker.output

    assert worker.stop() == 0, worker.output
    assert "left behind" in worker.output


def test_only_the_queues_that_were_named_are_served(site: Site) -> None:
    worker = site.worker("--queues", "mail, urgent", "--concurrency", "3")
    assert eventually(lambda: site.worker_pids() == {worker.process.pid}), worker.output
    [row] = site.app.blocking(lambda client: client.workers())

    assert (row.queues, row.slots) == (("mail", "urgent"), 3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere:app",), "cannot load the app 'nowhere:app'"),
        (("jobs:ap",), "did you mean jobs:app?"),
        (("jobs",), "module:attribute"),
        (("nowhere:app", "--processes", "2"), "cannot load the app 'nowhere:app'"),
        (("jobs:app", "--processes", "2", "--burst"), "a burst runs in one process"),
        (("jobs:app", "--log-level", "loud"), "must be one of debug, info"),
        (("jobs:app", "--store", "ftp://x/y"), "no store is known for the scheme 'ftp'"),
    ],
)
def test_a_mistake_ends_with_code_2_and_says_what_it_is(
    site: Site, arguments: tuple[str, ...], words: str
) -> None:
    worker = site.start("worker", *arguments)

    assert worker.process.wait(20) == 2, worker.output
    assert words in worker.output
    assert "Traceback" not in worker.output


def test_a_burst_works_off_what_waits_and_ends_with_code_0(site: Site) -> None:
    job_id = site.app.enqueue_requests(
        [
            JobRequest(
                id=site.app.new_job_id(), task="nap", queue="default", payload=b'{"seconds":0.5}'
            )
        ]
    )[0]
    worker = site.worker("--burst")

    assert worker.process.wait(20) == 0, worker.output
    assert state_of(site, job_id) is State.SUCCEEDED


CALLING = """
import os
from windlass import App

app = App(os.environ.get("DATABASE", "sqlite:///own.db"))

@app.task(name="call", isolation="process")
def call() -> str:
    return str(answer.enqueue().id)

@app.task(name="answer")
def answer() -> None: ...
"""


def enqueue_from_a_child(site: Site) -> Job:
    site.write(CALLING)
    request = JobRequest(id=site.app.new_job_id(), task="call", queue="default", payload=b"{}")
    [job_id] = site.app.enqueue_requests([request])
    worker = site.worker("--burst")
    assert worker.process.wait(20) == 0, worker.output
    return site.app.blocking(lambda client: client.get(job_id))


def test_a_child_process_never_enqueues_into_another_store_than_its_workers(site: Site) -> None:
    job = enqueue_from_a_child(site)

    assert job.error is not None
    assert b"OtherStoreInChild" in job.error
    assert not (site.folder / "own.db").exists()


def test_a_child_process_enqueues_where_the_code_names_the_store(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE", site.store_url)
    job = enqueue_from_a_child(site)

    assert job.result is not None
    assert state_of(site, msgspec.json.decode(job.result)) is State.SUCCEEDED


def test_log_lines_are_plain_and_in_utc(site: Site) -> None:
    worker = site.worker()
    assert worker.says("serves default"), worker.output
    [line] = [line for line in worker.output.splitlines() if "serves default" in line]

    assert "Z INFO    windlass.worker  worker " in line


def test_handlers_that_user_code_has_set_are_left_alone() -> None:
    code = """
import logging
logging.basicConfig(format="theirs %(message)s", level="ERROR")
from windlass.cli.logs import configure_logging
configure_logging("info")
logging.getLogger("windlass.x").info("one")
logging.getLogger("other").info("two")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stderr == "theirs one\n"


def test_a_worker_loads_nothing_that_only_people_need(site: Site) -> None:
    code = """
import sys
import windlass.cli.main
print({name.partition(".")[0] for name in sys.modules} & {"rich", "watchfiles"})
print("windlass.cli.demo_app" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        cwd=site.folder,
    )

    assert done.stdout == "set()\nFalse\n"
