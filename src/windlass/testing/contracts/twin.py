"""Long random histories: a store and the plain one of ``stores.memory`` must agree (I5, I14)."""

import random
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from windlass.core.lifecycle import MOVES, after_attempt
from windlass.model.jobs import Claim, Event, Job, JobFilter, JobId, JobRequest, State, WorkerId
from windlass.model.outcomes import (
    Cancelled,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    Transition,
    Unknown,
)
from windlass.ports import Store
from windlass.stores.memory import MemoryStore
from windlass.testing.clock import FakeClock
from windlass.testing.contracts.world import (
    BOOM,
    LOSSES_MAX,
    SWEEP_MAX,
    StoreWorld,
    make_request,
    make_worker,
    move,
    nth_id,
    opened,
)

STEPS = 150
JOBS_MAX = 25
# Time moves in whole ticks and all durations end in half ones, so that the little real
# time which a server's clock adds never decides who is early.
TICK_S = 8.0
DURATIONS_S = [TICK_S * n + TICK_S / 2 for n in range(4)]
LEASE_S = TICK_S * 2.5
QUEUES = ("a", "b")
OUTCOMES: list[Outcome] = [
    Succeeded(b"1"),
    Failed(BOOM),
    Failed(BOOM, retryable=False),
    Snoozed(DURATIONS_S[1]),
    Cancelled(),
    Released(started=True),
    Released(),
    Unknown(DURATIONS_S[0]),
]

Answer = object
Act = Callable[[Store], Awaitable[Answer]]


class TwinContract:
    """A random history has the same effect on every store."""

    @pytest.mark.parametrize("seed", range(6))
    async def test_a_random_history_ends_as_in_the_plainest_store(
        self, world: StoreWorld, seed: int
    ) -> None:
        clock = FakeClock()
        history = _History(random.Random(seed))
        async with opened(world) as store:
            plain = MemoryStore(clock)
            await _agree(_sweep, store, plain)
            for step in range(STEPS):
                act = history.next_act()
                if act is None:
                    await world.advance(TICK_S)
                    clock.advance(TICK_S)
                    act = _sweep
                answer = await _agree(act, store, plain)
                history.learn(answer)
                assert await _picture(store) == await _picture(plain), f"after step {step}"


