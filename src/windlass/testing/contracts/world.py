"""What the contract's tests stand on: the world of an adapter, and short ways to say things."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

from windlass.core.ids import job_id_from
from windlass.core.lifecycle import (
    after_attempt,
    after_cancel,
)
from windlass.model.jobs import (
    Claim,
    Job,
    JobId,
    JobRequest,
    Reason,
    State,
    WorkerId,
)
from windlass.model.outcomes import (
    ErrorInfo,
    Outcome,
    Transition,
)
from windlass.model.workers import WorkerInfo
from windlass.ports import Store

LEASE_S = 15.0
LOSSES_MAX = 3
SWEEP_MAX = 1_000
RING_S = 5.0  # a wake-up from another process may be polled for
SILENCE_S = 0.2

BOOM = ErrorInfo(type="builtins.ValueError", message="boom", traceback="Traceback: boom")
ALICE, BOB = WorkerId("alice"), WorkerId("bob")

# A reason that each state may have; what a legal settle to that state says.
REASON_OF: dict[State, Reason | None] = {
    State.WAITING: Reason.SIGNAL,
    State.SCHEDULED: Reason.TIMER,
    State.QUEUED: None,
    State.HELD: Reason.PAUSED,
    State.RUNNING: Reason.CANCEL_REQUESTED,
    State.SUCCEEDED: None,
    State.FAILED: Reason.ERROR,
    State.CANCELLED: None,
    State.SKIPPED: Reason.RULE,
}


class StoreWorld(Protocol):
    """Where an adapter's stores live, and the hand that moves its clock."""

    def make_store(self) -> Store:
        """Return a store that is not open yet; all of one world share their data."""
        ...

    async def advance(self, seconds: float) -> None:
        """Move the store's clock on, or make all that it holds that much older."""
        ...


@asynccontextmanager
async def opened(world: StoreWorld) -> AsyncIterator[Store]:
    """Open a migrated store of this world, and close it at the end."""
    store = world.make_store()
    await store.migrate()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def nth_id(n: int) -> JobId:
    """Return the id that sorts ``n``-th."""
    return job_id_from(1_900_000_000_000 + n, n)


def make_request(n: int = 1, **fields: Any) -> JobRequest:
    """Return a plain request with the ``n``-th id."""
    plain: dict[str, Any] = {"task": "shop.ship", "queue": "default", "payload": b"{}"}
    return JobRequest(id=nth_id(n), **(plain | fields))


def make_requests(count: int, *, start: int = 1, **fields: Any) -> list[JobRequest]:
    """Return ``count`` requests with ids in order."""
    return [make_request(n, **fields) for n in range(start, start + count)]


def make_worker(worker: WorkerId = ALICE, *, queues: Sequence[str] = ("default",)) -> WorkerInfo:
    """Return what a worker says of itself."""
    return WorkerInfo(id=worker, host="host-1", pid=4711, queues=tuple(queues), slots=8)


def move(claim: Claim | Job, after: State, **fields: Any) -> Transition:
    """Return a transition from running, under this claim's fence."""
    plain: dict[str, Any] = {
        "job_id": claim.job_id if isinstance(claim, Claim) else claim.id,
        "fence": claim.fence,
        "before": State.RUNNING if isinstance(claim, Claim) else claim.state,
        "after": after,
        "attempt": claim.attempt,
        "failures": claim.failures,
        "reason": REASON_OF[after],
        "delay_s": 3600.0 if after is State.SCHEDULED else 0.0,
    }
    return Transition(**(plain | fields))


async def begin(
    store: Store, *requests: JobRequest, worker: WorkerId = ALICE, lease_s: float = LEASE_S
) -> list[Claim]:
    """Enqueue jobs and claim them all under ``worker``, in the order of their ids."""
    await store.enqueue(requests)
    return await claim_all(store, {request.queue for request in requests}, worker, lease_s)


async def claim_all(
    store: Store,
    queues: Iterable[str] = ("default",),
    worker: WorkerId = ALICE,
    lease_s: float = LEASE_S,
) -> list[Claim]:
    """Claim all there is under ``worker``, with a lease, in the order of their ids."""
    await store.renew(make_worker(worker), lease_s)
    claims = await store.claim(worker, sorted(queues), 1_000)
    return sorted(claims, key=lambda claim: claim.job_id)


async def finish(
    store: Store, claim: Claim, outcome: Outcome, retry_s: float | None = None
) -> bool:
    """Settle one claim by its outcome."""
    [applied] = await store.settle([after_attempt(claim, outcome, retry_s)])
    return applied


async def row(store: Store, job_id: JobId) -> Job:
    """Return a job that must exist."""
    job = await store.get(job_id)
    assert job is not None, f"job {job_id} is gone"
    return job


async def cancel(store: Store, job_id: JobId) -> bool:
    """Ask for a live job's cancel, as an operator does."""
    transition = after_cancel(await row(store, job_id), "operator")
    assert transition is not None
    [applied] = await store.settle([transition])
    return applied


async def pass_time(world: StoreWorld, store: Store, seconds: float) -> None:
    """Let time pass with a sweep every few seconds, as a running engine does.

    Frequent sweeps keep a store from taking the gap for a suspended machine.
    """
    await store.sweep(SWEEP_MAX, LOSSES_MAX)
    step_s = LEASE_S / 3
    for _ in range(int(seconds / step_s) + 1):
        await world.advance(step_s)
        await store.sweep(SWEEP_MAX, LOSSES_MAX)


async def lose(store: Store, worker: WorkerId, *, losses_max: int = LOSSES_MAX) -> None:
    """Let ``worker`` vanish, and a sweep find it."""
    await store.leave(worker)
    await store.sweep(SWEEP_MAX, losses_max)


async def put_in_state(store: Store, ids: Sequence[JobId], state: State) -> list[Job]:
    """Bring queued jobs into ``state`` by legal moves only; each ends with fence 2.

    They run under ALICE on a queue of their own, so that both a stale fence (1) and
    no fence (0) differ from the right one.
    """
    await store.enqueue(
        [
            make_request(0, queue="table").__class__(
                id=job_id, task="shop.ship", queue="table", payload=b"{}", expires_s=36_000.0
            )
            for job_id in ids
        ]
    )
    claims = await claim_all(store, ["table"])
    assert all(await store.settle([move(claim, State.QUEUED) for claim in claims]))
    claims = await claim_all(store, ["table"])
    if state is not State.RUNNING:
        assert all(await store.settle([move(claim, state) for claim in claims]))
    jobs = [await row(store, job_id) for job_id in ids]
    assert {(job.state, job.fence) for job in jobs} == {(state, 2)}
    return jobs
