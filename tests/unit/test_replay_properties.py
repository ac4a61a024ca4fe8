"""What holds for every workflow, in whatever order and grouping its steps end.

A program is a tree; ``play`` runs it. It runs here attempt after attempt over a journal, once
over the whole journal, and on the event loop of asyncio itself, where the ends come in the same
order.
"""

import asyncio
import gc
import itertools
import math
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.replays import START, World, call, timer
from windlass.core.replay import TIMER, Ending, Finished, Replay, Suspended
from windlass.model.jobs import JobId

ATTEMPTS_MAX = 200
TURNS = 100  # of asyncio's loop, after which nothing in a program as small as these still runs

RACES = ("race", "timeout")
TIMERS = ("timeout", "sleep")


@dataclass(frozen=True)
class Node:
    """A part of a program.  number: of its own, for what has a step; ``play`` tells the kinds."""

    kind: str
    number: int
    inner: tuple["Node", ...] = ()

    def __iter__(self) -> Iterator["Node"]:
        yield self
        for each in self.inner:
            yield from each

    def __repr__(self) -> str:
        parts = [str(self.number), *map(repr, self.inner)]
        return f"{self.kind}({', '.join(parts)})"


async def play(node: Node, step: Callable[[Node], Any]) -> Any:
    """Run a program; ``step`` makes an awaitable of what has a number."""
    match node.kind:
        case "step" | "fail":
            return await step(node)
        case "sleep":
            await asyncio.sleep(node.number)
            return "slept"
        case "seq":
            return [await play(each, step) for each in node.inner]
        case "gather":
            return list(await asyncio.gather(*(play(each, step) for each in node.inner)))
        case "group":
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(play(each, step)) for each in node.inner]
            return [task.result() for task in tasks]
        case "race":
            return await _race(node, step)
        case "timeout":
            return await asyncio.wait_for(play(node.inner[0], step), node.number)
        case "catch":
            try:
                return await play(node.inner[0], step)
            except Exception as error:
                return f"caught {type(error).__name__}"
        case "finally":
            try:
                return await play(node.inner[0], step)
            finally:
                await play(node.inner[1], step)
        case _:
            raise AssertionError(node.kind)


async def _race(node: Node, step: Callable[[Node], Any]) -> Any:
    tasks = [asyncio.create_task(play(each, step)) for each in node.inner]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return [task.result() for task in tasks if task in done]


