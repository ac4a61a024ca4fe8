"""Connections as callers have them, of each kind, and one way to send them plain statements."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import apsw
import asyncpg
import psycopg
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from windlass.handles import JobHandle
from windlass.tasks import AnyTask

Run = Callable[[str], Awaitable[list[tuple[Any, ...]]]]


@dataclass
class Caller:
    """A connection, and ``run``, which sends one statement over it and returns its rows."""

    connection: Any
    run: Run
    is_async: bool

    async def enqueue(self, task: AnyTask, *args: Any) -> JobHandle[Any]:
        """Enqueue a call over the connection."""
        if self.is_async:
            return await task.aenqueue_in(self.connection, *args)
        return task.enqueue_in(self.connection, *args)


@asynccontextmanager
async def of_asyncpg(url: str) -> AsyncIterator[Caller]:
    connection = await asyncpg.connect(url)

    async def run(statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await connection.fetch(statement)]

    try:
        yield Caller(connection, run, True)
    finally:
        await connection.close()


@asynccontextmanager
async def of_asyncpg_pool(url: str) -> AsyncIterator[Caller]:
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool, pool.acquire() as lent:

        async def run(statement: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in await lent.fetch(statement)]

        yield Caller(lent, run, True)


@asynccontextmanager
async def of_psycopg(url: str) -> AsyncIterator[Caller]:
    with psycopg.connect(url, autocommit=True) as connection:

        async def run(statement: str) -> list[tuple[Any, ...]]:
            return _rows(connection.execute(statement.encode()))

        yield Caller(connection, run, False)


@asynccontextmanager
async def of_async_psycopg(url: str) -> AsyncIterator[Caller]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

        async def run(statement: str) -> list[tuple[Any, ...]]:
            cursor = await connection.execute(statement.encode())
            return await cursor.fetchall() if cursor.description else []

        yield Caller(connection, run, True)


@asynccontextmanager
async def of_sqlite3(url: str) -> AsyncIterator[Caller]:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    connection.row_factory = sqlite3.Row

    async def run(statement: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in connection.execute(statement).fetchall()]

    try:
        yield Caller(connection, run, False)
    finally:
        connection.close()


@asynccontextmanager
async def of_apsw(url: str) -> AsyncIterator[Caller]:
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    connection.set_busy_timeout(5_000)

    async def run(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement).fetchall()

    try:
        yield Caller(connection, run, False)
    finally:
        connection.close()


@asynccontextmanager
async def of_sqlalchemy(url: str) -> AsyncIterator[Caller]:
    engine = create_engine(_for_sqlalchemy(url, "psycopg"))
    with engine.connect() as connection:
        yield Caller(connection, _through(connection), False)
    engine.dispose()


@asynccontextmanager
async def of_orm(url: str) -> AsyncIterator[Caller]:
    engine = create_engine(_for_sqlalchemy(url, "psycopg"))
    with Session(engine) as session:
        yield Caller(session, _through(session), False)
    engine.dispose()


@asynccontextmanager
async def of_async_sqlalchemy(url: str, driver: str = "asyncpg") -> AsyncIterator[Caller]:
    engine = create_async_engine(_for_sqlalchemy(url, driver))
    async with engine.connect() as connection:
        yield Caller(connection, _through_async(connection), True)
    await engine.dispose()


@asynccontextmanager
async def of_async_orm(url: str, driver: str = "asyncpg") -> AsyncIterator[Caller]:
    engine = create_async_engine(_for_sqlalchemy(url, driver))
    async with AsyncSession(engine) as session:
        yield Caller(session, _through_async(session), True)
    await engine.dispose()


def _for_sqlalchemy(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://")


def _through(connection: Connection | Session) -> Run:
    async def run(statement: str) -> list[tuple[Any, ...]]:
        match statement:
            case "BEGIN":
                connection.begin()
            case "COMMIT":
                connection.commit()
            case "ROLLBACK":
                connection.rollback()
            case _:
                result: Any = connection.execute(text(statement))
                return [tuple(row) for row in result] if result.returns_rows else []
        return []

    return run


def _through_async(connection: AsyncConnection | AsyncSession) -> Run:
    async def run(statement: str) -> list[tuple[Any, ...]]:
        match statement:
            case "BEGIN":
                await connection.begin()
            case "COMMIT":
                await connection.commit()
            case "ROLLBACK":
                await connection.rollback()
            case _:
                result: Any = await connection.execute(text(statement))
                return [tuple(row) for row in result] if result.returns_rows else []
        return []

    return run


KINDS: dict[str, Callable[[str], AbstractAsyncContextManager[Caller]]] = {
    "asyncpg": of_asyncpg,
    "asyncpg-pool": of_asyncpg_pool,
    "psycopg": of_psycopg,
    "psycopg-async": of_async_psycopg,
    "sqlite3": of_sqlite3,
    "apsw": of_apsw,
    "sqlalchemy": of_sqlalchemy,
    "sqlalchemy-orm": of_orm,
    "sqlalchemy-async": of_async_sqlalchemy,
    "sqlalchemy-async-orm": of_async_orm,
    "sqlalchemy-async-psycopg": partial(of_async_sqlalchemy, driver="psycopg"),
    "sqlalchemy-sqlite": of_sqlalchemy,
    "sqlalchemy-orm-sqlite": of_orm,
}
OF_SQLITE = ("sqlite3", "apsw", "sqlalchemy-sqlite", "sqlalchemy-orm-sqlite")
OF_SQLALCHEMY = [kind for kind in KINDS if kind.startswith("sqlalchemy")]


def _rows(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return cursor.fetchall() if cursor.description else []
