"""Three schedulers of which the leader is killed, paused and stopped: one outcome for each tick."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.e2e.campaign import TARGET, Campaign, Place
from tests.e2e.fleet import Fleet, eventually
from tests.servers import PgBouncer, PostgresServer
from windlass import App
from windlass.model.schedules import Leadership

HANDED_OVER_WITHIN_S, TAKEN_OVER_WITHIN_S = 0.5, 8.0
STORES = [
    "sqlite",
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("pooled", marks=pytest.mark.postgres),
]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty store of the kind that the test names."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/schedules.db"
        return Place(url, url, stopped_writer_blocks=True)
    server: PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database("schedulers")
    if request.param == "postgres":
        return Place(url, url)
    bouncer: PgBouncer = request.getfixturevalue("pgbouncer")
    return Place(bouncer.url("schedulers"), url)


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_each_tick_has_one_outcome_however_the_leader_is_killed_and_paused(
    place: Place, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """I16, I17, I18; ``make schedulers`` does it at length."""
    kills, stops = (3, 2) if "postgres" in request.node.name else (1, 1)

    report = Campaign(place, tmp_path, lease_s=1.5).run(kills, stops)

    assert report.terms >= 1 + kills
    assert report.started > 0
    assert report.skipped > 0
    assert max(report.kill_gaps_s) < TAKEN_OVER_WITHIN_S


class Trio:
    """Three schedulers under the default lease, and who of them leads."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.app = App(place.watch_url)
        self.app.migrate()
        self.fleet = Fleet(place.url, folder)
        for _ in range(3):
            self.fleet.start(target=TARGET, command="scheduler")

    def leads(self) -> Leadership | None:
        """Return who leads under a lease."""
        found = self.app.schedules.leader()
        return None if found is None or found.left_s <= 0 else found

    def leader(self) -> int:
        """Return the number of the process that leads, once one does and all have begun."""
        assert eventually(self._all_know, within_s=30), self.fleet.logs()
        leads = self.leads()
        assert leads is not None
        own = f"scheduler {leads.leader} leads in term"
        return next(n for n in range(3) if own in self.fleet.log_of(n).read_text())

    def _all_know(self) -> bool:
        leads = self.leads()
        if leads is None:
            return False
        logs = [self.fleet.log_of(n).read_text() for n in range(3)]
        alive = [n for n in range(3) if self.fleet.workers[n].poll() is None]
        return all(f"in term {leads.term}" in logs[n] for n in alive)

    def term_after(self, term: int, within_s: float) -> float:
        """Wait until a later term has begun; return how long that took."""
        begin = time.monotonic()

        def begun() -> bool:
            leads = self.leads()
            return leads is not None and leads.term > term

        assert eventually(begun, within_s=within_s, every_s=0.005), self.fleet.logs()
        return time.monotonic() - begin

    def close(self) -> None:
        self.fleet.__exit__(None, None, None)
        self.app.close()


@pytest.fixture
def trio(place: Place, tmp_path: Path) -> Iterator[Trio]:
    """Three schedulers on the store that the test names."""
    trio = Trio(place, tmp_path)
    yield trio
    trio.close()


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_a_leader_that_is_stopped_in_order_hands_over_within_half_a_second(trio: Trio) -> None:
    for _ in range(2):
        leader = trio.leader()
        leads = trio.leads()
        assert leads is not None
        trio.fleet.workers[leader].terminate()

        assert trio.term_after(leads.term, within_s=10) < HANDED_OVER_WITHIN_S
        assert trio.fleet.workers[leader].wait(10) == 0


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_a_leader_that_crashes_is_replaced_within_eight_seconds(trio: Trio) -> None:
    leader = trio.leader()
    trio.fleet.kill(trio.fleet.workers[leader])
    killed_at = time.time()

    def fires_again() -> bool:
        fires = trio.app.schedules.fires("s000", limit=1)
        return bool(fires) and fires[0].decided_at.timestamp() > killed_at + 0.1

    assert eventually(fires_again, within_s=20), trio.fleet.logs()
    fires = trio.app.schedules.fires("s000", limit=100)
    first = min(f.decided_at.timestamp() for f in fires if f.decided_at.timestamp() > killed_at)
    assert first - killed_at < TAKEN_OVER_WITHIN_S
    assert all(trio.fleet.workers[n].poll() is None for n in range(3) if n != leader)


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
def test_a_stopped_process_that_holds_the_lock_of_the_file_is_named_and_work_goes_on_after_it(
    trio: Trio, tmp_path: Path
) -> None:
    """I15, on SQLite: it does hold up the others, and they say who does."""
    leader = trio.leader()
    child = os.fork()
    if child == 0:  # takes the lock, and stops inside its transaction
        connection = apsw.Connection(f"{tmp_path}/schedules.db")
        connection.set_busy_timeout(10_000)
        connection.execute("BEGIN IMMEDIATE")
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    try:
        os.waitpid(child, os.WUNTRACED)
        said = f"process {child} (stopped)"
        assert eventually(lambda: said in trio.fleet.logs(), within_s=15), trio.fleet.logs()
        assert trio.fleet.workers[leader].poll() is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    freed_at = time.time()

    def fires_again() -> bool:
        fires = trio.app.schedules.fires("s000", limit=1)
        return bool(fires) and fires[0].decided_at.timestamp() > freed_at

    assert eventually(fires_again, within_s=5), trio.fleet.logs()
    waits = [line for line in trio.fleet.logs().splitlines() if "scheduling waits" in line]
    assert len(waits) <= 3
