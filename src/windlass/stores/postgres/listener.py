"""Wake-ups by LISTEN, on a connection of its own, which also holds the advisory lock.

Both are hints.  Without that connection (an outage, a transaction pooler) everybody polls,
and a killed worker is noticed when its lease ends.
"""

import asyncio
import logging
import zlib
from collections.abc import Collection

import asyncpg

from windlass.model.jobs import WorkerId
from windlass.stores.bell import EventBell
from windlass.stores.postgres import sql
from windlass.stores.postgres.connection import LOST, Connection, Pool, sleep_before_reconnect

log = logging.getLogger("windlass.postgres")


class Listener:
    """Keeps one connection listening as long as the store is open and somebody listens."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._bells: set[EventBell] = set()
        self._locks: set[int] = set()  # wanted, of the workers in this process
        self._connection: Connection | None = None  # set while it listens and holds the locks
        self._task: asyncio.Task[None] | None = None

    def listen(self, topics: Collection[str]) -> EventBell:
        """Subscribe to topics; within a running event loop."""
        bell = EventBell(topics, self.drop)
        self._bells.add(bell)
        if self._task is None and not self._pool.is_pooled:
            self._task = asyncio.create_task(self._keep(), name="windlass-listener")
        return bell

    def drop(self, bell: EventBell) -> None:
        """Forget a bell."""
        self._bells.discard(bell)

    def ring(self, topic: str) -> None:
        """Ring the bells of a topic in this process alone."""
        for bell in self._bells:
            if topic in bell.topics:
                bell.ring()

    async def close(self) -> None:
        """Stop, and let go of the connection.  Idempotent."""
        self._bells.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def hold_lock(self, worker: WorkerId) -> int | None:
        """Hold the lock that says this worker's process lives; None where it cannot be held."""
        key = lock_key(worker)
        connection = self._connection
        if connection is None:
            self._locks = {key}  # taken with the next connection
            return None
        if key not in self._locks:
            try:
                await connection.fetchval(sql.TAKE_LOCK, key)
            except (asyncpg.PostgresError, *LOST):
                return None
            self._locks.add(key)
        return key

    async def drop_lock(self, worker: WorkerId) -> None:
        """Let go of a worker's lock."""
        key = lock_key(worker)
        if key in self._locks and self._connection is not None:
            try:
                await self._connection.fetchval(sql.DROP_LOCK, key)
            except (asyncpg.PostgresError, *LOST):
                return
        self._locks.discard(key)

    async def _keep(self) -> None:
        tries = 0
        while True:
            try:
                connection = await self._pool.connect()
            except (asyncpg.PostgresError, *LOST) as error:
                log.debug("no wake-ups for now: %s", error)
                await sleep_before_reconnect(tries)
                tries += 1
                continue
            try:
                tries = 0 if await self._serve(connection) else tries + 1
            except (asyncpg.PostgresError, *LOST) as error:
                log.debug("no wake-ups for now: %s", error)
                tries += 1
            finally:
                self._connection = None
                connection.terminate()
            await sleep_before_reconnect(tries)

    async def _serve(self, connection: Connection) -> bool:
        """Listen until the connection ends."""
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        await connection.add_listener(sql.CHANNEL, self._heard)
        for key in self._locks:
            await connection.fetchval(sql.TAKE_LOCK, key)
        self._connection = connection
        for bell in self._bells:  # something may have rung while nobody heard it
            bell.ring()
        await ended.wait()
        return True

    def _heard(self, _connection: Connection, _pid: int, _channel: str, topic: str) -> None:
        self.ring(topic)


def lock_key(worker: WorkerId) -> int:
    """Return the number of a worker's lock: positive, 31 bits."""
    return zlib.crc32(worker.encode()) & 0x7FFF_FFFF
