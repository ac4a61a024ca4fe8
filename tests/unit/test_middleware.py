"""The chain of middleware: its order, and what becomes of each way to break its rules."""

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import Any

import msgspec
import pytest

from tests.executors.attempts import make_claim
from windlass import AttemptCall, Cancel, EnqueueCall, Failed, Outcome, Proceed, Retry, Snooze
from windlass.core.context import Context
from windlass.core.middleware import attempt_through, check_middleware, enqueue_through
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec
from windlass.errors import BadMiddleware, MiddlewareBroke
from windlass.model.jobs import JobId, JobRequest
from windlass.model.outcomes import Cancelled, Snoozed, Succeeded

Next = Callable[[AttemptCall], Awaitable[Outcome]]


def function() -> None: ...


SPEC = TaskSpec(
    name="t",
    function=function,
    signature=Signature("t", function),
    isolation="thread",
    is_async=False,
    retry=Retry(3, never=KeyError),
)
DONE = Succeeded(b"1")


async def attempt(*middlewares: Any, outcome: Outcome = DONE) -> tuple[Outcome, int]:
    """Run an attempt that ends in ``outcome``; return what came out, and how often it ran."""
    runs = 0

    async def run(call: AttemptCall) -> Outcome:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        return outcome

    claim = make_claim(SPEC)
    call = AttemptCall(SPEC, claim, Context(claim))
    return await attempt_through([check_middleware(m) for m in middlewares], call, run), runs


async def transparent(call: AttemptCall, proceed: Next) -> Outcome:
    return await proceed(call)


