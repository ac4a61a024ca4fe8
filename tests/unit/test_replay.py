"""What the function of a workflow does, attempt after attempt."""

import asyncio
import gc
import logging
import sys
import threading
import uuid
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

import pytest

from tests.unit.replays import START, World, call, request, timer
from windlass.core import replay
from windlass.core.replay import TIMER, Finished, Raised, Recorded, Replay, StepEnd, Suspended
from windlass.errors import (
    NotInRun,
    RefusedInWorkflow,
    StoreUnavailable,
    WorkflowDiverged,
    WorkflowStuck,
)
from windlass.model.jobs import JobId, StepOf
from windlass.workflows import now, random, uuid4


@pytest.fixture(autouse=True)
def nothing_is_left(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What attempts leave for the collector must not complain when that comes."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with caplog.at_level(logging.DEBUG, "asyncio"):
            yield
            gc.collect()

    assert [str(each.message) for each in seen] == []
    assert [each.message for each in caplog.records if each.name == "asyncio"] == []
    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == (None, None)


# -- steps -------------------------------------------------------------------


async def two_steps() -> str:
    first = await call("double", 2)
    return f"{first} then {await call('double', first)}"


def test_a_function_is_suspended_at_each_step_that_has_not_ended() -> None:
    world = World(two_steps)

    first = world.suspend()
    [new] = first.new
    assert new.step == StepOf(world.run, "double", 0, replay.print_of("double", new.payload))
    assert first.pending == (new.id,)
    assert world.suspend() == Suspended((), (new.id,))

    world.end("double", 4)
    second = world.suspend()
    assert [(each.step.nth, each.payload) for each in second.new if each.step] == [(1, b"[4]")]

    world.end("double", 8, nth=1)
    assert world.attempt() == Finished("4 then 8")


def test_a_step_that_failed_raises_where_it_is_awaited() -> None:
    async def caught() -> str:
        try:
            await call("break")
        except ValueError as error:
            return f"caught {error}"
        return "not raised"

    world = World(caught)
    world.suspend()
    world.end("break", raises=ValueError("boom"))

    assert world.attempt() == Finished("caught boom")


def test_what_the_function_raises_is_its_end() -> None:
    async def broken() -> None:
        await call("one")
        raise KeyError("gone")

    world = World(broken)
    world.suspend()
    world.end("one")
    ending = world.attempt()

    assert isinstance(ending, Raised)
    assert isinstance(ending.error, KeyError)


def test_the_caller_may_make_the_value_of_what_is_recorded() -> None:
    async def converted() -> Any:
        return await replay.step(request("count"), value_of=int)

    world = World(converted)
    world.suspend()
    world.end("count", "12")

    assert world.attempt() == Finished(12)


def test_an_outage_while_a_result_is_read_ends_the_attempt_and_says_nothing_of_the_step() -> None:
    async def careful() -> str:
        try:
            return str(await call("one"))
        except Exception:
            return "caught"

    world = World(careful)
    world.suspend()
    world.end("one", raises=StoreUnavailable("the store", "away"))

    with pytest.raises(StoreUnavailable):
        world.attempt()


def test_a_step_is_awaited_once() -> None:
    async def twice() -> None:
        one = call("one")
        await one
        await one

    world = World(twice)
    world.suspend()
    world.end("one")
    ending = world.attempt()

    assert isinstance(ending, Raised)
    assert "'one' was awaited before" in str(ending.error)


def test_a_step_may_be_asked_for_before_it_is_awaited() -> None:
    async def eager() -> list[Any]:
        current = replay.current()
        assert current is not None
        futures = [current.ask(request("double", n)) for n in (1, 2)]
        return [await each for each in futures]

    world = World(eager)

    assert len(world.suspend().new) == 2
    assert world.keys == [("double", 0), ("double", 1)]
    world.end("double", 4, nth=1)
    assert world.suspend().new == ()
    world.end("double", 2)
    assert world.attempt() == Finished([2, 4])


# -- keys --------------------------------------------------------------------


async def branch(name: str, count: int) -> list[Any]:
    return [await call(name, n) for n in range(count)]


def test_what_runs_side_by_side_has_its_own_keys_whatever_ends_first() -> None:
    async def fan() -> Any:
        await call("first")
        return [*await asyncio.gather(branch("a", 2), branch("a", 1), branch("b", 1))]

    orders = [["0/a", "1/a", "2/b"], ["2/b", "1/a", "0/a"]]
    worlds = []
    for order in orders:
        worlds.append(world := World(fan))
        world.suspend()
        world.end("first")
        world.suspend()
        for name in order:
            world.end(name, name)
            world.suspend()
        world.end("0/a", "last", nth=1)
        assert world.attempt() == Finished([["0/a", "last"], ["1/a"], ["2/b"]])

    assert {*worlds[0].keys} == {*worlds[1].keys}
    assert {*worlds[0].keys} == {("first", 0), ("0/a", 0), ("0/a", 1), ("1/a", 0), ("2/b", 0)}


def test_tasks_within_tasks_have_paths() -> None:
    async def inner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(call("leaf"))
            group.create_task(branch("leaf", 1))

    async def outer() -> None:
        await asyncio.gather(inner(), asyncio.create_task(inner()))

    world = World(outer)
    world.suspend()

    # The argument was begun by ``outer`` before ``gather`` began the other.
    assert sorted(world.names) == ["0.0/leaf", "0.1/leaf", "1.0/leaf", "1.1/leaf"]


def test_a_timeout_around_a_step_leaves_it_its_scope_on_every_python() -> None:
    async def waiting() -> None:
        await asyncio.wait_for(branch("a", 1), 10)
        await asyncio.wait_for(call("a", 1), 10)
        async with asyncio.timeout(10):
            await call("a", 2)
        await asyncio.gather(call("b"))

    world = World(waiting)
    world.suspend()
    for nth in range(3):
        world.end("a", nth=nth)
        world.suspend()

    assert sorted(world.keys) == [
        ("0/b", 0),
        *(("a", n) for n in range(3)),
        *((TIMER, n) for n in range(3)),
    ]


def test_a_callback_asks_in_the_scope_in_which_it_was_given() -> None:
    async def root() -> None:
        async def chained() -> None:
            done = asyncio.Event()
            first = asyncio.create_task(call("one"))

            def go_on(_: object) -> None:
                asyncio.create_task(branch("two", 1)).add_done_callback(lambda _: done.set())

            first.add_done_callback(go_on)
            await done.wait()

        await asyncio.gather(chained())

    world = World(root)
    world.suspend()
    world.end("0.0/one")
    world.suspend()

    assert world.names == ["0.0/one", "0.1/two"]


# -- the order of ends -------------------------------------------------------


async def race() -> str:
    tasks = [asyncio.create_task(call(name)) for name in ("a", "b")]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    winners = [task.result() for task in tasks if task in done]
    return f"{winners}, {await call('then', winners)}"


def test_ends_are_delivered_one_at_a_time_so_a_race_has_one_winner() -> None:
    world = World(race)
    world.suspend()
    world.end("1/b", "b")
    world.end("0/a", "a")  # both, before the next attempt

    [new] = world.suspend().new
    assert new.payload == b'[["b"]]'


def test_a_race_stays_decided_when_the_other_end_turns_out_to_be_the_earlier() -> None:
    world = World(race)
    world.suspend()
    world.end("1/b", "b", after_s=10)
    world.suspend()
    world.end("0/a", "a", after_s=-5)  # of a transaction that was longer under way
    world.end("then", "on", after_s=10)

    assert world.attempt() == Finished("['b'], on")


def test_a_set_of_tasks_has_the_same_order_in_each_attempt() -> None:
    async def sets() -> list[str]:
        tasks = {asyncio.create_task(call("t", n), name=f"{n}") for n in range(5)}
        done, _ = await asyncio.wait(tasks)
        return [task.get_name() for task in done]

    world = World(sets)
    world.suspend()
    for n in (3, 1, 4, 0, 2):
        world.end(f"{n}/t")

    assert world.attempt() == Finished(["0", "1", "2", "3", "4"])


def test_steps_come_as_completed() -> None:
    async def completed() -> list[Any]:
        return [await each for each in asyncio.as_completed([call("t", n) for n in range(5)])]

    world = World(completed)
    world.suspend()
    assert [each.payload for each in world.requests.values()] == [b"[%d]" % n for n in range(5)]
    for n in (3, 1, 4, 0, 2):
        world.end(f"{n}/t", n)

    assert world.attempt() == Finished([3, 1, 4, 0, 2])


@pytest.mark.filterwarnings("ignore:coroutine")
def test_as_completed_refuses_coroutines_as_it_begins_them_in_no_certain_order() -> None:
    async def completed() -> None:
        coroutines = [branch("a", 1), branch("b", 1)]
        try:
            for each in asyncio.as_completed(coroutines):
                await each
        finally:
            for left in coroutines:
                left.close()

    ending = World(completed).attempt()

    assert isinstance(ending, Raised)
    assert isinstance(ending.error, RefusedInWorkflow)
    assert "give it tasks, made with asyncio.create_task()" in str(ending.error)


# -- time --------------------------------------------------------------------


def test_a_sleep_is_a_step_that_is_due_at_its_instant() -> None:
    async def sleepy() -> tuple[float, float]:
        await call("one")
        await asyncio.sleep(3600)
        loop = asyncio.get_running_loop()
        return loop.time(), (now() - START).total_seconds()

    world = World(sleepy)
    world.suspend()
    world.end("one", after_s=60)
    [new] = world.suspend().new

    assert new.task == TIMER
    assert new.step == StepOf(world.run, TIMER, 0)
    assert new.run_at == START + timedelta(seconds=3660)

    world.end(TIMER, after_s=4000)
    assert world.attempt() == Finished((4060.0, 4060.0))


def test_a_timer_that_ended_early_by_another_clock_has_come_all_the_same() -> None:
    async def sleepy() -> float:
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time()

    world = World(sleepy)
    world.suspend()
    world.end(TIMER, after_s=99.5)

    assert world.attempt() == Finished(100.0)


def test_a_timer_that_somebody_cancelled_has_ended() -> None:
    async def sleepy() -> str:
        await asyncio.sleep(100)
        return "awake"

    world = World(sleepy)
    world.suspend()
    world.end(TIMER, raises=ValueError("cancelled"))

    assert world.attempt() == Finished("awake")


def test_time_stands_still_between_ends() -> None:
    async def timed() -> list[float]:
        loop = asyncio.get_running_loop()
        times = [loop.time()]
        for _ in range(2):
            await call("one")
            times.append(loop.time())
        return times

    world = World(timed)
    world.suspend()
    world.end("one", after_s=1.5)
    world.suspend()
    world.end("one", nth=1, after_s=-1)  # the store's clock was set back

    assert world.attempt() == Finished([0.0, 1.5, 1.5])


def test_a_timeout_ends_what_takes_too_long() -> None:
    async def impatient() -> str:
        try:
            async with asyncio.timeout(30):
                return str(await call("slow"))
        except TimeoutError:
            return f"too late: {await call('fallback')}"

    world = World(impatient)
    world.suspend()
    assert world.names == [TIMER, "slow"]
    world.end(TIMER, after_s=30)
    suspended = world.suspend()

    assert suspended.abandoned == (world.journal[1].job_id,)
    assert len(suspended.pending) == 1
    world.end("slow", "late")
    world.end("fallback", "plan b")
    assert world.attempt() == Finished("too late: plan b")


def test_a_timer_that_is_not_needed_any_more_when_the_function_waits_is_never_made() -> None:
    async def quick() -> None:
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
        await call("one")

    world = World(quick)
    world.suspend()

    assert world.names == ["one"]


def test_a_timer_that_is_not_needed_any_more_is_abandoned() -> None:
    async def quick() -> None:
        async with asyncio.timeout(30):
            await call("one")
        await call("two")

    world = World(quick)
    world.suspend()
    [timed, _] = world.journal
    world.end("one")

    assert world.suspend().abandoned == (timed.job_id,)
    world.end(TIMER, after_s=60)  # nobody came to cancel it
    world.end("two")
    assert world.attempt() == Finished(None)


def test_a_sleep_that_is_longer_than_time_itself_never_ends() -> None:
    async def forever() -> None:
        await asyncio.wait([asyncio.create_task(asyncio.sleep(float("inf")))])

    with pytest.raises(WorkflowStuck):
        World(forever).attempt()


def test_a_race_that_ended_the_run_stays_decided_while_its_loser_ends() -> None:
    async def race() -> Any:
        racers = [asyncio.ensure_future(call("one")), asyncio.ensure_future(call("two"))]
        done, _ = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()

    world = World(race)
    world.suspend()
    world.end("0/one", "first", after_s=5)
    ended = world.attempt()
    world.end("1/two", "second", after_s=-2)  # as a clock says that another store has

    assert ended == Finished("first", abandoned=(world.journal[1].job_id,))
    assert world.attempt() == Finished("first")


def test_random_numbers_are_the_same_in_each_attempt_and_differ_between_runs() -> None:
    async def chances() -> list[Any]:
        async def one() -> float:
            await call("one")
            return random().random()

        identifier = uuid4()
        return [identifier, *await asyncio.gather(one(), one()), random().random()]

    def played(run: str, first: str, second: str) -> list[Any]:
        world = World(chances, run)
        world.suspend()
        world.end(first)
        world.suspend()
        world.end(second)
        ending = world.attempt()
        assert isinstance(ending, Finished)
        value: list[Any] = ending.value
        return value

    values = played("run-1", "0/one", "1/one")

    assert values == played("run-1", "1/one", "0/one")
    assert not set(values) & set(played("run-2", "0/one", "1/one"))
    assert len(set(values)) == 4
    assert isinstance(values[0], uuid.UUID)
    assert values[0].version == 4


# -- asyncio -----------------------------------------------------------------


def test_locks_events_queues_and_conditions_work() -> None:
    async def pipeline() -> list[Any]:
        queue: asyncio.Queue[Any] = asyncio.Queue(maxsize=1)
        lock, ready, limit = asyncio.Lock(), asyncio.Event(), asyncio.Semaphore(2)
        condition = asyncio.Condition()
        seen: list[Any] = []

        async def produce(n: int) -> None:
            async with limit:
                value = await call("make", n)
            await queue.put(value)

        async def consume() -> None:
            await ready.wait()
            for _ in range(3):
                value = await queue.get()
                async with lock:
                    seen.append(await call("use", value))
                    async with condition:
                        condition.notify_all()

        async def watch() -> None:
            async with condition:
                await condition.wait_for(lambda: len(seen) == 3)

        async with asyncio.TaskGroup() as group:
            for n in range(3):
                group.create_task(produce(n))
            group.create_task(consume())
            group.create_task(watch())
            ready.set()
        return seen

    world = World(pipeline)
    while isinstance(ending := world.attempt(), Suspended):
        name = next(each for each in world.journal if each.ended is None).name
        nth = next(each for each in world.journal if each.ended is None).nth
        payload = world.requests[world.live()[0]].payload
        world.end(name, f"{name}{payload.decode()}", nth=nth)

    assert isinstance(ending, Finished)
    assert len(ending.value) == 3
    assert len(world.journal) == 6


def test_the_context_of_the_attempt_is_seen_in_the_function() -> None:
    name: ContextVar[str] = ContextVar("name")
    resets = []

    async def look() -> list[str]:
        async def inside() -> str:
            before = name.get()
            token = name.set("inner")
            try:
                await call("one")
            finally:
                name.reset(token)  # in the same context, also when it is dropped
                resets.append(name.get())
            return before

        return [await asyncio.create_task(inside()), name.get()]

    token = name.set("outer")
    world = World(look)
    world.suspend()
    world.end("0/one")

    assert world.attempt() == Finished(["outer", "outer"])
    assert resets == ["outer", "outer"]
    name.reset(token)


def test_who_gives_up_waiting_for_a_step_abandons_it() -> None:
    async def fickle() -> Any:
        slow = asyncio.create_task(call("slow"))
        await call("quick")
        slow.cancel()
        return await call("quick")

    world = World(fickle)
    world.suspend()
    world.end("quick")
    slow = next(each.job_id for each in world.journal if each.name == "0/slow")
    suspended = world.suspend()

    assert suspended.abandoned == (slow,)
    assert slow not in suspended.pending
    world.end("0/slow", "ignored")
    world.end("quick", "done", nth=1)
    assert world.attempt() == Finished("done")


def test_what_still_runs_when_the_function_returns_is_cancelled_and_may_clean_up() -> None:
    cleaned = []

    async def root() -> str:
        async def background() -> None:
            try:
                await call("slow")
            finally:
                cleaned.append(await call("clean"))

        asyncio.create_task(background())  # noqa: RUF006
        await call("one")
        return "done"

    world = World(root)
    world.suspend()
    world.end("one")
    suspended = world.suspend()

    assert [each.task for each in suspended.new] == ["clean"]
    world.end("0/clean", "cleaned")
    slow = next(each.job_id for each in world.journal if each.name == "0/slow")
    assert world.attempt() == Finished("done", abandoned=(slow,))
    assert cleaned == ["cleaned"]


def test_what_nobody_looks_at_is_reported_at_the_end() -> None:
    async def root() -> None:
        async def broken() -> None:
            raise ValueError("unseen")

        asyncio.create_task(broken())  # noqa: RUF006
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(lambda: [][0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    ending = World(root).attempt()

    assert isinstance(ending, Finished)
    assert {type(error) for error in ending.unhandled} == {ValueError, IndexError}


def test_a_generator_that_is_left_is_ended() -> None:
    ended = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for n in range(3):
                yield n
        finally:
            ended.append(await call("close"))

    async def root() -> str:
        async for _ in numbers():
            break
        await call("one")
        return str((await asyncio.gather(call("two")))[0])

    world = World(root)
    world.suspend()
    assert sorted(world.names) == ["one", "~0/close"]
    world.end("one")
    world.end("~0/close", "closed")
    world.suspend()
    assert world.names[-1] == "0/two"
    world.end("0/two", 2)

    assert world.attempt() == Finished("2")
    assert ended[-1] == "closed"


# -- what is refused, and what goes wrong ------------------------------------


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (lambda: asyncio.to_thread(print), "run_in_executor()"),
        (lambda: asyncio.open_connection("127.0.0.1", 1), "create_connection()"),
        (lambda: asyncio.create_subprocess_exec("true"), "subprocess_exec()"),
        (lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1), "getaddrinfo()"),
        (lambda: asyncio.get_running_loop().stop(), "stop()"),
    ],
)
def test_what_reaches_outside_is_refused_and_told_what_to_do(asked: Any, named: str) -> None:
    async def reaching() -> None:
        await asked()

    ending = World(reaching).attempt()

    assert isinstance(ending, Raised)
    assert isinstance(ending.error, RefusedInWorkflow)
    assert str(ending.error) == (
        f"{named} cannot be used in a workflow: do this in a task, and await the task"
    )


