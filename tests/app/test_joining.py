"""Enqueueing inside of the caller's transaction, over the real drivers, on both stores."""

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from tests.app.callers import KINDS, OF_SQLALCHEMY, OF_SQLITE, Caller
from tests.app.live import WAIT_S, quick_app, working
from tests.servers import PgBouncer, PostgresServer
from windlass import App, Debounce, EnqueueCall, Notice, NoticeKind, Proceed, Unique
from windlass.errors import CannotJoin, JobNotFound, KeyConflict, SchemaMissing, SqliteOpenTwice
from windlass.model.jobs import JobId

ROOT = Path(__file__).parents[2]
StoreOf = Callable[..., str]


def of_each(kinds: Sequence[str]) -> list[Any]:
    """Return kinds as parameters."""
    marks = pytest.mark.postgres
    return [kind if kind in OF_SQLITE else pytest.param(kind, marks=marks) for kind in kinds]


EACH_KIND = of_each(list(KINDS))
EACH_DRIVER = of_each([kind for kind in KINDS if kind not in OF_SQLALCHEMY])
EACH_OF_SQLALCHEMY = of_each(OF_SQLALCHEMY)


@pytest.fixture
def store_of(request: pytest.FixtureRequest, tmp_path: Path) -> StoreOf:
    """Make an empty store of the kind that a connection is for."""

    def make(kind: str, name: str = "joined") -> str:
        url = f"sqlite:///{tmp_path}/{name}.db"
        if kind not in OF_SQLITE:
            server: PostgresServer = request.getfixturevalue("postgres_server")
            url = server.create_database(f"{name}_{tmp_path.name}"[:60].lower())
        app = App(url)
        app.migrate()
        app.close()
        return url

    return make


@pytest.mark.parametrize("kind", EACH_KIND)
async def test_a_job_is_there_and_runs_once_its_transaction_commits(
    kind: str, store_of: StoreOf
) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def double(n: int) -> int:
        return 2 * n

    count = "SELECT count(*) FROM windlass_jobs"
    async with KINDS[kind](url) as caller, KINDS[kind](url) as other:
        await caller.run("BEGIN")
        job = await caller.enqueue(double, 21)
        assert await other.run(count) == [(0,)]
        await caller.run("COMMIT")
        assert await other.run(count) == [(1,)]
    async with working(app):
        assert await job.aresult(timeout=WAIT_S) == 42
    app.close()


@pytest.mark.parametrize("kind", EACH_KIND)
async def test_a_job_is_not_there_after_a_rollback(kind: str, store_of: StoreOf) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    async with KINDS[kind](url) as caller:
        await caller.run("BEGIN")
        job = await caller.enqueue(nothing)
        await caller.run("ROLLBACK")

    with pytest.raises(JobNotFound):
        await job.ajob()
    await app.aclose()
    app.close()


@pytest.mark.parametrize("kind", EACH_KIND)
async def test_a_savepoint_that_is_rolled_back_takes_its_jobs_along(
    kind: str, store_of: StoreOf
) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def nothing(n: int) -> None: ...

    async with KINDS[kind](url) as caller:
        await caller.run("BEGIN")
        kept = await caller.enqueue(nothing, 1)
        await caller.run("SAVEPOINT inner_one")
        lost = await caller.enqueue(nothing, 2)
        await caller.run("ROLLBACK TO SAVEPOINT inner_one")
        also = await caller.enqueue(nothing, 3)
        await caller.run("COMMIT")

    assert {(await kept.ajob()).id, (await also.ajob()).id} == {kept.id, also.id}
    with pytest.raises(JobNotFound):
        await lost.ajob()
    await app.aclose()
    app.close()


