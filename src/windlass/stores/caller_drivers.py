"""The callers' drivers: asyncpg, psycopg, sqlite3 and apsw, each as a ``Caller``.

No driver is imported before one of its own objects has been given: then it is there.
"""

from collections.abc import Sequence
from typing import Any

from windlass.stores.callers import PostgresCaller, Row, SqliteCaller


async def of_asyncpg(connection: Any) -> PostgresCaller:
    """Use a connection, also one that is lent by a pool."""

    async def run(statement: str, values: Sequence[Any]) -> Sequence[Row]:
        rows: Sequence[Row] = await connection.fetch(statement, *values)
        return rows

    return PostgresCaller("asyncpg connection", connection, run, connection.is_in_transaction)


async def of_psycopg(connection: Any) -> PostgresCaller:
    """Use a blocking connection."""
    from psycopg import RawCursor  # its parameters are $n, as in all statements of the store
    from psycopg.rows import tuple_row

    async def run(statement: str, values: Sequence[Any]) -> Sequence[Row]:
        with RawCursor(connection, row_factory=tuple_row) as cursor:
            cursor.execute(statement.encode(), values)
            return cursor.fetchall() if cursor.description else []

    return PostgresCaller(
        "psycopg connection", connection, run, lambda: _psycopg_would_commit(connection)
    )


async def of_async_psycopg(connection: Any) -> PostgresCaller:
    """Use an async connection."""
    from psycopg import AsyncRawCursor
    from psycopg.rows import tuple_row

    async def run(statement: str, values: Sequence[Any]) -> Sequence[Row]:
        async with AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
            await cursor.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    return PostgresCaller(
        "psycopg async connection", connection, run, lambda: _psycopg_would_commit(connection)
    )


async def of_sqlite3(connection: Any) -> SqliteCaller:
    """Use a connection of the standard library."""

    def execute(statement: str, values: Any = ()) -> Any:
        cursor = connection.cursor()
        cursor.row_factory = None  # the caller's may make anything of a row
        return cursor.execute(statement, values)

    def is_joinable() -> bool:
        if connection.in_transaction:
            return True
        begins_itself = getattr(connection, "autocommit", -1)  # since Python 3.12
        if begins_itself == -1:  # as in 3.11: before the first statement that writes
            return connection.isolation_level is not None
        return begins_itself is False

    return SqliteCaller("sqlite3 connection", execute, is_joinable, has_other_library=True)


async def of_apsw(connection: Any) -> SqliteCaller:
    """Use a connection of apsw, which begins no transaction of itself."""

    def execute(statement: str, values: Any = ()) -> Any:
        cursor = connection.cursor()
        cursor.row_trace = None
        return cursor.execute(statement, values)

    return SqliteCaller("apsw connection", execute, lambda: bool(connection.in_transaction))


def _psycopg_would_commit(connection: Any) -> bool:
    from psycopg.pq import TransactionStatus

    # Without autocommit the driver begins one with the first statement.
    is_idle = connection.info.transaction_status == TransactionStatus.IDLE
    return not (connection.autocommit and is_idle)
