"""Which adapter a caller's connection needs: told by the names of its classes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from windlass.errors import CannotJoin
from windlass.stores import caller_drivers as drivers
from windlass.stores import caller_wrappers as wrappers
from windlass.stores.callers import Caller


@dataclass(frozen=True, slots=True)
class Driver:
    """A driver's connection.

    is_async: its statements are awaited, so that a blocking call cannot send one.
    make:     makes a caller of a connection.
    """

    is_async: bool
    make: Callable[[Any], Awaitable[Caller]]


@dataclass(frozen=True, slots=True)
class Wrapper:
    """Something around a connection, or around another wrapper.

    is_async: ``inside`` suspends.
    inside:   returns what it is around.
    """

    is_async: bool
    inside: Callable[[Any], Awaitable[object]]


Kind = Driver | Wrapper

# By the package and the name of a class, or of one that it inherits from: so nothing has to be
# imported which the caller has not got.
KINDS: dict[tuple[str, str], Kind] = {
    ("asyncpg", "Connection"): Driver(True, drivers.of_asyncpg),
    ("asyncpg", "PoolConnectionProxy"): Driver(True, drivers.of_asyncpg),
    ("psycopg", "Connection"): Driver(False, drivers.of_psycopg),
    ("psycopg", "Cursor"): Wrapper(False, wrappers.in_cursor),
    ("psycopg", "RawCursor"): Wrapper(False, wrappers.in_cursor),
    ("psycopg", "AsyncConnection"): Driver(True, drivers.of_async_psycopg),
    ("psycopg", "AsyncCursor"): Wrapper(True, wrappers.in_cursor),
    ("psycopg", "AsyncRawCursor"): Wrapper(True, wrappers.in_cursor),
    ("sqlite3", "Connection"): Driver(False, drivers.of_sqlite3),
    ("sqlite3", "Cursor"): Wrapper(False, wrappers.in_cursor),
    ("apsw", "Connection"): Driver(False, drivers.of_apsw),
    ("apsw", "Cursor"): Wrapper(False, wrappers.in_cursor),
    ("sqlalchemy", "Connection"): Wrapper(False, wrappers.in_connection),
    ("sqlalchemy", "Session"): Wrapper(False, wrappers.in_session),
    ("sqlalchemy", "scoped_session"): Wrapper(False, wrappers.in_session),
    ("sqlalchemy", "AsyncConnection"): Wrapper(True, wrappers.in_async_connection),
    ("sqlalchemy", "AsyncSession"): Wrapper(True, wrappers.in_async_session),
    ("sqlalchemy", "async_scoped_session"): Wrapper(True, wrappers.in_async_session),
    ("django", "ConnectionProxy"): Wrapper(False, wrappers.in_django_proxy),
    ("django", "BaseDatabaseWrapper"): Wrapper(False, wrappers.in_django),
}
KNOWN = "asyncpg, psycopg (3), sqlite3 or apsw, or SQLAlchemy or Django over one of them"


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
    kind = kind_of(connection)
    while isinstance(kind, Wrapper):
        connection = await kind.inside(connection)
        kind = kind_of(connection)
    caller = await kind.make(connection)
    if not caller.is_joinable():
        why = (
            "it commits each statement by itself, and no transaction is open on it; "
            "open one first, or use enqueue(...)"
        )
        raise CannotJoin(caller.name, why)
    return caller
