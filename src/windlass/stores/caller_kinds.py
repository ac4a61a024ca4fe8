"""Which adapter a caller's connection needs: told by the names of its classes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from windlass.errors import CannotJoin
from windlass.stores import caller_drivers as drivers
from windlass.stores.callers import Caller


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of connection.

    is_async: its statements are awaited, so that a blocking call cannot send one.
    make:     makes a caller of a connection; it suspends only if ``is_async``.
    """

    is_async: bool
    make: Callable[[Any], Awaitable[Caller]]


def _of_cursor(make: Callable[[Any], Awaitable[Caller]]) -> Callable[[Any], Awaitable[Caller]]:
    return lambda cursor: make(cursor.connection)


# By the package and the name of a class, or of one that it inherits from: so nothing has to be
# imported which the caller has not got.
KINDS = {
    ("asyncpg", "Connection"): Kind(True, drivers.of_asyncpg),
    ("asyncpg", "PoolConnectionProxy"): Kind(True, drivers.of_asyncpg),
    ("psycopg", "Connection"): Kind(False, drivers.of_psycopg),
    ("psycopg", "Cursor"): Kind(False, _of_cursor(drivers.of_psycopg)),
    ("psycopg", "RawCursor"): Kind(False, _of_cursor(drivers.of_psycopg)),
    ("psycopg", "AsyncConnection"): Kind(True, drivers.of_async_psycopg),
    ("psycopg", "AsyncCursor"): Kind(True, _of_cursor(drivers.of_async_psycopg)),
    ("psycopg", "AsyncRawCursor"): Kind(True, _of_cursor(drivers.of_async_psycopg)),
    ("sqlite3", "Connection"): Kind(False, drivers.of_sqlite3),
    ("sqlite3", "Cursor"): Kind(False, _of_cursor(drivers.of_sqlite3)),
    ("apsw", "Connection"): Kind(False, drivers.of_apsw),
    ("apsw", "Cursor"): Kind(False, _of_cursor(drivers.of_apsw)),
}
KNOWN = "asyncpg, psycopg (3), sqlite3 or apsw"


def kind_of(connection: object) -> Kind:
    """Return which kind of connection this is.  Raises: CannotJoin, for none that is known."""
    for each in type(connection).__mro__:
        kind = KINDS.get((each.__module__.partition(".")[0], each.__name__))
        if kind is not None:
            return kind
    name = f"{type(connection).__module__}.{type(connection).__qualname__}"
    raise CannotJoin(name, f"it is no connection that is known; pass one of {KNOWN}")


async def caller_of(connection: object) -> Caller:
    """Return what a store needs of a connection.  Raises: CannotJoin."""
    caller = await kind_of(connection).make(connection)
    if not caller.is_joinable():
        why = (
            "it commits each statement by itself, and no transaction is open on it; "
            "open one first, or use enqueue(...)"
        )
        raise CannotJoin(caller.name, why)
    return caller
