"""The settler: writes outcomes in groups, one statement for all that ended meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from windlass.core.capture import error_info
from windlass.core.lifecycle import encode_error
from windlass.engine.watchdog import Pulse
from windlass.errors import StaleError, UnavailableError
from windlass.model.jobs import JobId, Reason, State
from windlass.model.outcomes import Transition
from windlass.ports import Store

log = logging.getLogger("windlass.worker")

SETTLE_BATCH_MAX = 1_000
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.05, 1.0


class Settler:
    """Holds ended attempts until the store has them.  An outage only makes it wait.

    Nothing is dropped here: whether a late outcome still counts is decided by its fence.
    first:   awaited before each group is gathered, for what must be written before it.
    settled: told which outcomes are off our hands, and of each whether it was accepted.
    """

    def __init__(
        self,
        store: Store,
        *,
        first: Callable[[], Awaitable[None]],
        settled: Callable[[list[Transition], list[bool]], None],
        pulse: Pulse,
    ) -> None:
        self._store = store
        self._first = first
        self._pulse = pulse
        self._settled = settled
        self._pending: list[Transition] = []
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def __len__(self) -> int:
        return len(self._pending)

    @property
    def fences(self) -> set[tuple[JobId, int]]:
        """The attempts, as job and fence, whose outcomes are not written yet."""
        return {(transition.job_id, transition.fence) for transition in self._pending}

    def add(self, transition: Transition) -> None:
        """Take over an outcome, to be written with the next group."""
        self._pending.append(transition)
        self._wake.set()
        self._drained.clear()

    async def drained(self) -> None:
        """Return when everything added so far has been written."""
        await self._drained.wait()

    async def run(self) -> None:
        """Write groups for ever."""
        while True:
            self._pulse.rest()
            await self._wake.wait()
            self._pulse.beat()
            await self._make_ready()
            batch = self._pending[:SETTLE_BATCH_MAX]
            await self._write(batch)
            del self._pending[: len(batch)]
            if not self._pending:
                self._wake.clear()
                self._drained.set()

    async def _make_ready(self) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                return await self._first()
            except UnavailableError as error:
                log.warning("outcomes wait: %s", error)
                self._pulse.beat(backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_LAST_S)

    async def _write(self, batch: list[Transition]) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                self._report(batch, await self._store.settle(batch))
                return
            except UnavailableError as error:
                log.warning("outcomes wait: %s", error)
                self._pulse.beat(backoff_s)  # an outage is no lack of progress of ours
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, BACKOFF_LAST_S)
            except Exception as error:  # one bad outcome must not hold up its neighbours
                await self._write_apart(batch, error)
                return

    async def _write_apart(self, batch: list[Transition], error: Exception) -> None:
        if len(batch) > 1:
            for transition in batch:
                await self._write([transition])
            return
        [transition] = batch
        log.error("job %s: its outcome cannot be stored", transition.job_id, exc_info=error)
        if transition.result is None and transition.error_type == _UNSTORABLE:
            self._settled([transition], [False])
            return  # even the bare failure is refused: its lease will end, and count a loss
        await self._write([_unstorable(transition, error)])

    def _report(self, batch: list[Transition], applied: list[bool]) -> None:
        for transition, was_applied in zip(batch, applied, strict=True):
            if not was_applied:
                log.warning("%s", StaleError(transition.job_id, transition.fence))
        self._settled(batch, applied)


_UNSTORABLE = "windlass.errors.NotEncodable"


def _unstorable(transition: Transition, error: Exception) -> Transition:
    return msgspec.structs.replace(
        transition,
        after=State.FAILED,
        reason=Reason.ERROR,
        result=None,
        result_ttl_s=None,
        error=encode_error(error_info(error)),
        error_type=_UNSTORABLE,
        failures=transition.failures + 1,
    )