def test_another_thread_cannot_call_into_a_workflow() -> None:
    refused: list[BaseException] = []

    async def threaded() -> None:
        loop = asyncio.get_running_loop()

        def outside() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except RefusedInWorkflow as error:
                refused.append(error)

        thread = threading.Thread(target=outside)
        thread.start()
        thread.join()
        loop.call_soon_threadsafe(refused.clear)  # its own thread may
        await asyncio.sleep(0)

    assert World(threaded).attempt() == Finished(None)
    assert refused == []


def test_a_step_with_other_arguments_than_recorded_is_a_divergence_that_no_code_can_catch() -> None:
    amount = 1
    caught = []

    async def changed() -> str:
        try:
            await call("pay", amount)
        except Exception as error:
            caught.append(error)
        finally:
            await call("other")
        return "paid"

    world = World(changed)
    world.suspend()
    amount = 2
    with pytest.raises(WorkflowDiverged) as seen:
        world.attempt()

    assert caught == []
    error = seen.value
    assert (error.run_id, error.step, error.nth) == ("run", "pay", 0)
    assert error.recorded == world.journal[0].print
    assert error.asked == replay.print_of("pay", request("pay", 2).payload)
    line = changed.__code__.co_firstlineno + 2
    assert error.where == f"{__file__}:{line} in changed"
    assert all(fact in str(error) for fact in (error.recorded, error.asked, error.where, "'pay'"))


