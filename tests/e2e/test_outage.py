"""The store goes away under an idle worker: the worker stays, and goes on soon after its return."""

import time
from pathlib import Path

import pytest

from tests.e2e.fleet import Fleet
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