def transparent_generator(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
    yield call


async def test_the_first_stands_outermost_and_both_shapes_mix() -> None:
    seen: list[str] = []

    def asynchronous(name: str) -> Any:
        async def middleware(call: AttemptCall, proceed: Next) -> Outcome:
            seen.append(f"{name} before")
            outcome = await proceed(call)
            seen.append(f"{name} after")
            return outcome

        return middleware

    def generator(name: str) -> Any:
        def middleware(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
            seen.append(f"{name} before")
            yield call
            seen.append(f"{name} after")

        return middleware

    assert await attempt(asynchronous("a"), generator("b"), asynchronous("c")) == (DONE, 1)
    assert seen == ["a before", "b before", "c before", "c after", "b after", "a after"]


class Callable_:
    async def __call__(self, call: AttemptCall, proceed: Next) -> Outcome:
        return await proceed(call)


async def test_an_object_may_be_a_middleware() -> None:
    assert await attempt(Callable_(), transparent_generator, transparent) == (DONE, 1)


async def test_an_outcome_may_be_replaced_by_either_shape() -> None:
    other = Snoozed(5.0)

    async def asynchronous(call: AttemptCall, proceed: Next) -> Outcome:
        await proceed(call)
        return other

    def generator(call: AttemptCall) -> Generator[AttemptCall, Outcome, Outcome]:
        yield call
        return other

    assert await attempt(asynchronous) == (other, 1)
    assert await attempt(generator) == (other, 1)


async def test_who_answers_without_proceeding_keeps_the_function_from_running() -> None:
    async def asynchronous(call: AttemptCall, proceed: Next) -> Outcome:
        return Cancelled("not today")

    def generator(call: AttemptCall) -> Generator[AttemptCall, Outcome, Outcome]:
        if call.spec.name == "t":
            return Cancelled("not today")
        yield call
        raise AssertionError

    assert await attempt(asynchronous) == (Cancelled("not today"), 0)
    assert await attempt(generator) == (Cancelled("not today"), 0)


def raising(error: BaseException, *, after: bool) -> Any:
    async def middleware(call: AttemptCall, proceed: Next) -> Outcome:
        if not after:
            raise error
        await proceed(call)
        raise error

    return middleware


def raising_generator(error: BaseException, *, after: bool) -> Any:
    def middleware(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
        if not after:
            raise error
        yield call
        raise error

    return middleware


@pytest.mark.parametrize("make", [raising, raising_generator])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("error", "retryable"), [(OSError("x"), True), (KeyError(), False), (SystemExit(1), False)]
)
async def test_what_a_middleware_raises_is_the_attempts_failure_under_its_policy(
    make: Any, after: bool, error: BaseException, retryable: bool
) -> None:
    outcome, runs = await attempt(transparent, make(error, after=after), transparent_generator)

    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.retryable) == (type(error).__name__, retryable)
    assert "in middleware" in outcome.error.traceback
    assert runs == after


@pytest.mark.parametrize("make", [raising, raising_generator])
async def test_a_middleware_may_speak_of_the_jobs_end_as_its_function_may(make: Any) -> None:
    assert await attempt(make(Snooze(3), after=False)) == (Snoozed(3.0), 0)
    assert await attempt(make(Cancel("no"), after=True)) == (Cancelled("no"), 1)
    again, _ = await attempt(make(Retry(after=7), after=False))
    assert isinstance(again, Failed)
    assert again.after_s == 7


async def broken_answer(call: AttemptCall, proceed: Next) -> Any:
    return (await proceed(call)) and None


async def twice(call: AttemptCall, proceed: Next) -> Outcome:
    await proceed(call)
    return await proceed(call)


def two_yields(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
    yield call
    yield call


@pytest.mark.parametrize(
    ("middleware", "told"),
    [(broken_answer, "returned None"), (twice, "proceed() twice"), (two_yields, "yields twice")],
)
async def test_a_broken_rule_fails_the_job_for_good_and_runs_it_once(
    middleware: Any, told: str
) -> None:
    outcome, runs = await attempt(middleware)

    assert isinstance(outcome, Failed)
    assert told in outcome.error.message
    assert (outcome.error.type, outcome.retryable) == ("windlass.errors.MiddlewareBroke", False)
    assert runs == 1


@pytest.mark.parametrize("swallows", [False, True])
@pytest.mark.parametrize("shape", ["async", "generator"])
async def test_a_stop_goes_through_and_what_must_be_closed_is_closed(
    shape: str, swallows: bool
) -> None:
    closed: list[str] = []

    async def asynchronous(call: AttemptCall, proceed: Next) -> Outcome:
        try:
            return await proceed(call)
        finally:
            closed.append(shape)

    def generator(call: AttemptCall) -> Generator[AttemptCall, Outcome, None]:
        try:
            yield call
        except asyncio.CancelledError:
            if not swallows:
                raise
        finally:
            closed.append(shape)

    async def run(call: AttemptCall) -> Outcome:
        await asyncio.sleep(60)
        return DONE

    claim = make_claim(SPEC)
    call = AttemptCall(SPEC, claim, Context(claim))
    chain = [asynchronous if shape == "async" else generator]
    task = asyncio.create_task(attempt_through(chain, call, run))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert closed == [shape]


def plain(call: AttemptCall, proceed: Next) -> Outcome:
    raise NotImplementedError


async def takes_one(call: AttemptCall) -> Outcome:
    raise NotImplementedError


def generator_of_two(call: AttemptCall, proceed: Next) -> Generator[AttemptCall, Outcome, None]:
    yield call


@pytest.mark.parametrize("wrong", [plain, takes_one, generator_of_two, 7, None])
def test_what_has_none_of_the_shapes_is_refused_when_it_is_registered(wrong: Any) -> None:
    with pytest.raises(BadMiddleware):
        check_middleware(wrong)


# -- around an enqueue -------------------------------------------------------


def request(n: int, task: str = "a") -> JobRequest:
    return JobRequest(id=JobId(f"{task}{n}"), task=task, queue="default", payload=b"{}")


class Shelf:
    """Stands for the store; counts the round trips."""

    def __init__(self) -> None:
        self.trips: list[list[JobRequest]] = []

    async def store(self, requests: Sequence[JobRequest]) -> list[JobId]:
        self.trips.append(list(requests))
        return [request.id for request in requests]


def with_priority(priority: int) -> Any:
    async def middleware(
        call: EnqueueCall, proceed: Proceed[EnqueueCall, Sequence[JobId]]
    ) -> Sequence[JobId]:
        changed = (msgspec.structs.replace(r, priority=priority) for r in call.requests)
        return await proceed(EnqueueCall(tuple(changed)))

    return middleware


async def test_each_tasks_middleware_sees_its_own_requests_and_all_go_in_one_round_trip() -> None:
    shelf = Shelf()
    requests = [request(1, "a"), request(2, "b"), request(3, "c"), request(4, "a")]

    ids = await enqueue_through(
        [], {"a": [with_priority(1)], "b": [with_priority(2)], "z": [with_priority(9)]},
        requests, shelf.store,
    )  # fmt: skip

    assert ids == ["a1", "b2", "c3", "a4"]
    assert [[(r.id, r.priority) for r in trip] for trip in shelf.trips] == [
        [("a1", 1), ("b2", 2), ("c3", 0), ("a4", 1)]
    ]


async def test_a_task_that_is_kept_back_keeps_no_other_back() -> None:
    shelf = Shelf()

    async def kept_back(call: EnqueueCall, proceed: Any) -> list[JobId]:
        return [JobId("known") for _ in call.requests]

    requests = [request(1, "a"), request(2, "b"), request(3, "a")]
    ids = await enqueue_through([], {"a": [kept_back]}, requests, shelf.store)

    assert ids == ["known", "b2", "known"]
    assert [[r.id for r in trip] for trip in shelf.trips] == [["b2"]]


async def test_an_enqueue_that_is_refused_stores_nothing() -> None:
    shelf = Shelf()

    def refuse(call: EnqueueCall) -> Generator[EnqueueCall, Sequence[JobId], None]:
        if len(call.requests) > 1:
            raise PermissionError("one at a time")
        yield call

    with pytest.raises(PermissionError):
        await enqueue_through([refuse], {}, [request(1), request(2)], shelf.store)
    assert shelf.trips == []
    assert await enqueue_through([refuse], {}, [request(1)], shelf.store) == ["a1"]


async def drops_one(call: EnqueueCall, proceed: Any) -> Any:
    return await proceed(EnqueueCall(call.requests[1:]))


async def answers_nothing(call: EnqueueCall, proceed: Any) -> Any:
    await proceed(call)


@pytest.mark.parametrize("middleware", [drops_one, answers_nothing])
@pytest.mark.parametrize("of_task", [True, False])
async def test_an_enqueue_without_an_id_for_each_request_is_told(
    middleware: Any, of_task: bool
) -> None:
    own, of_tasks = ([], {"a": [middleware]}) if of_task else ([middleware], {})
    with pytest.raises(MiddlewareBroke, match=middleware.__name__):
        await enqueue_through(own, of_tasks, [request(1), request(2)], Shelf().store)