def test_a_step_that_is_recorded_and_not_asked_for_any_more_is_reported() -> None:
    names = ["old"]

    async def changed() -> None:
        async with asyncio.timeout(5):
            for name in names:
                await call(name)

    world = World(changed)
    world.suspend()
    names = ["new"]
    suspended = world.attempt()
    assert isinstance(suspended, Suspended)
    assert [each.name for each in suspended.unreached] == ["old"]

    names = []
    ending = world.attempt()
    assert isinstance(ending, Finished)
    assert [each.name for each in ending.unreached] == ["old", "new"]
    assert len(ending.abandoned) == 3  # the timer too


def test_a_function_that_waits_for_what_no_step_will_end_is_stuck() -> None:
    async def waits_for_nothing() -> None:
        await asyncio.Event().wait()

    with pytest.raises(WorkflowStuck) as seen:
        World(waits_for_nothing).attempt()

    line = waits_for_nothing.__code__.co_firstlineno + 1
    assert seen.value.where == f"{__file__}:{line} in waits_for_nothing"
    assert seen.value.where in str(seen.value)


def test_a_function_that_goes_round_without_waiting_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def restless() -> None:
        while True:
            await asyncio.sleep(0)

    monkeypatch.setattr("windlass.core.replay_loop.CALLS_MAX", 1000)
    with pytest.raises(WorkflowStuck, match="without waiting"):
        World(restless).attempt()


