"""Connections to the server: a pool that survives its restarts, and its troubles in our words."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from windlass.errors import BadStoreUrl, SchemaMissing, StoreReadOnly, StoreUnavailable
from windlass.stores.postgres import migrations
from windlass.stores.postgres.sql import BEGIN

T = TypeVar("T")
Connection = Any  # asyncpg has no types

CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
IDLE_MAX_S = 300.0
CONFLICTS_MAX = 3
TRANSACTION = {"isolation": None, "readonly": False, "deferrable": False}  # the server's own

# The connection broke, or the server goes away or comes up: another try may help.
LOST = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.InternalClientError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
# Another transaction won; nothing was written.
CONFLICTS = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.ForeignKeyViolationError,  # a job was deleted while its progress was written
)
MISSING = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError)
FORBIDDEN = (asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)
WRONG_URL = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)


class Pool:
    """Up to ``size`` connections, each made when it is needed and used by one caller at a time.

    Every request of the store is safe to repeat (by id, fence, or a lease that ends), so one
    whose connection turns out to be dead is repeated once per connection that may be dead.
    """

    def __init__(self, url: str, size: int) -> None:
        self.url = masked(url)
        self._dsn = url
        self._size = size
        self._pool: Any = None
        self.is_pooled = False  # whether a transaction pooler stands between

    async def open(self) -> None:
        """Connect.  Raises: StoreUnavailable, BadStoreUrl."""
        if self._pool is None:
            self.is_pooled = await self._find_pooler()
            self._pool = await self._make_pool()

    async def close(self) -> None:
        """Let go of every connection.  Idempotent."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.terminate()

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do ``work`` with a connection.

        Raises: StoreUnavailable, SchemaMissing, StoreReadOnly, BadStoreUrl.
        """
        dead = conflicts = 0
        while True:
            try:
                return await self._run_once(work)
            except CONFLICTS as error:
                conflicts += 1
                if conflicts > CONFLICTS_MAX:
                    raise StoreUnavailable(self.url, str(error)) from error
            except _DeadConnection as error:
                dead += 1
                if dead > self._size:
                    raise self.told(error.cause) from error.cause
            except (asyncpg.PostgresError, *LOST) as error:
                raise self.told(error) from error

    async def connect(self, **options: Any) -> Connection:
        """Make a connection outside of the pool."""
        return await asyncpg.connect(
            self._dsn, timeout=CONNECT_TIMEOUT_S, command_timeout=COMMAND_TIMEOUT_S, **options
        )

    def told(self, error: BaseException) -> BaseException:
        """Say what a driver's error means for the operator; the error itself if it is a defect."""
        match error:
            case TimeoutError():
                return StoreUnavailable(self.url, "no answer in time")
            case _ if isinstance(error, MISSING):
                return SchemaMissing(self.url, 0, migrations.NEWEST)
            case _ if isinstance(error, FORBIDDEN):
                return StoreReadOnly(self.url, str(error))
            case _ if isinstance(error, WRONG_URL):
                return BadStoreUrl(self.url, str(error))
            case _ if isinstance(error, LOST):
                return StoreUnavailable(self.url, str(error) or type(error).__name__)
        return error

    async def _run_once(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        pool = self._pool
        assert pool is not None, "open() comes first"
        connection = await pool.acquire(timeout=COMMAND_TIMEOUT_S)
        is_sound = False
        try:
            result = await work(connection)
            is_sound = True
        except LOST as error:
            if isinstance(error, TimeoutError):
                raise
            raise _DeadConnection(error) from error
        except asyncpg.PostgresError:
            is_sound = not connection.is_in_transaction() or await _rolled_back(connection)
            raise
        finally:
            if not is_sound:  # cancelled, broken or silent: nobody knows what it will say next
                with suppress(asyncpg.InterfaceError):  # it is let go of already
                    connection.terminate()
            await pool.release(connection)
        return result

    def _make_pool(self) -> Any:
        return asyncpg.create_pool(
            self._dsn,
            min_size=0,
            max_size=self._size,
            max_inactive_connection_lifetime=IDLE_MAX_S,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            reset=_keep_as_it_is,
            connection_class=_PooledConnection,
            **({"statement_cache_size": 0} if self.is_pooled else {}),
        )

    async def _find_pooler(self) -> bool:
        """Tell whether the process that answers is another than the one that greeted us."""
        try:
            connection = await self.connect(statement_cache_size=0)
            try:
                answer = await connection.execute("SELECT 1")
                assert answer
                return await _greeter_is_not_server(connection)
            finally:
                await connection.close(timeout=CONNECT_TIMEOUT_S)
        except (asyncpg.PostgresError, *LOST, ValueError) as error:
            if isinstance(error, ValueError):
                raise BadStoreUrl(self.url, str(error)) from error
            raise self.told(error) from error


class _PooledConnection(asyncpg.Connection):  # type: ignore[misc]
    """A connection whose transactions hold nobody up: not the caller, and no other process."""

    __slots__ = ()

    def transaction(self, **options: Any) -> "_Transaction":
        return _Transaction(self, **{**TRANSACTION, **options})

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        begins = query == "BEGIN;"  # as the driver's transactions say it
        return await super().execute(BEGIN if begins else query, *args, **options)


class _Transaction(asyncpg.transaction.Transaction):  # type: ignore[misc]
    """A transaction that is rolled back by hanging up, where nobody waits for an answer.

    The driver's own would send ROLLBACK to a server that may not answer, and hold whoever was
    cancelled, or has run out of time, for as long as a command may take.
    """

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, asyncio.CancelledError | TimeoutError):
            self._connection.terminate()
            return
        await super().__aexit__(kind, error, trace)


class _DeadConnection(Exception):
    """The connection was lost, maybe long ago: a fresh one may do."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(cause)
        self.cause = cause


async def _greeter_is_not_server(connection: Connection) -> bool:
    async with connection.transaction():
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    return bool(pid != connection.get_server_pid())


async def _keep_as_it_is(_connection: Connection) -> None:
    """Nothing of a session is ever changed beyond its transaction, so nothing is reset."""


async def _rolled_back(connection: Connection) -> bool:
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, *LOST):
        return False
    return True


def masked(url: str) -> str:
    """Return the URL without its password, for messages."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{where}"))


async def sleep_before_reconnect(tries: int) -> None:
    """Wait longer with each try, up to a second."""
    await asyncio.sleep(min(0.05 * 2**tries, 1.0))
