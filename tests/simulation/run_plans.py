"""Random DAGs, and random programs of workflows, as data that the reckoning can read again."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulation.run_tasks import STEPS, SURE
from windlass import App, Concurrency, Rule
from windlass.workflows import now
from windlass.workflows import random as same_random

SHARES = [0.0, 0.0, 0.01, 0.1, 0.4, 1.0]  # seconds that a step takes
RULES = tuple(rule for rule in Rule if rule is not Rule.ALWAYS)
NUMBERS = 3  # so many runs of a function differ


@dataclass(frozen=True)
class StepPlan:
    """One step of a DAG: what it is given, by places of steps before it.

    number: None for that of the run.   one: a place, or "run" for the argument of the run.
    """

    task: str
    number: int | None
    seconds: float
    one: int | str | None
    many: tuple[int, ...]
    after: tuple[int, ...]
    rule: Rule | None

    @property
    def parents(self) -> frozenset[int]:
        """The places of all for which it waits."""
        one = () if self.one is None or isinstance(self.one, str) else (self.one,)
        return frozenset((*one, *self.many, *self.after))


@dataclass(frozen=True)
class DagPlan:
    """A DAG.  ends: places; an int: of the only one."""

    steps: tuple[StepPlan, ...]
    ends: tuple[int, ...] | int | None
    most: int | None  # runs at once


def random_dag(chance: random.Random, runs: list[str]) -> DagPlan:
    """Return a DAG of up to 30 steps, some of which may be runs of these names."""
    count = chance.choice([1, 2, 3, 4, 6, 8, 12]) if chance.random() < 0.95 else 30
    fan = chance.choice([1, 2, 5])
    bad = chance.choice([0.0, 0.1, 0.4])
    plans = [_random_step(chance, place, runs, fan, bad) for place in range(count)]
    places = list(range(count))
    ends = chance.choice(["none", "one", "list"])
    some = chance.sample(places, chance.randint(1, min(3, count)))
    return DagPlan(
        tuple(plans),
        None if ends == "none" else some[0] if ends == "one" else tuple(some),
        chance.choice([None, None, None, 1, 2]),
    )


def _random_step(
    chance: random.Random, place: int, runs: list[str], fan: int, bad: float
) -> StepPlan:
    parents = chance.sample(range(place), min(place, chance.randint(0, fan)))
    one: int | str | None = chance.choice([None, "run"])
    many: list[int] = []
    after: list[int] = []
    task = chance.choice(SURE)
    if chance.random() < bad:
        task = chance.choice(["fails", "gives_up", "limited", "goes_on"])
    if runs and chance.random() < 0.1:
        task = chance.choice(runs)
    for parent in parents:
        match chance.choice(["one", "many", "after"]):
            case "one" if not isinstance(one, int):
                one = parent
            case "many" if task in STEPS:
                many.append(parent)
            case _:
                after.append(parent)
    rule: Rule | None = None
    if parents and chance.random() < 0.7:
        rule = chance.choice(RULES)
    elif not parents and chance.random() < 0.1:
        rule = Rule.ALWAYS
    number = None if chance.random() < 0.2 else chance.randrange(1000)
    seconds = chance.choice(SHARES) if chance.random() < 0.98 else 5.0
    return StepPlan(task, number, seconds, one, tuple(many), tuple(after), rule)


def register_dag(app: App, name: str, plan: DagPlan) -> None:
    """Register a DAG that is declared as it is planned."""
    limits = [] if plan.most is None else [Concurrency(plan.most)]

    @app.dag(name=name, limits=limits)
    def declared(number: int, one: Any = None) -> Any:
        results: list[Any] = []
        for place, step in enumerate(plan.steps):
            given: dict[str, Any] = {"number": number if step.number is None else step.number}
            if step.one is not None:
                given["one"] = one if isinstance(step.one, str) else results[step.one]
            if step.many:
                given["many"] = [results[parent] for parent in step.many]
            if step.task in STEPS:
                given["seconds"] = step.seconds
            options: dict[str, Any] = {"rule": step.rule} if step.rule else {}
            after = [results[parent] for parent in step.after]
            called = app.task_named(step.task).step(name=step_name(place), after=after, **options)
            results.append(called(**given))
        if plan.ends is None:
            return None
        if isinstance(plan.ends, int):
            return results[plan.ends]
        return [results[place] for place in plan.ends]


def step_name(place: int) -> str:
    """Return the name of the step in a place of a DAG."""
    return f"s{place}"


# -- workflows ----------------------------------------------------------------


@dataclass(frozen=True)
class Node:
    """A part of a program.  number: of its own.   task: of a step."""

    kind: str
    number: int = 0
    seconds: float = 0.0
    task: str = ""
    inner: tuple["Node", ...] = ()

    def __iter__(self) -> Iterator["Node"]:
        yield self
        for each in self.inner:
            yield from each


INNER = ("seq", "seq", "gather", "gather", "group", "race", "timeout", "catch", "finally", "leave")
# What these come to depends on which of two ends first, or on a run that plain code cannot make.
UNLIKE_PLAIN = frozenset({"race", "timeout", "clock", "dice"})


def random_program(chance: random.Random, flows: list[str], dags: list[str]) -> Node:
    """Return a program of a workflow that may run others as its steps."""
    size = chance.choice([1, 2, 3, 4, 6, 8])
    wild = chance.random() < 0.5
    return _random_node(chance, [size], 0, flows, dags, wild)


def _random_node(
    chance: random.Random,
    left: list[int],
    depth: int,
    flows: list[str],
    dags: list[str],
    wild: bool,
) -> Node:
    number = chance.randrange(1000)
    if depth > 3 or left[0] <= 1 or (depth and chance.random() < 0.3):
        left[0] -= 1
        return _random_leaf(chance, number, flows, dags, wild)
    kind = chance.choice(INNER)
    if not wild and kind in UNLIKE_PLAIN:
        kind = "seq"
    counts = {"timeout": 1, "catch": 1, "finally": 2, "leave": 2}
    count = counts.get(kind) or chance.randint(1, 4)
    inner = (_random_node(chance, left, depth + 1, flows, dags, wild) for _ in range(count))
    return Node(kind, number, chance.choice([0.2, 1.0, 3.0]), inner=tuple(inner))


def _random_leaf(
    chance: random.Random, number: int, flows: list[str], dags: list[str], wild: bool
) -> Node:
    seconds = chance.choice(SHARES) if chance.random() < 0.97 else 5.0
    kinds = ["step"] * 12 + ["bad", "sleep", "sleep"]
    kinds += ["flow", "flow"] if flows else []
    kinds += ["clock", "dice", "limited", "goes_on", "dag"] if wild else []
    match chance.choice(kinds):
        case "bad":
            return Node("step", number, seconds, chance.choice(["fails", "gives_up"]))
        case "sleep":
            return Node("sleep", number, chance.choice([0.1, 0.7, 2.0, 4.0]))
        case "flow":
            return Node("run", number, 0.0, chance.choice(flows))
        case "dag":
            return Node("run", number, 0.0, chance.choice(dags))
        case "limited" | "goes_on" as task:
            return Node("step", number, seconds, task)
        case "clock" | "dice" as kind:
            return Node(kind, number, seconds, "sure")
        case _:
            return Node("step", number, seconds, chance.choice(SURE))


async def play(app: App, node: Node, number: int) -> Any:
    """Run a program for the run of a number."""
    match node.kind:
        case "step":
            return await app.task_named(node.task)(node.number + number, node.seconds)
        case "run":
            return await app.task_named(node.task)(node.number % NUMBERS)
        case "clock":
            return await app.task_named(node.task)(round(now().timestamp() * 1e6), node.seconds)
        case "dice":
            return await app.task_named(node.task)(same_random().randrange(10**6), node.seconds)
        case "sleep":
            await asyncio.sleep(node.seconds)
            return "slept"
        case "seq":
            return [await play(app, each, number) for each in node.inner]
        case "gather":
            return list(await asyncio.gather(*(play(app, each, number) for each in node.inner)))
        case "group":
            async with asyncio.TaskGroup() as tasks:
                made = [tasks.create_task(play(app, each, number)) for each in node.inner]
            return [task.result() for task in made]
        case "race":
            return await _race(app, node, number)
        case "timeout":
            async with asyncio.timeout(node.seconds):
                return await play(app, node.inner[0], number)
        case "catch":
            try:
                return await play(app, node.inner[0], number)
            except Exception:
                return "caught"
        case "finally":
            try:
                return await play(app, node.inner[0], number)
            finally:
                await play(app, node.inner[1], number)
        case "leave":
            left = asyncio.create_task(play(app, node.inner[0], number))
            left.add_done_callback(lambda task: task.cancelled() or task.exception())
            return await play(app, node.inner[1], number)
    raise AssertionError(node.kind)


async def _race(app: App, node: Node, number: int) -> Any:
    tasks = [asyncio.create_task(play(app, each, number)) for each in node.inner]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return [task.result() for task in tasks if task in done]


def register_flow(app: App, name: str, program: Node, most: int | None) -> None:
    """Register a workflow that runs a program."""
    limits = [] if most is None else [Concurrency(most)]

    @app.workflow(name=name, limits=limits)
    async def flow(number: int, one: Any = None) -> Any:
        return await play(app, program, number)


def is_like_plain(program: Node, alike: set[str]) -> bool:
    """Tell whether plain code comes to the same.  alike: the runs of which that is known."""
    return all(
        node.kind not in UNLIKE_PLAIN
        and node.task not in ("limited", "goes_on")
        and (node.kind != "run" or node.task in alike)
        for node in program
    )
