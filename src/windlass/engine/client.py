"""The client: what a program asks of the store, from one event loop."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any

import msgspec

from windlass.core.lifecycle import OWN_RESULT, after_cancel, after_reschedule
from windlass.core.operations import Changes, hold_request
from windlass.core.references import is_reference
from windlass.core.retry import Delay, seconds_of
from windlass.core.steps import is_step, without_step
from windlass.core.why import Why, explain
from windlass.engine.cancelling import cancel_job
from windlass.engine.large_results import FETCHES_MAX, LargeResults
from windlass.engine.runs import RunClient
from windlass.engine.schedules import ScheduleClient
from windlass.engine.waiter import Waiter
from windlass.engine.watcher import Watcher
from windlass.errors import (
    HoldNotFound,
    JobNotFailed,
    JobNotFound,
    JobNotWaiting,
    LargeResultLost,
    ResultTimeout,
    WorkerNotFound,
)
from windlass.model.holds import Hold, HoldId
from windlass.model.jobs import (
    ENQUEUE_BATCH_MAX,
    LIVE,
    TERMINAL,
    Backlog,
    DeadLetters,
    Edge,
    Event,
    Finished,
    Job,
    JobFilter,
    JobId,
    JobRequest,
    Reason,
    Rule,
    RunKind,
    State,
    WorkerId,
)
from windlass.model.limits import decode_limits, lane_of
from windlass.model.progress import Progress
from windlass.model.workers import WorkerRow
from windlass.ports import Store

Enqueue = Callable[[Sequence[JobRequest]], Awaitable[Sequence[JobId]]]

LIST_LIMIT_MAX = 1_000
DOUBT_S = 1.0  # who has waited so long for a job looks whether it exists


class Client:
    """Enqueues, looks up, waits for, cancels and retries jobs.  Belongs to one event loop."""

    def __init__(self, store: Store, large: LargeResults | None = None) -> None:
        self._store = store
        self._large = large or LargeResults()
        self._waiter = Waiter(store)
        self._watcher = Watcher(store, self._waiter)
        self.schedules = ScheduleClient(store)
        self.runs = RunClient(store)

    async def close(self) -> None:
        """Stop waiting; those who still wait get a CancelledError.  The store stays open."""
        await self._watcher.close()
        await self._waiter.close()

    async def enqueue(self, requests: Sequence[JobRequest]) -> list[JobId]:
        """Insert jobs and return their ids, in the order given.

        Up to ENQUEUE_BATCH_MAX of them go in one transaction; more go in several, each
        whole.  Where a live job holds the ``unique_key``, its id stands in for the new one.
        """
        return await in_batches(self._store.enqueue, requests)

    async def get(self, job_id: JobId) -> Job:
        """Return a job as it stands.  Raises: JobNotFound."""
        job = await self._store.get(job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    async def wait(
        self, job_ids: Sequence[JobId], *, timeout_s: float | None = None, known: bool = False
    ) -> Mapping[JobId, Finished]:
        """Return how each of the jobs ended, once all have.

        known:  they do exist.  If that is not said, who waits for long looks whether they do:
                nobody waits for ever for a job that does not exist.
        Raises: JobNotFound, ResultTimeout (the jobs go on), StoreUnavailable.
        """
        ended: dict[JobId, Finished] = {}
        rest_s = timeout_s
        if not known:
            doubt_s = DOUBT_S if timeout_s is None else min(timeout_s, DOUBT_S)
            ended = await self._waiter.wait(job_ids, doubt_s)
            for job_id in dict.fromkeys(job_ids):
                if job_id not in ended:
                    await self.get(job_id)
            rest_s = None if timeout_s is None else timeout_s - doubt_s
        left = [job_id for job_id in job_ids if job_id not in ended]
        ended |= await self._waiter.wait(left, rest_s)
        late = [job_id for job_id in left if job_id not in ended]
        if late:
            ended |= await self._ended_or_late(late, timeout_s or 0.0)
        return MappingProxyType(ended)

    async def _ended_or_late(
        self, job_ids: Sequence[JobId], timeout_s: float
    ) -> Mapping[JobId, Finished]:
        """Look once more, since a short time may be over before the first look was answered.

        Raises: ResultTimeout, if one has not ended; JobNotFound.
        """
        ended = await self._waiter.ended(job_ids)
        for job_id in job_ids:
            if job_id not in ended:
                raise ResultTimeout(job_id, timeout_s, (await self.get(job_id)).state)
        return ended

    async def whole(self, finished: Finished) -> Finished:
        """Return how a job ended with its result, also where that lies among the large ones.

        Raises: LargeResultsOff, LargeResultLost, BlobsUnavailable; JobNotFound, if the job was
                deleted meanwhile.
        """
        if not is_reference(finished.result):
            return finished
        try:
            return await self._large.whole(finished)
        except LargeResultLost:
            found = (await self._store.results([finished.job_id])).get(finished.job_id)
            if found is None:
                raise JobNotFound(finished.job_id) from None
            if found.result == finished.result:
                raise
            return found  # its time was over meanwhile

    async def whole_all(self, ended: Mapping[JobId, Finished]) -> Mapping[JobId, Finished]:
        """Do as ``whole`` for many, a few at a time."""
        room = asyncio.Semaphore(FETCHES_MAX)

        async def fetch(finished: Finished) -> Finished:
            async with room:
                return await self.whole(finished)

        fetching = [asyncio.ensure_future(fetch(each)) for each in ended.values()]
        try:
            whole = await asyncio.gather(*fetching)
        finally:
            for each in fetching:
                each.cancel()
        return {finished.job_id: finished for finished in whole}

    async def each_ended(
        self, job_ids: Sequence[JobId], *, timeout_s: float | None = None
    ) -> AsyncGenerator[Finished, None]:
        """Yield how each of the jobs ended, as they end; each once.

        timeout_s: for all of them together.
        Raises: ResultTimeout (the jobs go on), StoreUnavailable.
        """
        left = dict.fromkeys(job_ids)
        each = self._waiter.each(job_ids, timeout_s)
        try:
            async for finished in each:
                del left[finished.job_id]
                yield finished
        except TimeoutError:
            for finished in (await self._waiter.ended(list(left))).values():
                del left[finished.job_id]
                yield finished
            if left:
                late = next(iter(left))
                state = (await self.get(late)).state
                raise ResultTimeout(late, timeout_s or 0.0, state) from None
        finally:
            await each.aclose()

    async def progress(self, job_id: JobId) -> Progress | None:
        """Return what a job's code said last of how far it is; None if it said nothing."""
        return (await self._store.progress([job_id])).get(job_id)

    async def each_progress(
        self, job_id: JobId, *, timeout_s: float | None = None
    ) -> AsyncGenerator[Progress, None]:
        """Yield what a job's code said last, then each newer, until the job has ended.

        Of what is said in quick succession only the newest is shown.
        Raises: JobNotFound, ResultTimeout (the job goes on), StoreUnavailable.
        """
        await self.get(job_id)
        each = self._watcher.each(job_id, timeout_s)
        try:
            async for progress in each:
                yield progress
        except TimeoutError:
            raise ResultTimeout(job_id, timeout_s or 0.0, (await self.get(job_id)).state) from None
        finally:
            await each.aclose()

    async def cancel(self, job_id: JobId, *, actor: str = "client") -> State:
        """Cancel a job that has not started; ask one that runs to stop.  Idempotent.

        Returns: the state after: ``cancelled``; ``running`` where it was asked; or the
                 state in which the job had already ended.
        Raises:  JobNotFound.
        """
        state, _ = await cancel_job(self._store, job_id, actor)
        return state

    async def cancel_all(self, where: JobFilter, *, actor: str = "client") -> int:
        """Cancel all jobs that fit, or ask them to stop; return how many that was.

        Jobs that are enqueued meanwhile are not among them.
        """
        cancelled = 0
        async for page in self._pages(_narrowed(where, LIVE)):
            direct = [job for job in page if job.kind is not RunKind.DAG]
            direct.sort(key=lambda job: job.kind is None)  # workflows first: none goes on meanwhile
            moves = list(filter(None, (after_cancel(job, actor) for job in direct)))
            applied = await self._store.settle(moves)
            cancelled += sum(applied)
            done = {move.job_id for move, was in zip(moves, applied, strict=True) if was}
            for run in (job for job in page if job.kind is not None):
                _, did = await cancel_job(self._store, run.id, actor)
                cancelled += did and run.id not in done
        return cancelled

    async def reschedule(
        self, job_id: JobId, delay: Delay = 0.0, *, actor: str = "client"
    ) -> State:
        """Have a job that has not started start after ``delay`` from now; 0: as soon as it can.

        Returns: the state after.   Raises: JobNotFound, JobNotWaiting.
        """
        delay_s = seconds_of("delay", delay)
        while True:
            job = await self.get(job_id)
            move = after_reschedule(job, delay_s, actor)
            if move is None:
                if job.state is State.QUEUED:
                    return job.state
                raise JobNotWaiting(job_id, job.state)
            [applied] = await self._store.settle([move])
            if applied:
                return move.after
            # it moved between the look and the write: look again

    async def reschedule_all(
        self, where: JobFilter, delay: Delay = 0.0, *, actor: str = "client"
    ) -> int:
        """Reschedule all jobs that fit and have not started; return how many that was."""
        delay_s = seconds_of("delay", delay)
        moved = 0
        waiting = {State.SCHEDULED, State.QUEUED, State.HELD}
        async for page in self._pages(_narrowed(where, waiting)):
            moves = filter(None, (after_reschedule(job, delay_s, actor) for job in page))
            moved += sum(await self._store.settle(list(moves)))
        return moved

    async def retry(
        self,
        job_id: JobId,
        new_id: JobId,
        *,
        changes: Changes | None = None,
        actor: str = "client",
    ) -> JobId:
        """Enqueue a failed job once more as a new job linked to it; return the new id.

        changes: what the new one has different.
        Raises:  JobNotFound, JobNotFailed, BadOption.
        """
        job = await self.get(job_id)
        if job.state is not State.FAILED:
            raise JobNotFailed(job_id, job.state)
        [made] = await self._store.enqueue([await self._again(job, new_id, changes)])
        return made

    async def retry_all(
        self,
        where: JobFilter,
        new_id: Callable[[], JobId],
        *,
        changes: Changes | None = None,
        actor: str = "client",
    ) -> int:
        """Retry all dead letters that fit, changed or not; return how many that was.

        Steps of runs are left out, unless those of one run are asked for: their run is retried.
        """
        retried = 0
        async for found in self._pages(msgspec.structs.replace(where, unresolved=True)):
            page = [job for job in found if where.run is not None or not is_step(job)]
            again = [await self._again(job, new_id(), changes) for job in page]
            retried += len(await self._store.enqueue(again))
        return retried

    async def _again(self, job: Job, new_id: JobId, changes: Changes | None) -> JobRequest:
        """Return the request that repeats a job, given the same by other jobs as that was."""
        changes = changes or Changes()
        after: tuple[Edge, ...] = ()
        if job.upstream is not None:
            replaced = {OWN_RESULT, *(changes.arguments or {})}
            inputs = [one for one in await self._store.inputs(job.id) if one.slot not in replaced]
            after = tuple(Edge(one.parent, one.slot, one.position) for one in inputs)
        lane = None if job.limits is None else lane_of(decode_limits(job.limits))
        request = JobRequest(
            id=new_id,
            task=job.task,
            queue=job.queue,
            payload=job.payload,
            priority=job.priority,
            unique_key=job.unique_key,
            retry_of=job.id,
            headers=job.headers,
            lane=None if lane is None else lane.id,
            limits=job.limits,
            fingerprint=job.fingerprint,
            after=after,
            rule=Rule.ALL_DONE if job.attempt else None,  # what began once may begin again
            kind=job.kind,
        )
        return without_step(changes.made_to(request))

    async def discard(self, job_ids: Sequence[JobId], *, actor: str = "client") -> list[bool]:
        """Take failed jobs off the dead letters; False for each that was none.  Idempotent."""
        return await self._store.resolve(job_ids, actor)

    async def discard_all(self, where: JobFilter, *, actor: str = "client") -> int:
        """Take all failed jobs that fit off the dead letters; return how many that was."""
        discarded = 0
        async for page in self._pages(msgspec.structs.replace(where, unresolved=True)):
            discarded += sum(await self._store.resolve([job.id for job in page], actor))
        return discarded

    async def purge(self, where: JobFilter) -> int:
        """Delete all jobs that fit and have ended, dead letters too; return how many that was."""
        deleted = 0
        async for page in self._pages(_narrowed(where, TERMINAL)):
            deleted += await self._store.delete([job.id for job in page])
        return deleted

    async def _pages(self, where: JobFilter) -> AsyncGenerator[list[Job], None]:
        before = None
        while page := await self._store.jobs(where, limit=LIST_LIMIT_MAX, before=before):
            yield page
            before = page[-1].id

    # -- holds ---------------------------------------------------------------

    async def pause(
        self,
        hold_id: HoldId,
        *,
        queue: str | None = None,
        task: str | None = None,
        key: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        expires: Delay | None = None,
        why: str = "",
        reason: Reason = Reason.PAUSED,
        actor: str = "client",
    ) -> Hold:
        """Keep jobs from starting until they are resumed; what runs goes on.

        queue, task: all of a queue, or of a task; together: the task's jobs in that queue.
        key:         jobs of which a limit has this key.
        arguments:   jobs whose arguments have these values, by path: ``{"order.id": 7}``.
        expires:     when it ends by itself.
        reason:      ``paused``, or ``quarantined``: what the jobs' reason will say.
        Raises:      BadOption, TooManyHolds; HoldNotFound, if it has ended already.
        """
        request = hold_request(
            hold_id,
            reason,
            actor,
            why=why,
            queue=queue,
            task=task,
            key=key,
            arguments=arguments,
            expires=expires,
        )
        await self._store.hold(request)
        for hold in await self.holds():
            if hold.id == hold_id:
                return hold
        raise HoldNotFound(hold_id)

    async def resume(self, hold_id: HoldId, *, actor: str = "client") -> None:
        """End a hold: what it kept from starting is queued again.  Raises: HoldNotFound."""
        if not await self._store.lift(hold_id, actor):
            raise HoldNotFound(hold_id)

    async def holds(self) -> list[Hold]:
        """Return the holds in force, oldest first."""
        return await self._store.holds()

    async def drain(self, worker: WorkerId) -> None:
        """Have a worker end what it runs, claim no more, and stop.  Raises: WorkerNotFound."""
        if not await self._store.drain(worker):
            raise WorkerNotFound(worker)

    # -- looking -------------------------------------------------------------

    async def jobs(
        self, where: JobFilter | None = None, *, limit: int = 50, before: JobId | None = None
    ) -> list[Job]:
        """List jobs, newest first; ``before`` continues after the last id of a page."""
        return await self._store.jobs(
            where or JobFilter(), limit=min(limit, LIST_LIMIT_MAX), before=before
        )

    async def counts(self) -> dict[tuple[str, State], int]:
        """Count jobs by queue and state."""
        return await self._store.counts()

    async def backlog(self) -> list[Backlog]:
        """Count the live jobs by task, queue and fingerprint."""
        return await self._store.backlog()

    async def dead_letters(self, *, limit: int = 100) -> list[DeadLetters]:
        """Group the unresolved failed jobs by task, error and reason, the most first."""
        return await self._store.dead_letters(limit=min(limit, LIST_LIMIT_MAX))

    async def events(self, job_id: JobId) -> list[Event]:
        """Return the history of a job's failures and of what operators did to it."""
        return await self._store.events(job_id)

    async def why(self, job_id: JobId, now: datetime) -> Why:
        """Tell why a job does not run, or that it does.  Raises: JobNotFound."""
        job = await self.get(job_id)
        counts = await self.counts() if job.state is State.QUEUED else {}
        queued = counts.get((job.queue, State.QUEUED), 0)
        limits = None if job.limits is None else decode_limits(job.limits)
        holders = [] if limits is None else await self._store.holders(limits)
        steps = {} if job.kind is None else await self._store.runs.tally(job_id)
        return explain(job, await self.workers(), queued, now, holders, await self.holds(), steps)

    async def workers(self) -> list[WorkerRow]:
        """Return the workers that hold a lease."""
        return await self._store.workers()

    async def idle(self) -> bool:
        """Tell whether no job is live: nothing runs and nothing is left to run."""
        return not any(n for (_, state), n in (await self.counts()).items() if state in LIVE)


async def in_batches(enqueue: Enqueue, requests: Sequence[JobRequest]) -> list[JobId]:
    """Give an enqueue no more at a time than it can take; each batch is stored whole or not."""
    ids: list[JobId] = []
    for start in range(0, len(requests), ENQUEUE_BATCH_MAX):
        ids += await enqueue(requests[start : start + ENQUEUE_BATCH_MAX])
    return ids


def _narrowed(where: JobFilter, states: Collection[State]) -> JobFilter:
    """Return the filter for those of its states that are among ``states``."""
    asked = states if where.states is None else set(where.states).intersection(states)
    return msgspec.structs.replace(where, states=tuple(sorted(asked)))
