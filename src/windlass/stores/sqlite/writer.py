"""The one writer of a store: waits for the file's lock, and groups what came meanwhile.

Statements run where the caller is, in microseconds each; only the commit, which waits for
the disk, runs on a thread of its own.  So the event loop never waits for a disk or a lock,
and no transaction is ever open while user code runs.
"""

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import apsw

from windlass.errors import StoreUnavailable
from windlass.stores.sqlite.connection import known_trouble, rolled_back_on_error
from windlass.stores.sqlite.holder import holder_of

log = logging.getLogger("windlass.sqlite")
T = TypeVar("T")

LOCK_WAIT_S = 30.0
LOCK_WARNING_S = 2.0  # a transaction takes milliseconds: who holds the lock for long hangs
RETRY_LEAST_S, RETRY_MOST_S = 0.000_2, 0.003
GROUP_MAX = 256


class Transaction:
    """What an operation is given: the connection inside a transaction, its instant, its rings.

    now: microseconds since 1970, the same for the whole group.
    """

    __slots__ = ("changes", "execute", "executemany", "now", "topics")

    def __init__(self, connection: apsw.Connection, now: int) -> None:
        self.execute: Callable[..., Any] = connection.execute
        self.executemany: Callable[..., Any] = connection.executemany
        self.changes: Callable[[], int] = connection.changes
        self.now = now
        self.topics: set[str] = set()


Operation = Callable[[Transaction], T]
_Pending = tuple[Operation[Any], "asyncio.Future[Any]"]


