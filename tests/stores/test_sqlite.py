"""What the SQLite store does beyond the contract: files, processes, locks, the blocking face."""

import asyncio
import inspect
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest

from tests.forks import become_nobody, in_a_fork
from windlass.errors import (
    BadStoreUrl,
    SchemaTooNew,
    StoreCorrupt,
    StoreUnavailable,
)
from windlass.model.holds import HoldId, HoldRequest
from windlass.model.jobs import JobFilter, Reason, State, WorkerId
from windlass.model.limits import Limits
from windlass.model.progress import ProgressReport
from windlass.model.schedules import SchedulePlan
from windlass.model.topics import queue_topic
from windlass.portal import drive
from windlass.ports import Schedules, Store
from windlass.stores.sqlite import SqliteStore, writer
from windlass.stores.sqlite.migrations import MIGRATIONS, NEWEST
from windlass.testing.contracts.schedules import make_backfill, make_items, make_plan, make_row
from windlass.testing.contracts.world import (
    ALICE,
    LEASE_S,
    make_request,
    make_requests,
    make_worker,
    move,
    nth_id,
)

# -- the schema --------------------------------------------------------------


def schema_of(path: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path))
    rows = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2").fetchall()
    connection.close()
    return rows


def test_opening_makes_the_schema_and_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = SqliteStore(path)
    applied = drive(store.migrate())
    drive(store.close())
    first = schema_of(path)
    again = SqliteStore(path)

    assert applied == [migration.number for migration in MIGRATIONS]
    assert drive(again.migrate()) == []
    assert schema_of(path) == first
    drive(again.close())


def test_a_migration_that_was_killed_half_way_is_done_again_from_its_start(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole.db", tmp_path / "broken.db"
    drive(_opened_and_closed(whole))
    script = (
        "import apsw, os, sys\n"
        "from windlass.stores.sqlite.migrations import FIRST, JOURNAL\n"
        "c = apsw.Connection(sys.argv[1])\n"
        "c.execute('PRAGMA journal_mode = wal').fetchall()\n"
        "c.execute('BEGIN IMMEDIATE'); c.execute(JOURNAL)\n"
        "c.execute(FIRST[: FIRST.index('CREATE TABLE windlass_workers')])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(broken)], check=False)
    drive(_opened_and_closed(broken))

    assert killed.returncode == -9
    assert schema_of(broken) == schema_of(whole)


async def _opened_and_closed(path: Path) -> None:
    store = SqliteStore(path)
    await store.open()
    await store.close()


def test_a_schema_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    drive(_opened_and_closed(path))
    connection = apsw.Connection(str(path))
    connection.execute(f"INSERT INTO windlass_migrations VALUES ({NEWEST + 1}, 'later', 0)")
    connection.close()

    with pytest.raises(SchemaTooNew) as told:
        drive(SqliteStore(path).open())
    assert (told.value.found, told.value.wanted) == (NEWEST + 1, NEWEST)


# -- bad files ---------------------------------------------------------------


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("this is no database " * 100)

    with pytest.raises(StoreCorrupt):
        drive(SqliteStore(path).open())
    assert path.read_text() == "this is no database " * 100


async def test_a_damaged_page_is_told_as_a_corrupt_store(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    store = SqliteStore(path)
    await store.open()
    await store.enqueue(make_requests(500))
    await store.close()
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 64)

    with pytest.raises(StoreCorrupt):
        await _look(path)


async def _look(path: Path) -> None:
    store = SqliteStore(path)
    try:
        await store.open()
        await store.jobs(JobFilter(), limit=1000)
        await store.counts()
    finally:
        await store.close()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadStoreUrl, match="there is no folder"):
        drive(SqliteStore(tmp_path / "nowhere" / "a.db").open())


def test_a_read_only_folder_is_told_so(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    for part in (folder, *folder.parents):
        if part.owner() == "root" and part != Path("/"):
            part.chmod(part.stat().st_mode | 0o055)

    def open_as_nobody() -> str:
        become_nobody()
        drive(SqliteStore(folder / "a.db").open())
        return "opened"

    told = in_a_fork(open_as_nobody)

    assert told.startswith("StoreReadOnly")
    assert "cannot be written" in told
    assert list(folder.iterdir()) == []


# -- many processes ----------------------------------------------------------

HAMMER = """
import sys
from windlass.portal import drive
from windlass.stores.sqlite import SqliteStore
from windlass.testing.contracts.world import make_request
number = int(sys.argv[2])
store = SqliteStore(sys.argv[1])
drive(store.open())
for n in range(150):
    drive(store.enqueue([make_request(number * 1000 + n)]))
drive(store.close())
"""


def test_eight_processes_write_one_file_and_none_is_told_of_a_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    processes = [
        subprocess.Popen([sys.executable, "-c", HAMMER, str(path), str(n)]) for n in range(8)
    ]
    codes = [process.wait(120) for process in processes]
    store = SqliteStore(path)
    drive(store.open())

    assert codes == [0] * 8
    assert drive(store.counts()) == {("default", State.QUEUED): 8 * 150}
    drive(store.close())


async def test_a_lock_that_is_never_freed_is_told_as_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "LOCK_WAIT_S", 0.2)
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    rival = apsw.Connection(str(tmp_path / "a.db"))
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="lock"):
        await store.enqueue([make_request(1)])
    rival.execute("ROLLBACK")
    rival.close()

    assert await store.enqueue([make_request(1)]) == [nth_id(1)]
    await store.close()


