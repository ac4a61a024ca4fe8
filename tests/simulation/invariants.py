"""What must hold after every change of a row, and at the end of a history."""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from msgspec.structs import replace as with_

from tests.simulation.loop import VirtualLoop
from windlass.core.lifecycle import INITIAL, MOVES, REASONS
from windlass.model.jobs import LIVE, TERMINAL, Job, JobId, Reason, State
from windlass.stores.memory_rows import MemoryData

LOSSES_MAX = 4


@dataclass(slots=True)
class Book:
    """What was acknowledged to clients, and what attempts really did."""

    acknowledged: set[JobId] = field(default_factory=set)
    begun: set[tuple[JobId, int]] = field(default_factory=set)
    produced: set[tuple[JobId, int]] = field(default_factory=set)
    begun_twice: set[tuple[JobId, int]] = field(default_factory=set)

    def begin(self, job_id: JobId, fence: int) -> None:
        """Note that an attempt's code begins; what it raised here would be its own failure."""
        if (job_id, fence) in self.begun:
            self.begun_twice.add((job_id, fence))
        self.begun.add((job_id, fence))


class WatchedData(MemoryData):
    """The rows of a memory store; each change is checked before it is made."""

    __slots__ = ("_loop", "trace")

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self.trace: list[str] = []

    def put(self, job: Job) -> None:
        """Check the change, then make it."""
        old = self.jobs.get(job.id)
        reason = "" if job.reason is None else f" ({job.reason})"
        before = "new" if old is None else old.state
        self.trace.append(
            f"{self._loop.time():9.3f} {job.id[-6:]} {job.task} {before} -> {job.state}{reason} "
            f"fence {job.fence} attempt {job.attempt} {job.worker or ''}"
        )
        if old is None:
            check_new(job)
        else:
            check_change(old, job)
            if job.state is State.RUNNING and old.state is State.QUEUED:
                self._check_claim(job, self._loop.now())
        self._check_unique(job)
        super().put(job)

    def drop(self, job_id: JobId) -> None:
        """Refuse to forget a job that has not ended."""
        assert self.jobs[job_id].state in TERMINAL, f"{job_id} was dropped alive"
        super().drop(job_id)

    def _check_claim(self, job: Job, now: datetime) -> None:
        assert job.worker is not None
        row = self.workers.get(job.worker)
        assert row is not None, f"{job.id} was claimed by an unknown worker"
        assert not row.ended, f"{job.id} was claimed by a worker that was found dead"
        assert row.lease_until > now, f"{job.id} was claimed without a lease (I8)"
        assert job.expires_at is None or job.expires_at > now, f"{job.id} was claimed expired"

    def _check_unique(self, job: Job) -> None:
        if job.unique_key is None or job.state not in LIVE:
            return
        holder = self.unique.get((job.task, job.unique_key), job.id)
        assert holder == job.id, f"two live jobs hold {job.unique_key!r} (I32)"


def check_new(job: Job) -> None:
    """A row begins in a state that enqueue may write."""
    assert job.state in INITIAL
    assert (job.fence, job.attempt, job.failures, job.losses) == (0, 0, 0, 0)


def check_change(old: Job, new: Job) -> None:
    """A row changes as the table of moves and the counters allow (I4, I5, I7, I29)."""
    if old.state in TERMINAL:
        assert with_(new, resolved_at=old.resolved_at) == old, f"{old.id} changed after its end"
        return
    assert new.state in MOVES[old.state] or new.state is old.state, f"{old.state} -> {new.state}"
    assert new.reason in REASONS[new.state], f"{new.state} because of {new.reason}"
    claimed = (old.state, new.state) == (State.QUEUED, State.RUNNING)
    assert new.fence == old.fence + claimed, "the fence grows with a claim, and only then"
    assert new.attempt - old.attempt in ((1,) if claimed else (0, -1))
    assert (new.worker is not None) == (new.state is State.RUNNING)
    assert (new.ended_at is not None) == (new.state in TERMINAL)
    lost, failed = new.losses - old.losses, new.failures - old.failures
    if new.reason is Reason.CHILDREN and old.state is State.RUNNING:
        assert new.losses == 0, "what goes on has not killed its worker"
        lost = 0
    assert lost in (0, 1)
    assert failed in (0, 1)
    assert not (lost and failed), "a lost worker burns no retry"
    if lost:
        assert old.state is State.RUNNING
        assert (new.state is State.FAILED) <= (new.losses >= LOSSES_MAX)
    if failed:
        assert old.state is State.RUNNING
        assert new.error is not None
    if new.reason is Reason.POISON:
        assert new.losses >= LOSSES_MAX


def check_end(data: MemoryData, book: Book) -> None:
    """At the end everything has ended, and every accepted result was really produced."""
    missing = book.acknowledged - set(data.jobs)
    assert not missing, f"acknowledged and gone: {missing}"
    assert not book.begun_twice, f"began twice under one fence: {book.begun_twice} (I7)"
    for job in data.jobs.values():
        assert job.state in TERMINAL, f"{job.id} ({job.task}) is stuck in {job.state}"
        if job.state is State.SUCCEEDED:
            assert job.result is not None
            fence = msgspec.json.decode(job.result)
            assert fence == job.fence, f"{job.id}: the result of fence {fence} was accepted"
            assert (job.id, fence) in book.produced
            said = data.progress[job.id].message
            assert said == f"done by {fence}", f"{job.id}: its last holder's progress is lost (I7)"
