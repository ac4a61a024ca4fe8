"""The sweep: the clock's moves, as operations of one transaction."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from windlass.model.jobs import TERMINAL, JobId, State, WorkerId
from windlass.model.topics import CLOCK, DONE, queue_topic, worker_topic
from windlass.model.workers import Swept
from windlass.stores.sqlite import hold_sql, sql
from windlass.stores.sqlite.rows import SECOND_US
from windlass.stores.sqlite.writer import Transaction

MARK_EVERY = 4  # times per shortest lease that the instant of the last sweep is written


def is_idle(look: Sequence[Any], now: int) -> bool:
    """Tell whether a sweep would find nothing to do; ``look`` is a row of ``LOOK``."""
    swept_at, shortest_lease, next_due, has_late_worker, has_lost, has_expired, has_lifted = look
    if has_late_worker or has_lost or has_expired or has_lifted:
        return False
    if next_due is not None and next_due <= now:
        return False
    if shortest_lease is None:  # nobody's lease: no gap has to be noticed
        return True
    return bool(swept_at is not None and now - swept_at < shortest_lease // MARK_EVERY)


def topic_of(state: str, queue: str, worker: WorkerId | None) -> str | None:
    """Return the topic that a job's new state rings, if any."""
    match state:
        case "queued":
            return queue_topic(queue)
        case "scheduled":
            return CLOCK
        case "running" if worker is not None:
            return worker_topic(worker)
        case "succeeded" | "failed" | "cancelled" | "skipped":
            return DONE
    return None


def topics_of_lifted(queues: Iterable[str | None]) -> set[str]:
    """Return what rings when holds end: the sweep, and the queues that they name."""
    named = list(queues)
    return {CLOCK, *(queue_topic(queue) for queue in named if queue)} if named else set()


def write_event(
    transaction: Transaction,
    job_id: str,
    before: str,
    worker: str | None,
    actor: str | None = None,
    error: bytes | None = None,
) -> None:
    """Append to a job's history what has just been done to its row."""
    transaction.execute(
        sql.WRITE_EVENT,
        {
            "id": job_id,
            "now": transaction.now,
            "before": before,
            "worker": worker,
            "actor": actor,
            "error": error,
        },
    )


class Sweep:
    """One sweep, at most ``limit`` moves of each kind.

    advance:  what is done for those that wait for a job which the sweep ends.
    swept_at: when this process swept last, which may be later than what the file says.
    """

    def __init__(
        self,
        limit: int,
        losses_max: int,
        swept_at: int,
        advance: Callable[[Transaction, JobId], None],
    ) -> None:
        self._limit = limit
        self._advance = advance
        self._swept_at = swept_at
        self._losses_max = losses_max

    def __call__(self, transaction: Transaction) -> Swept:
        """Make the moves."""
        self._judge_workers(transaction)
        expired = self._expire(transaction)
        rescued, poisoned = self._rescue(transaction)
        lifted = self._lift(transaction)
        promoted = self._promote(transaction)
        [[next_due]] = transaction.execute(sql.NEXT_DUE).fetchall()
        due_s = None if next_due is None else max(0.0, (next_due - transaction.now) / SECOND_US)
        return Swept(
            promoted=promoted,
            rescued=rescued,
            poisoned=poisoned,
            expired=expired,
            lifted=lifted,
            next_due_s=due_s,
        )

    def _judge_workers(self, transaction: Transaction) -> None:
        now = {"now": transaction.now}
        [[swept_at]] = transaction.execute(sql.LAST_SWEEP).fetchall()
        transaction.execute(sql.MARK_SWEEP, now)
        latest = max(swept_at or 0, self._swept_at)
        transaction.execute(sql.GIVE_AMNESTY, now | {"swept_at": latest})
        transaction.execute(sql.END_LEASES, now)

    def _expire(self, transaction: Transaction) -> int:
        facts = {"now": transaction.now, "limit": self._limit}
        late = transaction.execute(sql.FIND_EXPIRED, facts).fetchall()
        for job_id, state, _ in late:
            facts = {"id": job_id, "now": transaction.now}
            [[downstream]] = transaction.execute(sql.EXPIRE_JOB, facts).fetchall()
            write_event(transaction, job_id, state, None)
            if downstream:
                self._advance(transaction, job_id)
            transaction.topics.add(DONE)
        return len(late)

    def _rescue(self, transaction: Transaction) -> tuple[int, int]:
        lost = transaction.execute(sql.FIND_LOST, {"limit": self._limit}).fetchall()
        poisoned = 0
        for job_id, worker in lost:
            facts = {"id": job_id, "losses_max": self._losses_max, "now": transaction.now}
            [[state, queue, downstream]] = transaction.execute(sql.RESCUE_JOB, facts).fetchall()
            write_event(transaction, job_id, State.RUNNING, worker)
            if downstream and state in TERMINAL:
                self._advance(transaction, job_id)
            transaction.topics.update(filter(None, [topic_of(state, queue, None)]))
            poisoned += state == State.FAILED
        return len(lost) - poisoned, poisoned

    def _lift(self, transaction: Transaction) -> int:
        now = {"now": transaction.now}
        ended = transaction.execute(hold_sql.END_EXPIRED_HOLDS, now).fetchall()
        transaction.topics.update(topics_of_lifted(queue for (queue,) in ended))
        lifted = transaction.execute(hold_sql.FIND_LIFTED, {"limit": self._limit}).fetchall()
        for job_id, queue in lifted:
            transaction.execute(hold_sql.LIFT_JOB, {"id": job_id})
            write_event(transaction, job_id, State.HELD, None)
            transaction.topics.add(queue_topic(queue))
        transaction.execute(hold_sql.FORGET_HOLDS)
        return len(lifted)

    def _promote(self, transaction: Transaction) -> int:
        facts = {"now": transaction.now, "limit": self._limit}
        promoted = transaction.execute(sql.PROMOTE_JOBS, facts).fetchall()
        transaction.topics.update(queue_topic(queue) for (queue,) in promoted)
        return len(promoted)