class _History:
    """Invents the next act from what earlier acts answered."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._claims: list[Claim] = []
        self._requests: list[JobRequest] = []
        self._starts = 0
        self._worker = self._new_worker()

    def _new_worker(self) -> WorkerId:
        self._starts += 1
        return WorkerId(f"worker-{self._starts}")

    def learn(self, answer: Answer) -> None:
        """Remember the claims that an act returned."""
        if isinstance(answer, list):
            self._claims += [claim for claim in answer if isinstance(claim, Claim)]

    def next_act(self) -> Act | None:
        """Return the next act; None means that time passes."""
        makers = {
            self._enqueue: 5,
            self._renew: 3,
            self._claim: 5,
            self._settle: 6,
            self._operate: 3,
            self._resolve: 1,
            self._leave: 1,
            self._pass: 3,
        }
        [make] = self._rng.choices(list(makers), list(makers.values()))
        return make()

    def _pass(self) -> Act | None:
        return None

    def _any_id(self) -> JobId:
        return nth_id(self._rng.randint(1, max(1, len(self._requests))))

    def _enqueue(self) -> Act:
        requests = [self._new_or_repeated() for _ in range(self._rng.randint(1, 3))]
        return lambda store: store.enqueue(requests)

    def _new_or_repeated(self) -> JobRequest:
        if self._requests and (len(self._requests) >= JOBS_MAX or self._rng.random() < 0.1):
            return self._rng.choice(self._requests)
        request = make_request(
            len(self._requests) + 1,
            queue=self._rng.choice(QUEUES),
            priority=self._rng.choice([-1, 0, 0, 5]),
            delay_s=self._rng.choice([0.0, 0.0, *DURATIONS_S]),
            expires_s=self._rng.choice([None, None, None, *DURATIONS_S]),
            unique_key=self._rng.choice([None, None, "k1", "k2"]),
            retry_of=self._rng.choice([None, None, self._any_id()]),
            fingerprint=[None, 1, 2][len(self._requests) % 3],
        )
        self._requests.append(request)
        return request

    def _renew(self) -> Act:
        if self._rng.random() < 0.3:
            self._worker = self._new_worker()
        worker = make_worker(self._worker, queues=QUEUES)
        return lambda store: store.renew(worker, LEASE_S)

    def _claim(self) -> Act:
        worker, limit = self._worker, self._rng.randint(1, 5)
        queues = self._rng.choice([QUEUES, QUEUES[:1], QUEUES[1:]])
        return lambda store: store.claim(worker, queues, limit)

    def _settle(self) -> Act:
        claims = self._rng.sample(self._claims, min(len(self._claims), self._rng.randint(1, 4)))
        retry_s = self._rng.choice([None, *DURATIONS_S])
        batch = [after_attempt(claim, self._rng.choice(OUTCOMES), retry_s) for claim in claims]
        return lambda store: store.settle(batch)

    def _operate(self) -> Act:
        """Ask for any move at all of a job as it stands, mostly a cancel."""
        job_id, actor = self._any_id(), self._rng.choice([None, "operator"])
        after = self._rng.choice([State.CANCELLED, State.RUNNING, *State])

        async def act(store: Store) -> Answer:
            job = await store.get(job_id)
            if job is None:
                return None
            return await store.settle([_move_of(job, after, actor)])

        return act

    def _resolve(self) -> Act:
        ids = sorted({self._any_id(), self._any_id()})
        return lambda store: store.resolve(ids, "operator")

    def _leave(self) -> Act:
        worker = self._worker
        return lambda store: store.leave(worker)


def _move_of(job: Job, after: State, actor: str | None) -> Transition:
    delay_s = DURATIONS_S[1] if after is State.SCHEDULED else 0.0
    return move(job, after, actor=actor, delay_s=delay_s)


async def _sweep(store: Store) -> Answer:
    # Twice: whether a job that is both due and expired is promoted first is free.
    await store.sweep(SWEEP_MAX, LOSSES_MAX)
    await store.sweep(SWEEP_MAX, LOSSES_MAX)
    return None


async def _agree(act: Act, store: Store, plain: Store) -> Answer:
    answer, expected = await act(store), await act(plain)

    assert answer == expected
    return answer


async def _picture(store: Store) -> dict[str, object]:
    """Return all that a store promises about what it holds, but for instants."""
    jobs = await store.jobs(JobFilter(), limit=JOBS_MAX * 2)
    workers = await store.workers()
    return {
        "jobs": {job.id: _promised(job) for job in jobs},
        "events": {job.id: [_told(event) for event in await store.events(job.id)] for job in jobs},
        "workers": {worker.id: worker.running for worker in workers},
        "counts": await store.counts(),
        "backlog": await store.backlog(),
        "dead": {
            (group.task, group.error_type, group.reason): group.count
            for group in await store.dead_letters(limit=100)
        },
        "ended": set(await store.results([job.id for job in jobs])),
    }


def _promised(job: Job) -> dict[str, object]:
    facts = msgspec.structs.asdict(job)
    kept = {name: facts[name] for name in ("state", "reason", "attempt", "failures", "losses")}
    kept |= {name: facts[name] for name in ("fence", "priority", "queue", "unique_key", "retry_of")}
    kept["fingerprint"] = job.fingerprint
    kept |= {name: facts[name] is None for name in ("ended_at", "resolved_at", "expires_at")}
    if job.state is State.RUNNING:
        kept["worker"] = job.worker
    if job.state is State.SUCCEEDED:
        kept["result"] = job.result
    if job.state is State.FAILED and job.reason is not None:
        kept["error_type"] = job.error_type
    assert (job.ended_at is None) == bool(MOVES[job.state])
    return kept


def _told(event: Event) -> tuple[object, ...]:
    return (event.before, event.after, event.reason, event.attempt, event.fence, event.actor)