def programs(*kinds: str) -> st.SearchStrategy[Node]:
    """Return small programs of these kinds of nodes."""
    leaves = [each for each in ("step", "fail", "sleep") if each in kinds]
    leaf = st.builds(Node, st.sampled_from(leaves), st.just(0))

    def around(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
        parts = {
            "seq": st.lists(inner, min_size=1, max_size=3),
            "gather": st.lists(inner, max_size=3),
            "group": st.lists(inner, max_size=3),
            "race": st.lists(inner, min_size=1, max_size=3),
            "timeout": st.lists(inner, min_size=1, max_size=1),
            "catch": st.lists(inner, min_size=1, max_size=1),
            "finally": st.lists(inner, min_size=2, max_size=2),
        }
        chosen = [
            st.builds(Node, st.just(kind), st.just(0), parts[kind].map(tuple))
            for kind in parts
            if kind in kinds
        ]
        return st.one_of(*chosen)

    return st.recursive(leaf, around, max_leaves=8).map(_numbered)


def _numbered(program: Node) -> Node:
    numbers = itertools.count(1)

    def number(node: Node) -> Node:
        return Node(node.kind, next(numbers), tuple(map(number, node.inner)))

    return number(program)


def value_of(task: str, number: int) -> int:
    """Return what a task returns, from its arguments alone."""
    if task == "fail":
        raise ValueError(number)
    return number * 10


def workflow_of(program: Node) -> Callable[[], Coroutine[Any, Any, Any]]:
    """Return a program as the function of a workflow."""

    async def function() -> Any:
        return await play(program, lambda node: call(node.kind, node.number))

    return function


def played(program: Node, data: st.DataObject) -> tuple[World, Any]:
    """Run a program to its end; each attempt finds some more steps ended, in some order."""
    world = World(workflow_of(program))
    for _ in range(ATTEMPTS_MAX):
        ending = world.attempt()
        if not isinstance(ending, Suspended):
            return world, told(ending)
        assert ending.unreached == ()
        first = data.draw(st.sampled_from(sorted(ending.pending)), "the first to end")
        others = data.draw(st.lists(st.sampled_from(world.live()), unique=True), "more")
        for job_id in dict.fromkeys([first, *others]):
            end(world, job_id, data.draw(st.integers(-2, 3), "seconds later"))
    raise AssertionError("it does not end")


def end(world: World, job_id: JobId, after_s: int) -> None:
    """End a step as its task would."""
    [recorded] = [each for each in world.journal if each.job_id == job_id]
    task = world.requests[job_id].task
    value, raises = None, None
    if task != TIMER:
        try:
            value = value_of(task, _number(world, job_id))
        except ValueError as error:
            raises = error
    world.end(recorded.name, value, nth=recorded.nth, after_s=after_s, raises=raises)


def told(ending: Ending[Any]) -> str:
    """Return how a run ended, as a text to compare."""
    assert not isinstance(ending, Suspended)
    assert ending.unreached == ()
    return f"value {ending.value!r}" if isinstance(ending, Finished) else _error(ending.error)


def _error(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__} {[_error(each) for each in error.exceptions]}"
    return f"{type(error).__name__} {error}"


def on_asyncio(program: Node, order: Sequence[int]) -> str:
    """Run a program on asyncio's own loop, where its steps end in this order."""
    asked: dict[int, tuple[Node, asyncio.Future[Any]]] = {}

    is_over = False

    async def ask(node: Node) -> Any:
        if is_over:  # what is left is cancelled, and cleans up
            return None
        assert node.number not in asked, "a step is made once"
        asked[node.number] = (node, asyncio.get_running_loop().create_future())
        return await asked[node.number][1]

    async def drive() -> str:
        nonlocal is_over
        # A loser's error that nobody looks at is told, which is not what is compared here.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        root = asyncio.create_task(play(program, ask))
        while True:
            await _until_dry()
            waited_for = [n for n in order if n in asked and not asked[n][1].done()]
            if root.done() or not waited_for:
                break
            number = waited_for[0]
            node, future = asked[number]
            try:
                future.set_result(value_of(node.kind, number))
            except ValueError as error:
                future.set_exception(error)
        is_over = True
        try:
            return f"value {root.result()!r}"
        except Exception as error:
            return _error(error)

    return asyncio.run(drive())


async def _until_dry() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """What attempts leave for the collector must not complain when that comes."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        yield
        gc.collect()

    assert [str(each.message) for each in seen] == []


@settings(max_examples=300, deadline=None)
@given(programs("step", "fail", "seq", "gather", "group", "catch", "finally"), st.data())
def test_without_a_race_no_order_of_ends_changes_the_value(
    program: Node, data: st.DataObject
) -> None:
    fails = any(node.kind == "fail" for node in program)
    world, result = played(program, data)

    if not fails:  # which of two errors comes first is a race as well
        assert result == f"value {_plain(program)!r}"
        assert sorted(_numbers(world)) == [n.number for n in program if n.kind == "step"]
    assert len(set(_numbers(world))) == len(world.journal)


@settings(max_examples=300, deadline=None)
@given(programs("step", "fail", "seq", "gather", "group", "race", "catch", "finally"), st.data())
def test_a_run_in_many_attempts_ends_as_on_asyncio_with_the_same_order_of_ends(
    program: Node, data: st.DataObject
) -> None:
    world, result = played(program, data)
    ends = sorted(
        (each.ended.turn or math.inf, each.ended.at, each.job_id)
        for each in world.journal
        if each.ended is not None
    )

    assert on_asyncio(program, [_number(world, job_id) for _, _, job_id in ends]) == result


@settings(max_examples=300, deadline=None)
@given(
    programs("step", "fail", "seq", "gather", "group", "catch", "finally", *RACES, *TIMERS),
    st.data(),
)
def test_a_run_in_many_attempts_ends_as_one_over_the_whole_journal(
    program: Node, data: st.DataObject
) -> None:
    world, result = played(program, data)
    again = Replay(world.run, START, world.journal, timer).run(world.function)

    assert told(again) == result


def _numbers(world: World) -> list[int]:
    return [_number(world, job_id) for job_id in world.requests]


def _number(world: World, job_id: JobId) -> int:
    return int(world.requests[job_id].payload[1:-1])


def _plain(node: Node) -> Any:
    match node.kind:
        case "step":
            return value_of("step", node.number)
        case "seq" | "gather" | "group":
            return [_plain(each) for each in node.inner]
        case _:
            return _plain(node.inner[0])