@pytest.mark.parametrize("kind", EACH_KIND)
async def test_many_jobs_of_all_shapes_join_one_transaction(kind: str, store_of: StoreOf) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def plain(text: str) -> None: ...

    @app.task(once=Unique("n"))
    def once(n: int) -> None: ...

    requests = [
        plain.prepare("é\x00'%s $1"),
        plain.using(delay=0.5, priority=-7, expires=60).prepare("later"),
        plain.using(unique_key="k", queue="other").prepare("keyed"),
        plain.using(unique_key="k", queue="other").prepare("keyed again"),
        once.prepare(1),
        once.prepare(1),
    ]
    async with KINDS[kind](url) as caller:
        await caller.run("BEGIN")
        if caller.is_async:
            jobs = await app.aenqueue_many_in(caller.connection, requests)
        else:
            jobs = app.enqueue_many_in(caller.connection, requests)
        await caller.run("COMMIT")

    found = [await job.ajob() for job in jobs]

    assert [job.id for job in jobs[:3]] == [request.id for request in requests[:3]]
    assert jobs[3].id == jobs[2].id
    assert jobs[5].id == jobs[4].id
    assert [job.payload for job in found[:3]] == [request.payload for request in requests[:3]]
    assert (found[1].state, found[1].priority, found[2].queue) == ("scheduled", -7, "other")
    await app.aclose()
    app.close()


@pytest.mark.parametrize("kind", EACH_KIND)
async def test_an_idempotency_key_is_taken_if_and_only_if_the_transaction_commits(
    kind: str, store_of: StoreOf
) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def ship(order: int) -> None: ...

    keyed = ship.using(idempotency_key="one")
    async with KINDS[kind](url) as caller:
        await caller.run("BEGIN")
        lost = await caller.enqueue(keyed, 1)
        await caller.run("ROLLBACK")
        await caller.run("BEGIN")
        kept = await caller.enqueue(keyed, 2)
        again = await caller.enqueue(keyed, 2)
        with pytest.raises(KeyConflict):
            await caller.enqueue(keyed, 3)
        await caller.run("COMMIT")

    assert kept.id == again.id != lost.id
    assert (await keyed.aenqueue(2)).id == kept.id
    with pytest.raises(KeyConflict, match=r"'one' of task .* stands for job"):
        await keyed.aenqueue(3)
    await app.aclose()
    app.close()


@pytest.mark.parametrize("kind", EACH_DRIVER)
async def test_outside_of_a_transaction_nothing_is_joined(kind: str, store_of: StoreOf) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    async with KINDS[kind](url) as caller:
        with pytest.raises(CannotJoin, match="open one first"):
            await caller.enqueue(nothing)
    app.close()


@pytest.mark.parametrize("kind", EACH_KIND)
async def test_a_connection_to_another_store_is_refused_and_can_go_on(
    kind: str, store_of: StoreOf
) -> None:
    url, other = store_of(kind), store_of(kind, "other")
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    async with KINDS[kind](other) as caller:
        await caller.run("BEGIN")
        with pytest.raises(CannotJoin, match="pass a connection to it"):
            await caller.enqueue(nothing)
        await caller.run("COMMIT")

        assert await caller.run("SELECT count(*) FROM windlass_jobs") == [(0,)]
    app.close()


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["psycopg", "asyncpg"])
async def test_a_database_without_a_store_is_refused_and_the_transaction_goes_on(
    kind: str, store_of: StoreOf, postgres_server: PostgresServer
) -> None:
    app = quick_app(store_of(kind))

    @app.task
    def nothing() -> None: ...

    async with KINDS[kind](postgres_server.url()) as caller:
        await caller.run("BEGIN")
        with pytest.raises(CannotJoin, match="no tables of Windlass"):
            await caller.enqueue(nothing)

        assert await caller.run("SELECT 1") == [(1,)]
    app.close()


@pytest.mark.postgres
def test_what_psycopg_begins_itself_is_joined(store_of: StoreOf) -> None:
    url = store_of("psycopg")
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        kept = nothing.enqueue_in(cursor)  # the first statement, and over a cursor
        connection.commit()
        lost = nothing.enqueue_in(connection)
        connection.rollback()
        with connection.transaction():
            also = nothing.enqueue_in(connection)

    assert {kept.job().id, also.job().id} == {kept.id, also.id}
    with pytest.raises(JobNotFound):
        lost.job()
    app.close()


def test_what_sqlite3_begins_itself_is_joined(store_of: StoreOf) -> None:
    url = store_of("sqlite3")
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with connection:
        kept = nothing.enqueue_in(connection)  # the first statement
    also = nothing.enqueue_in(connection.cursor())
    connection.commit()
    lost = nothing.enqueue_in(connection)
    connection.rollback()
    connection.close()

    assert {kept.job().id, also.job().id} == {kept.id, also.id}
    with pytest.raises(JobNotFound):
        lost.job()
    app.close()


