"""The thread that moves messages: reserve, store as jobs, ack; what cannot be is put back."""

import asyncio
import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from windlass.contrib.celery.brokers import Delivery, Open, Source
from windlass.contrib.celery.intake import Intake, Plan, store
from windlass.contrib.celery.messages import Unfit, read_call
from windlass.contrib.celery.report import Ledger, Left
from windlass.core.capture import type_name
from windlass.errors import BrokerUnavailable, StoreUnavailable, UnavailableError

log = logging.getLogger("windlass.celery.drain")

BATCH = 500
STORE_S = 20.0  # for a batch to become durable; after that it is put back
KEEP_S = 15.0  # between two renewals of what is reserved
IDLE_S = 0.25  # between two looks at queues that are empty
AGAIN_MIN_S, AGAIN_MAX_S = 1.0, 60.0  # between two looks while messages are left
AWAY_MIN_S, AWAY_MAX_S = 0.5, 30.0  # between two tries while the broker, or the store, is away
RETURNS_MAX = 10  # a quorum queue drops what is put back too often; by default the 20th time
BEAT_S = 1.0
END_S = 30.0


@dataclass(slots=True)
class Look:
    """One walk through the queues, until nothing waits there.

    reserved: what is neither acked nor put back, in its order.
    """

    taken: int = 0
    left: list[Left] = field(default_factory=list)
    reserved: dict[int, Delivery] = field(default_factory=dict)
    kept_at: float = field(default_factory=time.monotonic)


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that are on their way into the store.   limitless: as the ledger counts them."""

    deliveries: list[Delivery]
    limitless: list[str | None]
    stored: "Future[list[str | None]]"


class Pump(threading.Thread):
    """Drains queues of one broker into an app, until it is told to stop.

    loop:  where the app's session is; it must run for as long as this does.
    once:  it ends by itself after a look that took nothing, and at the first outage.
    ended: done when it has ended.
    """

    def __init__(
        self,
        broker: str,
        queues: Sequence[str],
        open_source: Open,
        intake: Intake,
        ledger: Ledger,
        accept: frozenset[str],
        *,
        once: bool = False,
    ) -> None:
        super().__init__(name="windlass-celery-drain", daemon=True)
        self._broker, self._queues, self._open = broker, tuple(queues), open_source
        self._intake, self._ledger, self._accept, self._once = intake, ledger, accept, once
        self._stopping = threading.Event()
        self._away_since: float | None = None
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    async def stop(self) -> None:
        """Put back what is reserved, and end."""
        self._stopping.set()
        await asyncio.wait([self.ended], timeout=END_S)
        if not self.ended.done():
            log.error("%s does not answer: what was reserved there comes back later", self._broker)
        elif (error := self.ended.exception()) is not None and not self._once:
            log.error("the drain of %s has ended", self._broker, exc_info=error)

    def run(self) -> None:
        """Drain; the body of the thread."""
        try:
            self._drain()
        except BaseException as error:
            self._loop.call_soon_threadsafe(self.ended.set_exception, error)
        else:
            self._loop.call_soon_threadsafe(self.ended.set_result, None)

    # -- connecting ----------------------------------------------------------

    def _drain(self) -> None:
        wait_s = AWAY_MIN_S
        while not self._stopping.is_set() and self._queues:
            try:
                with self._open(self._queues) as source:
                    self._is_back()
                    wait_s = AWAY_MIN_S
                    if self._drain_from(source):
                        return
            except UnavailableError:
                raise
            except Exception as error:  # whatever kombu and the drivers behind it raise
                if self._once:
                    raise BrokerUnavailable(self._broker, str(error)) from error
                self._is_away(error)
                self._stopping.wait(wait_s)
                wait_s = min(2 * wait_s, AWAY_MAX_S)

    def _is_away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("%s is away: %s; the drain tries again", self._broker, error)
        log.debug("%s is away", self._broker, exc_info=error)

    def _is_back(self) -> None:
        if self._away_since is not None:
            log.info("%s is back after %.1f s", self._broker, time.monotonic() - self._away_since)
            self._away_since = None

    # -- looking -------------------------------------------------------------

    def _drain_from(self, source: Source) -> bool:
        """Look again and again.   Returns: False, if other queues are to be opened."""
        again_s = AGAIN_MIN_S
        while not self._stopping.is_set():
            try:
                look = self._look(source)
            except UnavailableError as error:
                if self._once:
                    raise
                log.warning("the drain takes nothing: %s", error)
                self._rest(source, again_s)
                again_s = min(2 * again_s, AGAIN_MAX_S)
                continue
            if not self._stopping.is_set():  # else it did not see everything
                self._ledger.left = look.left
                self._ledger.reserved = source.reserved_by_others()
            if self._once:
                if not look.taken:
                    return True
            elif not look.left:
                again_s = AGAIN_MIN_S
                self._rest(source, IDLE_S)
            elif self._spares(look):
                return False
            else:
                self._rest(source, again_s)
                again_s = min(2 * again_s, AGAIN_MAX_S)
        return True

    def _rest(self, source: Source, rest_s: float) -> None:
        end = time.monotonic() + rest_s
        while not self._stopping.is_set() and (left_s := end - time.monotonic()) > 0:
            self._stopping.wait(min(left_s, BEAT_S))
            source.beat()

    def _spares(self, look: Look) -> bool:
        """Leave queues alone which would drop what is put back once more."""
        spared = {each.queue for each in look.reserved.values() if each.returns >= RETURNS_MAX}
        for queue in spared:
            log.error(
                "the queue %r is left alone: a message there was put back %d times, and the "
                "delivery limit of the queue may drop it; have a Celery worker take what is left, "
                "then start the drain anew",
                queue,
                RETURNS_MAX,
            )
        self._queues = tuple(queue for queue in self._queues if queue not in spared)
        return bool(spared)

    def _look(self, source: Source) -> Look:
        """Take what waits, until nothing does, and put back what cannot be taken.

        Raises: UnavailableError, if the store is away; then all that is reserved is put back.
        """
        look, storing = Look(), None
        try:
            while True:
                deliveries = [] if self._stopping.is_set() else source.reserve(BATCH)
                look.reserved |= {id(each): each for each in deliveries}
                batch = self._begin(deliveries, look)  # while the one before is being stored
                if storing is not None:
                    self._finish(source, storing, look)
                storing = batch
                if not deliveries:
                    break
                if time.monotonic() - look.kept_at > KEEP_S:
                    source.keep(list(look.reserved.values()))
                    look.kept_at = time.monotonic()
        finally:
            source.put_back(list(look.reserved.values()))
        if look.taken:
            log.info("%d messages from %s became jobs", look.taken, self._broker)
        return look

    def _begin(self, deliveries: list[Delivery], look: Look) -> Batch | None:
        fit: list[Delivery] = []
        plans: list[Plan] = []
        limitless: list[str | None] = []
        for delivery in deliveries:
            try:
                call = read_call(delivery.headers, delivery.body(self._accept))
                plan = self._intake.planned(call, delivery)
            except Exception as error:  # of any message, and of any task's own types
                reason = (
                    str(error) if isinstance(error, Unfit) else f"{type_name(type(error))}: {error}"
                )
                look.left.append(self._ledger.leave(delivery, reason))
            else:
                fit.append(delivery)
                plans.append(plan)
                limitless.append(call.task if plan.loses_time_limit else None)
        if not fit:
            return None
        stored = asyncio.run_coroutine_threadsafe(store(self._intake.app, plans), self._loop)
        return Batch(fit, limitless, stored)

    def _finish(self, source: Source, batch: Batch, look: Look) -> None:
        try:
            reasons = batch.stored.result(STORE_S)
        except TimeoutError:
            batch.stored.cancel()
            raise StoreUnavailable("of the app", f"a batch took over {STORE_S:g} s") from None
        acked: list[Delivery] = []
        limitless: Counter[str] = Counter()
        for delivery, task, reason in zip(batch.deliveries, batch.limitless, reasons, strict=True):
            if reason is not None:
                look.left.append(self._ledger.leave(delivery, reason))
                continue
            acked.append(delivery)
            if task is not None:
                limitless[task] += 1
        source.ack(acked)
        for delivery in acked:
            del look.reserved[id(delivery)]
        look.taken += len(acked)
        self._ledger.take(limitless, len(acked))
