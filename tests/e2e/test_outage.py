"""The store goes away: workers and schedulers stay, and go on soon after its return."""

import time
from pathlib import Path

import pytest

from tests.e2e.campaign import TARGET
from tests.e2e.fleet import Fleet, eventually
from tests.servers import PostgresServer
from windlass import App
from windlass.errors import StoreUnavailable

RESUMES_WITHIN_S = 5.0


@pytest.mark.postgres
@pytest.mark.parametrize("away", ["killed", "stopped", "hanging"])
def test_an_idle_worker_goes_on_within_five_seconds_of_the_stores_return(
    away: str, tmp_path: Path
) -> None:
    with PostgresServer() as server:
        url = server.create_database("outage")
        app = App(url)
        app.migrate()
        # Of the tests' app: only its name and its arguments are used here.
        work = app.task(name="work")(_work)
        with Fleet(url, tmp_path) as fleet:
            worker = fleet.start()
            work.enqueue(1, 0.0).result(10)

            if away == "hanging":
                server.pause()
                time.sleep(4)
                server.resume()
            else:
                server.kill() if away == "killed" else server.stop()
                time.sleep(4)
                server.start()
            back = time.monotonic()
            job = None
            while job is None:
                try:
                    job = work.enqueue(2, 0.0)
                except StoreUnavailable:
                    time.sleep(0.05)
            job.result(10)

            assert time.monotonic() - back < RESUMES_WITHIN_S, fleet.logs()
            assert worker.poll() is None, fleet.logs()
        app.close()


async def _work(number: int, seconds: float) -> None:
    """Stand for the task of the fleet's app."""


@pytest.mark.postgres
@pytest.mark.parametrize("away", ["killed", "stopped", "hanging"])
def test_schedulers_fire_again_within_five_seconds_of_the_stores_return(
    away: str, tmp_path: Path
) -> None:
    with PostgresServer() as server:
        app = App(server.create_database("outage"))
        app.migrate()
        with Fleet(app.settings.store, tmp_path) as fleet:
            schedulers = [fleet.start(target=TARGET, command="scheduler") for _ in range(2)]

            def decided_at() -> float:
                try:
                    fires = app.schedules.fires("s000", limit=1)
                except StoreUnavailable:
                    return 0.0
                return fires[0].decided_at.timestamp() if fires else 0.0

            def are_up() -> bool:
                logs = [fleet.log_of(n).read_text() for n in range(len(schedulers))]
                return all("leads in term" in log or "stands by" in log for log in logs)

            assert eventually(are_up, within_s=20), fleet.logs()
            assert eventually(lambda: decided_at() > 0, within_s=20), fleet.logs()
            if away == "hanging":
                server.pause()
                time.sleep(5)
                server.resume()
            else:
                server.kill() if away == "killed" else server.stop()
                time.sleep(5)
                server.start()
            back = time.time()

            # What is decided at once may be what was being written when it went away.
            assert eventually(lambda: decided_at() > back + 0.5, within_s=20), fleet.logs()
            fires = app.schedules.fires("s000", limit=100)
            first = min(at for fire in fires if (at := fire.decided_at.timestamp()) > back + 0.5)
            assert first - back < RESUMES_WITHIN_S
            assert [each.poll() for each in schedulers] == [None, None], fleet.logs()
            told = fleet.logs().count("scheduling waits") + fleet.logs().count("ERROR")
            assert told <= 2 * len(schedulers), fleet.logs()
        app.close()