class Writer:
    """Runs operations, each whole or not at all, in transactions that it shares among them.

    announce: told the topics of each transaction, after its commit.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        url: str,
        *,
        now: Callable[[], int],
        announce: Callable[[set[str]], None],
        commit_waits: bool,
    ) -> None:
        connection.set_busy_timeout(0)  # waiting is done here, where it blocks nobody
        self._connection = connection
        self._url = url
        self._now = now
        self._announce = announce
        self._commit_waits = commit_waits
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._is_pumping = False
        self._waiting_since: float | None = None
        self._has_warned = False
        self._committer: ThreadPoolExecutor | None = None
        self._quiet: asyncio.Future[None] | None = None

    # -- without an event loop -----------------------------------------------

    def run(self, operation: Operation[T]) -> T:
        """Run one operation here and now; sleeps while another process writes."""
        try:
            with self._lock:
                if not self._try_to_begin():
                    self._sleep_until_begun()
                try:
                    transaction = Transaction(self._connection, self._now())
                    result = operation(transaction)
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
        except apsw.Error as error:
            raise self._told(error) from error
        self._announce(transaction.topics)
        return result

    def _sleep_until_begun(self) -> None:
        give_up_at = time.monotonic() + LOCK_WAIT_S
        while not self._try_to_begin():
            if time.monotonic() > give_up_at:
                raise self._locked_out()
            time.sleep(random.uniform(RETRY_LEAST_S, RETRY_MOST_S))

    # -- within an event loop ------------------------------------------------

    def submit(self, operation: Operation[T]) -> "asyncio.Future[T]":
        """Run one operation with the next group; the future ends once it is durable."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._pending.append((operation, future))
        if not self._is_pumping:
            self._is_pumping = True
            loop.call_soon(self._pump, loop)
        return future

    async def close(self) -> None:
        """Let what has begun end, then let go of the thread and the connection."""
        if self._is_pumping:
            self._quiet = asyncio.get_running_loop().create_future()
            await self._quiet
        if self._committer is not None:
            self._committer.shutdown(wait=False)
        self._connection.close()

    def _pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, run a group, and have it committed."""
        if not self._pending:
            self._rest()
            return
        try:
            began = self._lock.acquire(blocking=False) and self._begin_or_release()
        except apsw.Error as error:
            self._refuse(known_trouble(error, self._url) or error)
            return
        if not began:
            self._wait_for_turn(loop)
            return
        self._waiting_since = None
        transaction = Transaction(self._connection, self._now())
        group = [self._pending.popleft() for _ in range(min(len(self._pending), GROUP_MAX))]
        done = self._run_group(transaction, group)
        if not self._commit_waits:
            commit: Future[None] = Future()
            _fulfil(commit, self._commit)
            self._committed(loop, commit, transaction, done)
            return
        if self._committer is None:
            self._committer = ThreadPoolExecutor(1, thread_name_prefix="windlass-commit")
        commit = self._committer.submit(self._commit)
        commit.add_done_callback(
            lambda commit: _call_on(loop, self._committed, loop, commit, transaction, done)
        )

    def _run_group(
        self, transaction: Transaction, group: list[_Pending]
    ) -> list[tuple["asyncio.Future[Any]", Any]]:
        done = []
        for operation, future in group:
            if future.cancelled():
                continue
            try:
                done.append((future, self._run_apart(transaction, operation, len(group) > 1)))
            except BaseException as error:
                future.set_exception(self._told(error))
        return done

    def _run_apart(self, transaction: Transaction, operation: Operation[T], shared: bool) -> T:
        """Run one operation so that its failure leaves nothing of it, and harms no other."""
        transaction.execute("SAVEPOINT one")
        try:
            result = operation(transaction)
        except BaseException:
            if self._connection.in_transaction:
                transaction.execute("ROLLBACK TO one")
            raise
        finally:
            if self._connection.in_transaction:
                transaction.execute("RELEASE one")
        return result

    def _commit(self) -> None:
        with rolled_back_on_error(self._connection):
            if self._connection.in_transaction:  # an error of the disk may have ended it
                self._connection.execute("COMMIT")
            else:
                raise apsw.IOError("the transaction was rolled back")

    def _committed(
        self,
        loop: asyncio.AbstractEventLoop,
        commit: "Future[None]",
        transaction: Transaction,
        done: list[tuple["asyncio.Future[Any]", Any]],
    ) -> None:
        self._lock.release()
        error = commit.exception()
        if error is None:
            self._announce(transaction.topics)
        for future, result in done:
            if future.done():  # whoever asked has gone away
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(self._told(error))
        if self._pending:
            loop.call_soon(self._pump, loop)
        else:
            self._rest()

    def _rest(self) -> None:
        self._is_pumping = False
        if self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def _wait_for_turn(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting_since is None:
            self._waiting_since, self._has_warned = loop.time(), False
        waited_s = loop.time() - self._waiting_since
        if waited_s > LOCK_WAIT_S:
            self._refuse(self._locked_out())
            return
        if waited_s > LOCK_WARNING_S and not self._has_warned:
            self._has_warned = True
            log.warning("%s: %s", self._url, self._say_who(waited_s))
        loop.call_later(random.uniform(RETRY_LEAST_S, RETRY_MOST_S), self._pump, loop)

    def _refuse(self, error: BaseException) -> None:
        self._waiting_since = None
        while self._pending:
            _, future = self._pending.popleft()
            if not future.done():
                future.set_exception(error)
        self._rest()

    # -- the lock of the file ------------------------------------------------

    def _begin_or_release(self) -> bool:
        began = False
        try:
            began = self._try_to_begin()
        finally:
            if not began:
                self._lock.release()
        return began

    def _try_to_begin(self) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except (apsw.BusyError, apsw.LockedError):
            return False
        return True

    def _locked_out(self) -> StoreUnavailable:
        return StoreUnavailable(self._url, self._say_who(LOCK_WAIT_S))

    def _say_who(self, waited_s: float) -> str:
        holder = holder_of(self._connection.filename)
        held_by = "" if holder is None else f": {holder} holds it, and all others wait"
        return f"its lock was not free for {waited_s:.2g} s{held_by}"

    def _told(self, error: BaseException) -> BaseException:
        known = known_trouble(error, self._url) if isinstance(error, apsw.Error) else None
        if known is not None:
            known.__cause__ = error
        return known or error


def loop_is_running() -> bool:
    """Tell whether the calling thread is inside a running event loop."""
    return asyncio._get_running_loop() is not None


def _fulfil(future: "Future[None]", work: Callable[[], None]) -> None:
    try:
        work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(None)


def _call_on(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *arguments: Any
) -> None:
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:  # the loop is closed: nobody waits, and the commit has been made
        return