def test_two_copies_of_sqlite_never_have_the_file_open_in_one_process(store_of: StoreOf) -> None:
    url = store_of("sqlite3")
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    first = nothing.enqueue_in(connection)
    connection.commit()
    with pytest.raises(SqliteOpenTwice, match="use apsw"):
        first.job()
    connection.close()
    assert first.job().id == first.id  # the store is open from now on
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    with pytest.raises(CannotJoin, match="use an apsw connection"):
        nothing.enqueue_in(connection)
    app.close()
    connection.close()


@pytest.mark.postgres
async def test_a_transaction_of_asyncpg_that_raises_leaves_no_job(store_of: StoreOf) -> None:
    url = store_of("asyncpg")
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    connection = await asyncpg.connect(url)
    async with connection.transaction():
        kept = await nothing.aenqueue_in(connection)
    with suppress(ZeroDivisionError):
        async with connection.transaction():
            lost = await nothing.aenqueue_in(connection)
            raise ZeroDivisionError
    await connection.close()

    assert (await kept.ajob()).id == kept.id
    with pytest.raises(JobNotFound):
        await lost.ajob()
    await app.aclose()


@pytest.mark.parametrize("kind", EACH_OF_SQLALCHEMY)
async def test_what_sqlalchemy_begins_itself_is_joined(kind: str, store_of: StoreOf) -> None:
    url = store_of(kind)
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    async with KINDS[kind](url) as caller:
        kept = await caller.enqueue(nothing)  # the first statement
        await caller.run("COMMIT")
        lost = await caller.enqueue(nothing)
        await caller.run("ROLLBACK")

    assert (await kept.ajob()).id == kept.id
    with pytest.raises(JobNotFound):
        await lost.ajob()
    await app.aclose()
    app.close()


@pytest.mark.postgres
async def test_a_transaction_pooler_may_stand_before_the_store_the_caller_or_both(
    store_of: StoreOf, pgbouncer: PgBouncer
) -> None:
    direct = store_of("asyncpg")
    pooled = pgbouncer.url(direct.rpartition("/")[2])
    for store, callers in ((pooled, direct), (direct, pooled), (pooled, pooled)):
        app = quick_app(store)

        @app.task
        def nothing() -> None: ...

        connection = await asyncpg.connect(callers, statement_cache_size=0)
        async with connection.transaction():
            job = await nothing.aenqueue_in(connection)
        await connection.close()

        assert (await job.ajob()).id == job.id
        await app.aclose()


