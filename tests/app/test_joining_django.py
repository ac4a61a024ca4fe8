"""Enqueueing inside of Django's transactions, on both stores."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import django
import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.transaction import TransactionManagementError

from tests.app.live import WAIT_S, quick_app, working
from windlass import App
from windlass.errors import CannotJoin
from windlass.handles import JobHandle


@pytest.fixture
def app(store_url: str) -> Iterator[App]:
    """An app whose store is also Django's default database."""
    made = quick_app(store_url)
    made.migrate()
    made.close()
    if not settings.configured:
        settings.configure(LOGGING_CONFIG=None)
        django.setup()
    both = {"default": of_django(store_url), "other": of_django(store_url)}
    connections.settings.update(connections.configure_settings(both))
    yield made
    for alias in both:
        connections[alias].close()
        del connections[alias]
    made.close()


def of_django(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.removeprefix("sqlite:///")}
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username,
        "HOST": parts.hostname,
        "PORT": parts.port,
    }


def is_there(job: "JobHandle[Any]") -> bool:
    """Look with Django's own eyes, after its transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM windlass_jobs WHERE id = %s", [job.id])
        return bool(cursor.fetchone()[0])


def test_a_job_is_there_if_and_only_if_the_atomic_block_ends_well(app: App) -> None:
    @app.task
    def nothing(n: int) -> None: ...

    with transaction.atomic():
        kept = nothing.enqueue_in(connection, 1)
    with suppress(ZeroDivisionError), transaction.atomic():
        lost = nothing.enqueue_in(connection, 2)
        raise ZeroDivisionError
    with transaction.atomic():
        [also] = app.enqueue_many_in(connections["default"], [nothing.prepare(3)])

    assert [is_there(job) for job in (kept, lost, also)] == [True, False, True]


def test_an_inner_block_that_is_rolled_back_takes_its_jobs_along(app: App) -> None:
    @app.task
    def nothing(n: int) -> None: ...

    with transaction.atomic():
        kept = nothing.enqueue_in(connection, 1)
        with suppress(ZeroDivisionError), transaction.atomic():
            lost = nothing.enqueue_in(connection, 2)
            raise ZeroDivisionError
        also = nothing.enqueue_in(connection, 3)

    assert [is_there(job) for job in (kept, lost, also)] == [True, False, True]


async def test_a_job_of_a_thread_in_django_runs_once_it_commits(app: App) -> None:
    @app.task
    def double(n: int) -> int:
        return 2 * n

    def in_view() -> JobHandle[int]:
        try:
            with transaction.atomic():
                return double.enqueue_in(connection, 21)
        finally:
            connection.close()

    job = await asyncio.to_thread(in_view)
    async with working(app):
        assert await job.aresult(timeout=WAIT_S) == 42


def test_outside_of_an_atomic_block_nothing_is_joined(app: App) -> None:
    @app.task
    def nothing() -> None: ...

    with pytest.raises(CannotJoin, match="open one first"):
        nothing.enqueue_in(connection)
    with transaction.atomic(using="other"), pytest.raises(CannotJoin, match="open one first"):
        nothing.enqueue_in(connection)  # the block is the other connection's


def test_a_block_that_is_to_be_rolled_back_takes_no_job(app: App) -> None:
    @app.task
    def nothing() -> None: ...

    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(TransactionManagementError):
            nothing.enqueue_in(connection)


def test_a_test_within_a_transaction_sees_its_jobs(app: App) -> None:
    @app.task
    def nothing() -> None: ...

    with transaction.atomic():
        job = nothing.enqueue_in(connection)
        assert is_there(job)
        transaction.set_rollback(True)

    assert not is_there(job)
