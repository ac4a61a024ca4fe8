"""The progress writer: what a worker's attempts say of how far they are, in few writes."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from windlass.core.context import Context
from windlass.engine.watchdog import Pulse
from windlass.errors import UnavailableError
from windlass.model.progress import REPORT_BATCH_MAX, ProgressReport
from windlass.ports import Store

log = logging.getLogger("windlass.worker")

Written = Callable[[Context, ProgressReport], None]


class ProgressWriter:
    """Writes the newest of all attempts together, at most once per interval.

    Besides, it writes what an attempt said last before that attempt's outcome is written:
    afterwards the store would refuse it.
    written: told what the store has accepted, if anybody wants to know.
    """

    def __init__(
        self, store: Store, *, interval_s: float, written: Written | None, pulse: Pulse
    ) -> None:
        self._store = store
        self._interval_s = interval_s
        self._written = written
        self._pulse = pulse
        self._news: deque[Context] = deque()  # filled by any thread
        self._unwritten: dict[Context, None] = {}
        self._wake_is_due = False
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing = asyncio.Lock()  # an older value must never come after a newer one
        self._has_ended = False

    def note(self, context: Context) -> None:
        """Take up that an attempt said something new.  From any thread."""
        # Append, then look; _gather resets, then pops: so nothing is left lying.
        self._news.append(context)
        if self._wake_is_due or self._loop is None:
            return
        self._wake_is_due = True
        try:
            self._loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:  # the loop is closed: a thread was left behind, nobody listens
            return

    def end(self, context: Context) -> None:
        """Take up that an attempt has ended: see ``write_last``."""
        if context.has_news or context in self._unwritten or self._writing.locked():
            self._has_ended = True

    async def run(self) -> None:
        """Write for ever.  Raises: StoreUnavailable; nothing is lost, call it again."""
        self._loop = asyncio.get_running_loop()
        if self._news or self._unwritten:
            self._wake.set()
        while True:
            self._pulse.rest()
            await self._wake.wait()
            self._wake.clear()
            self._pulse.beat()
            await self._write()
            self._pulse.beat(self._interval_s)
            await asyncio.sleep(self._interval_s)

    async def write_last(self) -> None:
        """Return once all that ended attempts said last is written.

        Raises: StoreUnavailable; nothing is lost, call it again.
        """
        while self._has_ended:
            self._has_ended = False
            try:
                await self._write()
            except UnavailableError:
                self._has_ended = True
                raise

    def _gather(self) -> None:
        self._wake_is_due = False
        while self._news:
            self._unwritten[self._news.popleft()] = None

    async def _write(self) -> None:
        async with self._writing:
            self._gather()
            while self._unwritten:
                contexts = list(self._unwritten)[:REPORT_BATCH_MAX]
                reports = [ProgressReport(c.job_id, c.fence, *c.take_news()) for c in contexts]
                try:
                    kept = await self._store.report_progress(reports)
                except UnavailableError:
                    raise
                except Exception:  # it must never hold up an outcome
                    log.exception("what %d attempts said is not written", len(reports))
                    kept = [False] * len(reports)
                for context, report, was_kept in zip(contexts, reports, kept, strict=True):
                    del self._unwritten[context]
                    if was_kept and self._written is not None:
                        self._written(context, report)
