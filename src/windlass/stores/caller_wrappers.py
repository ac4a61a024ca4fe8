"""What stands around a driver's connection: cursors, and what SQLAlchemy and Django make of one.

Each function returns what is inside, once a transaction has begun in the outer one's own books: of
one that it knows nothing of, a commit would do nothing.
"""

from typing import Any

BEGIN = "SELECT 1"  # SQLAlchemy begins with the first statement


async def in_cursor(cursor: Any) -> object:
    """Return the connection of a cursor."""
    return cursor.connection


async def in_session(session: Any) -> object:
    """Return the connection of an ORM session, which is in its transaction from then on."""
    return session.connection()


async def in_async_session(session: Any) -> object:
    """Return the connection of an async ORM session."""
    return await session.connection()


async def in_connection(connection: Any) -> object:
    """Return the driver's connection."""
    if not connection.in_transaction():
        connection.exec_driver_sql(BEGIN)
    return connection.connection.driver_connection


async def in_async_connection(connection: Any) -> object:
    """Return the driver's connection."""
    # Over asyncpg even a transaction that has begun begins with its first statement.
    await connection.exec_driver_sql(BEGIN)
    return (await connection.get_raw_connection()).driver_connection


async def in_django_proxy(proxy: Any) -> object:
    """Return what ``django.db.connection`` stands for in this thread."""
    from django.db import connections

    return connections[proxy.alias]


async def in_django(wrapper: Any) -> object:
    """Return the driver's connection of one of Django's, which is made if need be.

    Raises: what Django raises for a statement in another thread, in an event loop, or in a block
            that is to be rolled back.
    """
    wrapper.ensure_connection()
    wrapper.validate_thread_sharing()
    wrapper.validate_no_broken_transaction()
    return wrapper.connection
