"""Graphs: the steps of a DAG as they are declared, and the jobs that a run makes of them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Never

from msgspec.structs import replace as with_

from windlass.core.names import check_name
from windlass.core.steps import as_step
from windlass.errors import BadDag
from windlass.model.jobs import Edge, JobId, Rule, StepOf
from windlass.model.outcomes import Continued
from windlass.stepping import StepOptions, Steppable

STEPS_MAX = 10_000


class Unknown:
    """A value that only a run has: what stands for it while the DAG is declared.

    It can be passed to a step, and nothing else.
    """

    def __init__(self, dag: str, what: str) -> None:
        self._dag = dag
        self._what = what

    def __repr__(self) -> str:
        return f"<{self._what} of DAG {self._dag!r}>"

    def _refuse(self, *_: object) -> Never:
        why = (
            f"the {self._what} is known only when it runs: pass it to a step, whole; what depends "
            "on its value is work for a task"
        )
        raise BadDag(self._dag, why)

    def __getattr__(self, name: str) -> Never:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    __bool__ = __iter__ = __len__ = __getitem__ = __call__ = __contains__ = _refuse
    __str__ = __format__ = __int__ = __float__ = __index__ = _refuse
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = _refuse
    __hash__ = object.__hash__


class Parameter(Unknown):
    """An argument of the run."""

    def __init__(self, dag: str, name: str) -> None:
        super().__init__(dag, f"argument {name!r}")
        self.parameter = name


class StepResult(Unknown):
    """The result of a step.  ``place`` is that of the step among those of its DAG."""

    def __init__(self, dag: str, name: str, place: int) -> None:
        super().__init__(dag, f"result of step {name!r}")
        self.place = place


@dataclass(frozen=True, slots=True)
class Need:
    """That a step waits for another, and which of its parameters the result becomes.

    parent: place of the other step.   slot, position: as those of an ``Edge``.
    """

    parent: int
    slot: str | None = None
    position: int | None = None


@dataclass(frozen=True, slots=True)
class GraphStep:
    """A step as it is declared.

    given: its arguments by name, those of the run as ``Parameter``.
    """

    name: str
    nth: int
    task: Steppable
    given: Mapping[str, Any]
    needs: tuple[Need, ...]
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Graph:
    """The steps of a DAG, each behind those that it needs.

    ends:    places of the steps whose results are the result of the run.
    is_list: whether that is the list of theirs.
    """

    name: str
    steps: tuple[GraphStep, ...]
    ends: tuple[int, ...]
    is_list: bool

    def unfolded(
        self, run: JobId, arguments: Mapping[str, Any], headers: dict[str, str]
    ) -> Continued:
        """Return the jobs of a run.  headers: of the run's own job.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadLimitKey.
        """
        ids = [step.task.app.new_job_id() for step in self.steps]
        requests = []
        for job_id, step in zip(ids, self.steps, strict=True):
            edges = tuple(Edge(ids[need.parent], need.slot, need.position) for need in step.needs)
            given = {name: filled(value, arguments) for name, value in step.given.items()}
            request = step.task.prepare_step(given, edges, step.rule)
            of = StepOf(run, step.name, step.nth)
            requests.append(as_step(with_(request, id=job_id, step=of), headers))
        ends = tuple(ids[place] for place in self.ends)
        return Continued(tuple(requests), ends, self.is_list, tuple(ids), Rule.ALL_DONE)


class GraphBuilder:
    """Takes in the calls of tasks that a DAG's function makes."""

    is_awaited = False

    def __init__(self, dag: str) -> None:
        self._dag = dag
        self._steps: list[GraphStep] = []
        self._results: list[StepResult] = []
        self._names: Counter[str] = Counter()

    def call(
        self,
        task: Steppable,
        options: StepOptions,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> StepResult:
        """Add a step; return what stands for its result.

        Raises: BadDag; BadArguments, NotEncodable, for arguments that are known already.
        """
        name = options.name or task.spec.function.__name__
        check_name("name", name)
        if len(self._steps) == STEPS_MAX:
            self._refuse(f"it has more than {STEPS_MAX:,} steps")
        given, needs = self._split(name, task.spec.signature.given(args, kwargs))
        needs += [Need(result.place) for result in self._awaited(name, options.after)]
        rule = options.rule or Rule.ALL_SUCCESS
        if rule is Rule.ALWAYS and needs:
            self._refuse(
                f"step {name!r} starts always, so there is nothing to wait for or be given"
            )
        if rule not in (Rule.ALWAYS, Rule.ALL_SUCCESS) and not needs:
            self._refuse(f"step {name!r} has the rule {rule.value!r}, but waits for nothing")
        nth = self._names[name]
        self._names[name] += 1
        step = GraphStep(name, nth, task, given, tuple(needs), rule if needs else None)
        if not any(True for value in given.values() for _ in parameters_in(value)):
            edges = tuple(Edge(JobId(""), need.slot, need.position) for need in needs)
            task.prepare_step(given, edges, step.rule)  # what is wrong is told here
        self._steps.append(step)
        self._results.append(StepResult(self._dag, name, len(self._results)))
        return self._results[-1]

    def refuse_store(self) -> Never:
        """Refuse an enqueue, or whatever else is asked of the store."""
        self._refuse(
            "its function uses the store (to enqueue, or to look at jobs), but it only declares: "
            "call the task, which makes a step of it; all else is work for a task"
        )

    def graph(self, returned: object) -> Graph:
        """Return the graph.  returned: what the DAG's function did.  Raises: BadDag."""
        if not self._steps:
            self._refuse("it has no steps: its function calls no task")
        is_list = isinstance(returned, list | tuple)
        ends: list[StepResult] = []
        for result in returned if isinstance(returned, list | tuple) else (returned,):
            if isinstance(result, StepResult):
                ends.append(self._own(result))
            elif result is not None or is_list:
                what = "the result of a step, a list of such, or None"
                self._refuse(f"it returns {result!r}; it may return {what}")
        places = tuple(result.place for result in ends)
        return Graph(self._dag, tuple(self._steps), places, is_list)

    def _split(self, name: str, given: dict[str, Any]) -> tuple[dict[str, Any], list[Need]]:
        """Part the arguments that other steps give from those that are known before."""
        known: dict[str, Any] = {}
        needs: list[Need] = []
        for slot, value in given.items():
            if isinstance(value, StepResult):
                needs.append(Need(self._own(value).place, slot))
                continue
            results = list(results_in(value))
            if not results:
                known[slot] = value
            elif isinstance(value, list | tuple) and len(results) == len(value):
                needs += [Need(self._own(one).place, slot, n) for n, one in enumerate(results)]
            else:
                why = (
                    f"step {name!r}: its argument {slot!r} has the result of a step inside of it; "
                    "pass the result itself, or a list of results and nothing else"
                )
                self._refuse(why)
        return known, needs

    def _awaited(self, name: str, after: tuple[object, ...]) -> Iterator[StepResult]:
        for one in after:
            if not isinstance(one, StepResult):
                self._refuse(f"step {name!r}: after={one!r} is not the result of a step")
            yield self._own(one)

    def _own(self, result: StepResult) -> StepResult:
        mine = self._results[result.place] if result.place < len(self._results) else None
        if mine is not result:
            self._refuse(f"{result!r} is of another DAG")
        return result

    def _refuse(self, why: str) -> Never:
        raise BadDag(self._dag, why)


def results_in(value: Any) -> Iterator[StepResult]:
    """Yield the results of steps that stand in a value of lists, tuples and dicts."""
    yield from (one for one in _unknowns(value) if isinstance(one, StepResult))


def parameters_in(value: Any) -> Iterator[Parameter]:
    """Yield the arguments of the run that stand in a value of lists, tuples and dicts."""
    yield from (one for one in _unknowns(value) if isinstance(one, Parameter))


def _unknowns(value: Any) -> Iterator[Unknown]:
    if isinstance(value, Unknown):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _unknowns(key)
            yield from _unknowns(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from _unknowns(one)


def filled(value: Any, arguments: Mapping[str, Any]) -> Any:
    """Return a value with the arguments of the run in it."""
    if isinstance(value, Parameter):
        return arguments[value.parameter]
    if not any(True for _ in parameters_in(value)):
        return value
    if isinstance(value, Mapping):
        return {filled(key, arguments): filled(one, arguments) for key, one in value.items()}
    parts = (filled(one, arguments) for one in value)
    if hasattr(value, "_make"):  # a named tuple
        return value._make(parts)
    return type(value)(parts)