@pytest.mark.postgres
async def test_sqlalchemy_without_transactions_is_refused(store_of: StoreOf) -> None:
    url = store_of("sqlalchemy")
    app = quick_app(url)

    @app.task
    def nothing() -> None: ...

    blocking = create_engine(
        url.replace("postgresql", "postgresql+psycopg"), isolation_level="AUTOCOMMIT"
    )
    with blocking.connect() as connection, pytest.raises(CannotJoin, match="open one first"):
        nothing.enqueue_in(connection)
    blocking.dispose()
    awaited = create_async_engine(
        url.replace("postgresql", "postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    async with awaited.connect() as other:
        with pytest.raises(CannotJoin, match="open one first"):
            await nothing.aenqueue_in(other)
        with pytest.raises(CannotJoin, match="use aenqueue_in"):
            nothing.enqueue_in(other)
    await awaited.dispose()
    app.close()


def test_what_cannot_join_is_refused_with_the_way_out(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    app = App(url)

    @app.task
    def nothing() -> None: ...

    @app.task(once=Debounce(1.0))
    def debounced() -> None: ...

    connection = apsw.Connection(f"{tmp_path}/jobs.db")
    connection.execute("BEGIN")
    with pytest.raises(SchemaMissing, match="windlass migrate"):
        nothing.enqueue_in(connection)
    connection.execute("ROLLBACK")
    app.migrate()
    connection.execute("BEGIN")

    with pytest.raises(CannotJoin, match=r"builtins\.str: .* pass one of asyncpg, psycopg"):
        nothing.enqueue_in("sqlite:///jobs.db")
    with pytest.raises(CannotJoin, match=r"debounce.*after the commit"):
        debounced.enqueue_in(connection)
    connection.close()
    memory = apsw.Connection(":memory:")
    memory.execute("BEGIN")
    with pytest.raises(CannotJoin, match="in memory"):
        nothing.enqueue_in(memory)
    memory.close()


@pytest.mark.postgres
async def test_a_connection_of_the_other_kind_of_store_is_refused(
    store_of: StoreOf, tmp_path: Path
) -> None:
    on_postgres, on_sqlite = App(store_of("psycopg")), App(store_of("apsw"))

    @on_postgres.task
    def there() -> None: ...

    @on_sqlite.task
    def here() -> None: ...

    async with KINDS["apsw"](on_sqlite.settings.store) as caller:
        await caller.run("BEGIN")
        with pytest.raises(CannotJoin, match="the store is postgresql://"):
            await caller.enqueue(there)
    async with KINDS["psycopg-async"](on_postgres.settings.store) as caller:
        await caller.run("BEGIN")
        with pytest.raises(CannotJoin, match="the store is sqlite://"):
            await caller.enqueue(here)
        with pytest.raises(CannotJoin, match="use aenqueue_in"):
            here.enqueue_in(caller.connection)
    on_postgres.close()


async def test_middleware_stands_around_it_and_observers_are_not_told(store_of: StoreOf) -> None:
    url = store_of("apsw")
    app = quick_app(url)
    seen: list[JobId] = []
    told: list[Notice] = []

    @app.around_enqueue
    async def look(
        call: EnqueueCall, proceed: Proceed[EnqueueCall, Sequence[JobId]]
    ) -> Sequence[JobId]:
        ids = await proceed(call)
        seen.extend(ids)
        return ids

    @app.observe
    def tell(notice: Notice) -> None:
        if notice.kind is NoticeKind.ENQUEUED:
            told.append(notice)

    @app.task
    def nothing() -> None: ...

    async with KINDS["apsw"](url) as caller:
        await caller.run("BEGIN")
        job = await caller.enqueue(nothing)
        await caller.run("ROLLBACK")

    assert seen == [job.id]
    assert told == []


# -- killed ------------------------------------------------------------------


def started(kind: str, url: str, point: str) -> "subprocess.Popen[str]":
    program = [sys.executable, "-m", "tests.app.joining_program", kind, url, point]
    process = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # it has come to the point
    return process


def killed(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def plain(kind: str) -> Callable[[str], AbstractAsyncContextManager[Caller]]:
    """Return what makes a connection to the same kind of store that begins nothing of itself."""
    return KINDS["apsw" if kind in OF_SQLITE else "asyncpg"]


async def jobs_and_orders(kind: str, url: str) -> tuple[list[str], list[str]]:
    async with plain(kind)(url) as caller:
        if kind not in OF_SQLITE:  # until the server has noticed that the caller is gone
            others = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            while await caller.run(others) != [(0,)]:
                time.sleep(0.01)
        jobs = await caller.run("SELECT id FROM windlass_jobs ORDER BY id")
        orders = await caller.run("SELECT id FROM orders ORDER BY id")
    return [str(row[0]) for row in jobs], [str(row[0]) for row in orders]


async def make_orders(kind: str, url: str) -> None:
    async with plain(kind)(url) as caller:
        await caller.run("CREATE TABLE orders (id text PRIMARY KEY)")


@pytest.mark.parametrize(("point", "count"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("kind", EACH_KIND)
async def test_a_caller_killed_beside_its_commit_leaves_the_job_and_its_own_rows_or_neither(
    kind: str, point: str, count: int, store_of: StoreOf
) -> None:
    url = store_of(kind)
    await make_orders(kind, url)

    killed(started(kind, url, point))
    jobs, orders = await jobs_and_orders(kind, url)

    assert len(jobs) == count
    assert jobs == orders


@pytest.mark.parametrize("kind", of_each(["asyncpg", "psycopg", "sqlite3", "apsw"]))
async def test_a_caller_killed_at_any_moment_leaves_as_many_jobs_as_rows_of_its_own(
    kind: str, store_of: StoreOf
) -> None:
    url, moments = store_of(kind), random.Random(7)
    await make_orders(kind, url)

    for _ in range(4):
        process = started(kind, url, "on")
        time.sleep(moments.uniform(0.02, 0.3))
        killed(process)
        jobs, orders = await jobs_and_orders(kind, url)

        assert jobs == orders
        assert len(jobs) > 0