def test_an_interrupt_goes_through() -> None:
    async def interrupted() -> None:
        asyncio.create_task(call("one"))  # noqa: RUF006
        await asyncio.sleep(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        World(interrupted).attempt()


def test_outside_of_a_workflow_there_is_nothing_to_ask() -> None:
    assert replay.current() is None
    with pytest.raises(NotInRun, match="'one'"):
        replay.step(request("one"))


def test_a_step_that_is_made_and_not_awaited_warns() -> None:
    async def forgetful() -> None:
        call("lost")

    with pytest.warns(RuntimeWarning, match="step 'lost' was never awaited"):
        assert World(forgetful).attempt() == Finished(None)


# -- suspension --------------------------------------------------------------


def test_a_suspension_is_seen_by_no_except_clause() -> None:
    seen = []

    async def careful() -> str:
        try:
            return str(await call("one"))
        except (Exception, asyncio.CancelledError) as error:
            seen.append(error)
            return "caught"

    world = World(careful)
    world.suspend()
    world.end("one", "value")

    assert world.attempt() == Finished("value")
    assert seen == []


def test_a_function_sees_nothing_of_what_those_do_that_it_calls_when_they_are_dropped() -> None:
    seen = []

    async def slow_to_end() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(call("inner"))
                await call("one")
        finally:
            await asyncio.sleep(1)

    async def generated() -> AsyncIterator[None]:
        try:
            await slow_to_end()
            yield
        except Exception as error:
            seen.append(error)

    async def careful() -> None:
        try:
            async for _ in generated():
                pass
        except Exception as error:
            seen.append(error)

    World(careful).suspend()

    assert seen == []


def test_finally_runs_at_each_suspension_and_what_it_asks_for_is_not_heard() -> None:
    ran = []

    async def tidy() -> None:
        lock = asyncio.Lock()
        try:
            async with lock, asyncio.timeout(10), asyncio.TaskGroup() as group:
                group.create_task(call("inner"))
                await call("one")
        finally:
            ran.append("plain")
            asyncio.create_task(call("task"))  # noqa: RUF006
            await asyncio.sleep(1)
            await call("cleanup")
            ran.append("after")

    world = World(tidy)
    world.suspend()
    assert sorted(world.names) == ["0/inner", "one", TIMER]
    assert ran == ["plain"]
    world.suspend()
    assert ran == ["plain", "plain"]


def test_what_finally_runs_as_it_is_dropped_may_use_timeouts_and_groups() -> None:
    seen = []

    async def tidy() -> None:
        try:
            await call("one")
        finally:
            try:
                async with asyncio.timeout(1), asyncio.TaskGroup() as group:
                    group.create_task(call("inner"))
                await asyncio.wait_for(branch("two", 1), 1)
            except Exception as error:
                seen.append(error)

    world = World(tidy)
    world.suspend()

    assert seen == []
    assert world.names == ["one"]


def test_code_that_catches_everything_and_tries_again_is_dropped_too() -> None:
    async def stubborn() -> Any:
        while True:
            try:
                return await call("one")
            except BaseException:
                await asyncio.sleep(1)

    world = World(stubborn)
    world.suspend()

    assert world.names == ["one"]


def test_code_that_returns_from_being_dropped_does_not_end_the_run() -> None:
    async def hasty() -> str:
        try:
            return str(await call("one"))
        except BaseException:
            return "caught"

    assert isinstance(World(hasty).attempt(), Suspended)


def test_coroutines_that_were_not_begun_are_dropped_quietly() -> None:
    async def held() -> list[Any]:
        plain = branch("a", 1)
        listed = [branch("b", n) for n in range(2)]
        nested = {"key": (branch("c", 1), [branch("d", 1)])}
        lazy = call("e")
        results: list[Any] = [branch("f", 1), await call("one")]  # on the stack as it waits
        for each in (plain, *listed, *nested["key"][1], lazy):
            await each
        return results

    World(held).suspend()


def test_generators_are_dropped_quietly() -> None:
    ended = []

    async def numbers() -> AsyncIterator[Any]:
        try:
            yield 1
            yield await call("inside")
        finally:
            ended.append("plain")
            await asyncio.sleep(0)
            ended.append("after")

    async def at_the_yield() -> None:
        async for _ in numbers():
            await call("one")

    async def inside() -> None:
        async for _ in numbers():
            pass

    World(at_the_yield).suspend()
    World(inside).suspend()

    assert ended == ["plain", "plain"]


def test_what_steps_returned_does_not_wait_for_the_collector() -> None:
    class Value:
        pass

    gc.disable()
    try:
        seen: list[weakref.ref[Any]] = []

        def value() -> Value:
            made = Value()
            seen.append(weakref.ref(made))
            return made

        async def root() -> None:
            first = await call("one")
            await asyncio.gather(call("two"), call("three", str(first)))

        new = request("one")
        journal = [Recorded("one", 0, "", new.id, StepEnd(START, value))]
        ending = Replay(JobId("run"), START, journal, timer).run(root)

        assert isinstance(ending, Suspended)
        assert [each() for each in seen] == [None]
    finally:
        gc.enable()


def test_an_attempt_within_another_loop_leaves_that_as_it_was() -> None:
    async def outer() -> Any:
        loop = asyncio.get_running_loop()
        world = World(two_steps)
        world.suspend()
        assert asyncio.get_running_loop() is loop
        world.end("double", 4)
        world.suspend()
        await asyncio.sleep(0)
        return world.keys

    assert asyncio.run(outer()) == [("double", 0), ("double", 1)]
