"""The lease keeper: renews the worker's one lease, and knows when it can no longer trust it."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from windlass.engine.watchdog import Watchdog
from windlass.errors import UnavailableError
from windlass.model.jobs import JobId
from windlass.model.topics import worker_topic
from windlass.model.workers import Lease, WorkerInfo
from windlass.ports import Bell, Store

log = logging.getLogger("windlass.worker")

MARGIN = 0.1  # the share of a lease at its end that is never trusted
RETRY_S = 0.2


class LeaseKeeper:
    """Holds a lease as long as it can; when it is lost, begins again under a new identity.

    The lease is trusted from the instant the request was sent, on the monotonic clock,
    and not for its last tenth: so the worker stops before the store gives its jobs away.
    """

    def __init__(
        self,
        store: Store,
        new_info: Callable[[], WorkerInfo],
        *,
        lease_s: float,
        renew_s: float,
        on_cancel: Callable[[Sequence[JobId]], None],
        on_lost: Callable[[], None],
        on_drain: Callable[[], None],
        watchdog: Watchdog,
    ) -> None:
        self._store = store
        self._new_info = new_info
        self._lease_s = lease_s
        self._renew_s = renew_s
        self._on_cancel = on_cancel
        self._on_lost = on_lost
        self._on_drain = on_drain
        self._watchdog = watchdog
        self._pulse = watchdog.pulse("lease")
        self._held = asyncio.Event()
        self.info = new_info()
        self._trusted_until = 0.0
        self._refused = False

    @property
    def held(self) -> bool:
        """Whether the lease is trusted at this moment."""
        return self._held.is_set() and asyncio.get_running_loop().time() < self._trusted_until

    async def wait_held(self) -> None:
        """Return once a lease is held."""
        await self._held.wait()

    async def run(self) -> None:
        """Acquire and hold leases for ever."""
        while True:
            bell = self._store.listen([worker_topic(self.info.id)])
            try:
                if await self._renew(self._lease_s):
                    self._held.set()
                    await self._hold(bell)
                    self._watchdog.lease_lost()
                    log.warning("worker %s lost its lease; its attempts stop", self.info.id)
                    self._on_lost()
                else:
                    await asyncio.sleep(RETRY_S)  # an outage: nothing is held, nothing is lost
            finally:
                bell.close()
                self._held.clear()
            self.info = self._new_info()

    async def _hold(self, bell: Bell) -> None:
        loop = asyncio.get_running_loop()
        pause_s = self._renew_s
        while True:
            left_s = self._trusted_until - loop.time()
            if left_s <= 0:
                return
            await bell.wait(min(pause_s, left_s))
            left_s = self._trusted_until - loop.time()
            renewed = left_s > 0 and await self._renew(left_s)
            if self._refused:
                return
            pause_s = self._renew_s if renewed else RETRY_S

    async def _renew(self, patience_s: float) -> bool:
        sent_at = asyncio.get_running_loop().time()
        self._pulse.beat(patience_s + self._renew_s)
        self._refused = False
        try:
            async with asyncio.timeout(patience_s):
                lease: Lease = await self._store.renew(self.info, self._lease_s)
        except (UnavailableError, TimeoutError) as error:
            log.warning("worker %s cannot renew its lease: %s", self.info.id, error)
            self._watchdog.lease_in_doubt()
            return False
        if not lease.held:
            self._refused = True
            return False
        self._trusted_until = sent_at + self._lease_s * (1 - MARGIN)
        self._watchdog.lease_held(self._trusted_until - asyncio.get_running_loop().time())
        if lease.cancels:
            self._on_cancel(lease.cancels)
        if lease.drains:
            self._on_drain()
        return True