async def test_the_event_loop_goes_on_while_another_process_holds_the_lock(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    rival = apsw.Connection(str(tmp_path / "a.db"))
    rival.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(store.enqueue([make_request(1)]))
    longest = 0.0
    for _ in range(30):
        before = time.perf_counter()
        await asyncio.sleep(0.005)
        longest = max(longest, time.perf_counter() - before)
    rival.execute("ROLLBACK")
    rival.close()

    assert await waiting == [nth_id(1)]
    assert longest < 0.2
    await store.close()


async def test_requests_that_come_together_share_one_commit(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    assert store._writer is not None
    commits: list[None] = []
    commit = store._writer._commit
    store._writer._commit = lambda: commits.append(commit())  # type: ignore[method-assign]
    await asyncio.gather(*(store.enqueue([make_request(n)]) for n in range(100)))

    assert len(commits) <= 2
    assert await store.counts() == {("default", State.QUEUED): 100}
    await store.close()


async def test_one_that_fails_does_not_take_its_group_with_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    bad = make_request(2, priority=1_000)  # the schema refuses it
    answers = await asyncio.gather(
        store.enqueue([make_request(1)]),
        store.enqueue([make_request(3), bad]),
        store.enqueue([make_request(4)]),
        return_exceptions=True,
    )

    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]
    assert {job.id for job in await store.jobs(JobFilter(), limit=9)} == {nth_id(1), nth_id(4)}
    await store.close()


async def test_a_bell_is_rung_from_another_process(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    bell = store.listen([queue_topic("default")])
    waiting = asyncio.ensure_future(bell.wait(20))
    command = [sys.executable, "-c", HAMMER, str(tmp_path / "a.db"), "1"]
    other = await asyncio.create_subprocess_exec(*command)

    assert await waiting
    assert await other.wait() == 0
    await store.close()


async def test_the_socket_of_a_killed_process_is_cleared_away(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    await store.open()
    folder = store._switchboard._folder
    assert folder is not None
    code = (
        "import asyncio, os, sys\n"
        "from windlass.stores.sqlite import SqliteStore\n"
        "async def main():\n"
        "    store = SqliteStore(sys.argv[1]); await store.open(); store.listen(['done'])\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.db")], check=False)
    left = len(list(folder.iterdir()))
    await store.enqueue([make_request(1)])

    assert left == 1
    assert list(folder.iterdir()) == []
    await store.close()


# -- the blocking face -------------------------------------------------------


def test_without_an_event_loop_no_method_of_the_store_suspends(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    called = {"url", "listen"}  # no coroutines

    def call(name: str, *arguments: object, **named: object) -> object:
        called.add(name)
        return drive(getattr(store, name)(*arguments, **named))

    call("migrate")
    call("open")
    call("enqueue", make_requests(3))
    call("renew", make_worker(), LEASE_S)
    claims = call("claim", ALICE, ["default"], 2)
    assert isinstance(claims, list)
    call("held", ALICE)
    call("inputs", nth_id(1))
    call("report_progress", [ProgressReport(nth_id(1), 1, 0.5, "half")])
    call("progress", [nth_id(1)])
    call("settle", [move(claims[0], State.SUCCEEDED), move(claims[1], State.FAILED)])
    call("results", [nth_id(1)])
    call("sweep", 10, 3)
    call("get", nth_id(1))
    call("jobs", JobFilter(), limit=3)
    call("counts")
    call("holders", Limits())
    call("hold", HoldRequest(id=HoldId("h"), reason=Reason.PAUSED, actor="me", queue="q"))
    call("holds")
    call("lift", HoldId("h"), "me")
    call("drain", ALICE)
    call("delete", [nth_id(1)])
    call("backlog")
    call("dead_letters", limit=3)
    call("resolve", [nth_id(2)], "me")
    call("events", nth_id(2))
    call("workers")
    call("expire_results", 10)
    call("prune", 0.0, 10)
    call("expire_results", 10)
    call("leave", WorkerId("alice"))
    call("close")

    verbs = {name for name, _ in inspect.getmembers(Store) if not name.startswith("_")}
    assert called == verbs - {"runs", "schedules"}  # they have verbs of their own


def test_without_an_event_loop_no_method_of_the_runs_suspends(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    drive(store.open())

    assert drive(store.runs.steps(nth_id(1), limit=9)) == []
    assert drive(store.runs.tally(nth_id(1))) == {}
    drive(store.close())


def test_without_an_event_loop_no_method_of_the_schedules_suspends(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    drive(store.open())
    called = set()

    def call(name: str, *arguments: object, **named: object) -> object:
        called.add(name)
        return drive(getattr(store.schedules, name)(*arguments, **named))

    now = drive(store.schedules.find([])).now
    call("save", [SchedulePlan(make_row(now))])
    call("find", ["nightly"])
    call("page", limit=9)
    call("due", 9)
    call("lead", "one", 5.0)
    assert call("fire", [make_plan(make_row(now), now)], leader="one", term=1) == [True]
    call("leader")
    call("fires", "nightly", limit=9)
    call("prune", 0.0, 9, leader="one", term=1)
    call("resign", "one")
    call("started", "nightly", now, now, 9)
    call("add_backfill", make_backfill(), make_items(2))
    call("backfills", limit=9)
    call("backfill_jobs", make_backfill().id)
    call("end_backfill", make_backfill().id)
    drive(store.close())

    verbs = {name for name, _ in inspect.getmembers(Schedules) if not name.startswith("_")}
    assert called == verbs
