"""Nothing that was acknowledged is lost, nothing is settled twice: real processes, SIGKILL."""

import random
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet, eventually
from tests.servers import PostgresServer
from windlass import App, StoreUnavailable
from windlass.model.jobs import JobFilter, JobId, JobRequest, State

KILLS, RESTARTS = 30, 10


class Load(threading.Thread):
    """Enqueues one batch after another until told to stop; remembers what was acknowledged."""

    def __init__(self, url: str, *, batch: int = 20, pause_s: float = 0.02) -> None:
        super().__init__(daemon=True)
        self.app = App(url)
        self.acknowledged: list[JobId] = []
        self.failure: BaseException | None = None
        self._batch, self._pause_s = batch, pause_s
        self._stop_now = threading.Event()
        self._number = 0

    def run(self) -> None:
        try:
            while not self._stop_now.is_set():
                self._enqueue([self._request() for _ in range(self._batch)])
                time.sleep(self._pause_s)
        except BaseException as error:
            self.failure = error

    def finish(self) -> list[JobId]:
        self._stop_now.set()
        self.join(30)
        self.app.close()
        if self.failure is not None:
            raise self.failure
        return self.acknowledged

    def _request(self) -> JobRequest:
        self._number += 1
        task = "work" if self._number % 3 else "plain"
        return JobRequest(
            id=self.app.new_job_id(),
            task=task,
            queue="default",
            payload=b'{"number":%d,"seconds":0.01}' % self._number,
        )

    def _enqueue(self, requests: list[JobRequest]) -> None:
        """A request that was not acknowledged is repeated as it is: the same ids."""
        while True:
            try:
                self.acknowledged += self.app.enqueue_requests(requests)
                return
            except StoreUnavailable:
                time.sleep(0.1)


def check_each_done_once(app: App, acknowledged: list[JobId], fleet: Fleet) -> None:
    """Every acknowledged job succeeded, and its result is that of its last claim."""

    def all_ended() -> bool:
        try:
            return app.blocking(lambda client: client.idle())
        except StoreUnavailable:
            return False

    assert eventually(all_ended, within_s=60, every_s=0.25), fleet.logs()
    rows = {}
    before: JobId | None = None
    while page := app.blocking(lambda client: client.jobs(JobFilter(), limit=1000, before=before)):  # noqa: B023
        rows.update({job.id: job for job in page})
        before = page[-1].id
    assert set(acknowledged) == set(rows) & set(acknowledged), "an acknowledged job is missing"
    for job in rows.values():
        assert job.state == State.SUCCEEDED, f"{job}\n{fleet.logs()}"
        assert job.result is not None
        number, fence, _pid = map(int, job.result.strip(b"[]").split(b","))
        assert b'"number":%d,' % number in job.payload
        assert job.fence == fence, f"the accepted result is not that of the last claim: {job}"
        assert job.failures == 0, f"a lost worker burned a retry: {job}"


def test_workers_killed_under_load_lose_nothing(store_url: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    load = Load(store_url)
    with Fleet(store_url, tmp_path) as fleet:
        alive = [fleet.start("--concurrency", "8") for _ in range(3)]
        load.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.2, 0.8))
            victim = chance.choice(alive)
            alive.remove(victim)
            fleet.kill(victim)
            alive.append(fleet.start("--concurrency", "8"))
        acknowledged = load.finish()
        app = App(store_url)

        assert len(acknowledged) > 500
        check_each_done_once(app, acknowledged, fleet)
        app.close()


def test_a_worker_paused_past_its_lease_has_its_late_result_refused(
    store_url: str, tmp_path: Path
) -> None:
    app = App(store_url)
    request = JobRequest(
        id=app.new_job_id(), task="work", queue="default", payload=b'{"number":1,"seconds":1.0}'
    )
    with Fleet(store_url, tmp_path) as fleet:
        paused = fleet.start()
        [job_id] = app.enqueue_requests([request])
        assert eventually(
            lambda: app.blocking(lambda c: c.get(job_id)).state is State.RUNNING, within_s=10
        ), fleet.logs()
        paused.send_signal(signal.SIGSTOP)
        fleet.start()
        assert eventually(
            lambda: app.blocking(lambda c: c.get(job_id)).state is State.SUCCEEDED, within_s=20
        ), fleet.logs()
        paused.send_signal(signal.SIGCONT)
        time.sleep(2)
        job = app.blocking(lambda client: client.get(job_id))
        app.close()

        assert (job.fence, job.losses) == (2, 1)
        assert job.result is not None
        assert str(paused.pid) not in job.result.decode()


def test_a_job_that_kills_its_workers_becomes_poison(store_url: str, tmp_path: Path) -> None:
    app = App(store_url)
    request = JobRequest(id=app.new_job_id(), task="suicide", queue="default", payload=b"{}")
    with Fleet(
        store_url, tmp_path, WINDLASS_LOSSES_MAX="3", WINDLASS_LEASE_S="1", WINDLASS_RENEW_S="0.25"
    ) as fleet:
        [job_id] = app.enqueue_requests([request])
        workers = [fleet.start() for _ in range(4)]

        assert eventually(
            lambda: app.blocking(lambda c: c.get(job_id)).state is State.FAILED, within_s=30
        ), fleet.logs()
        job = app.blocking(lambda client: client.get(job_id))
        app.close()
        assert (job.reason, job.losses, job.failures) == ("poison", 3, 0)
        assert [w.poll() for w in workers if w.poll() is None] == [None]


def test_a_graceful_stop_ends_what_runs_and_exits_with_zero(store_url: str, tmp_path: Path) -> None:
    app = App(store_url)
    requests = [
        JobRequest(
            id=app.new_job_id(),
            task="work",
            queue="default",
            payload=b'{"number":%d,"seconds":0.5}' % n,
        )
        for n in range(8)
    ]
    with Fleet(store_url, tmp_path) as fleet:
        worker = fleet.start("--concurrency", "4")
        ids = app.enqueue_requests(requests)

        def running() -> bool:
            jobs = [app.blocking(lambda c, i=i: c.get(i)) for i in ids]  # type: ignore[misc]
            return sum(job.state is State.RUNNING for job in jobs) == 4

        assert eventually(running, within_s=10), fleet.logs()
        assert fleet.stop(worker) == 0
        states = [app.blocking(lambda c, i=i: c.get(i)).state for i in ids]  # type: ignore[misc]
        app.close()

        assert states.count(State.SUCCEEDED) == 4
        assert states.count(State.QUEUED) == 4


@pytest.mark.postgres
def test_postgres_killed_and_restarted_under_load_loses_nothing(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.create_database("restarts")
        app = App(url)
        app.migrate()
        load = Load(url)
        with Fleet(url, tmp_path, WINDLASS_LEASE_S="10", WINDLASS_RENEW_S="1") as fleet:
            workers = [fleet.start("--concurrency", "8") for _ in range(2)]
            # Who finds no store at its very start exits and says so; who works stays.
            assert eventually(
                lambda: len(app.blocking(lambda client: client.workers())) == 2, within_s=30
            ), fleet.logs()
            load.start()
            for _ in range(RESTARTS):
                time.sleep(0.7)
                server.kill()
                time.sleep(0.3)
                server.start()
            acknowledged = load.finish()

            assert len(acknowledged) > 100
            check_each_done_once(app, acknowledged, fleet)
            assert [worker.poll() for worker in workers] == [None, None], "a worker exited"
        app.close()
