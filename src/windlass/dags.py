"""DAGs as users hold them: tasks whose jobs are runs of a graph of steps."""

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any, Generic, ParamSpec, Protocol, TypeVar

from windlass.core.context import context
from windlass.core.continuation import Continuation
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec
from windlass.errors import BadDag, NotInRun, WindlassError
from windlass.graphs import Graph, GraphBuilder, Parameter
from windlass.model.jobs import RunKind
from windlass.model.outcomes import Continued
from windlass.stepping import calls_are_steps, stepping
from windlass.tasks import Task

P = ParamSpec("P")
R = TypeVar("R")

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Unfolding(Continuation):
    """What an attempt of a run returns: the run goes on as its steps."""

    def __init__(self, graph: Graph, arguments: dict[str, Any]) -> None:
        self._graph = graph
        self._arguments = arguments

    def continued(self) -> Continued:
        """Return the jobs of the steps."""
        current = context()
        return self._graph.unfolded(current.job_id, self._arguments, current.headers)


class Unfolder:
    """What an attempt of a run calls: it makes the steps of a run of the declared graph.

    function: declares the graph; called once, with what stands for arguments.
    """

    def __init__(self, name: str, function: Callable[..., Any], signature: Signature) -> None:
        self._name = name
        self._function = function
        self._signature = signature
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Unfolding:
        return Unfolding(self.graph, self._signature.bound(args, kwargs))

    @functools.cached_property
    def graph(self) -> Graph:
        """The graph.  Raises: BadDag; BadArguments, NotEncodable, for a step's arguments."""
        builder = GraphBuilder(self._name)
        placeholders = {name: Parameter(self._name, name) for name in self._signature.names}
        try:
            with calls_are_steps(builder):
                returned = self._function(**placeholders)
        except WindlassError:
            raise
        except Exception as error:
            why = f"its function raised {type(error).__name__}: {error}"
            raise BadDag(self._name, why) from error
        return builder.graph(returned)


class Dag(Task[P, R, R], Generic[P, R]):
    """A graph of steps under a name: each of its jobs is a run.

    It is enqueued, scheduled and backfilled as a task is; the result of a run is what the
    function returned: the result of a step, or a list of such.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Make a run of it a step, where another DAG is declared or a workflow runs.

        Raises: NotInRun, anywhere else: enqueue it.
        """
        if stepping() is None:
            raise NotInRun(self.name, "a DAG cannot be called; enqueue it")
        return super().__call__(*args, **kwargs)

    @property
    def graph(self) -> Graph:
        """Its steps, as its function declares them.

        Raises: BadDag; BadArguments, NotEncodable, for a step's arguments.
        """
        assert isinstance(self.spec.function, Unfolder)
        return self.spec.function.graph

    @property
    def fault(self) -> WindlassError | None:
        """What is wrong with its declaration; None: nothing."""
        try:
            _ = self.graph
        except WindlassError as error:
            return error
        return None


def faults_of_dags(dags: "Iterable[Dag[Any, Any]]", known: Collection[str]) -> list[WindlassError]:
    """Return what is wrong with DAGs: their declarations, and what no run of them could do.

    known: the names of the tasks that the workers will know.
    """
    faults = (dag.fault or _stranger(dag, known) or _endless(dag) for dag in dags)
    return [fault for fault in faults if fault is not None]


def _stranger(dag: Dag[Any, Any], known: Collection[str]) -> BadDag | None:
    for step in dag.graph.steps:
        if step.task.spec.name not in known:
            why = f"step {step.name!r}: this app has no task {step.task.spec.name!r}"
            return BadDag(dag.name, f"{why}; register it here, or include its router")
    return None


def _endless(dag: Dag[Any, Any]) -> BadDag | None:
    """Look whether a DAG is a step of itself, by whatever way."""
    seen: set[str] = set()
    graphs = [dag.graph]
    while graphs:
        for inner in (step.task for step in graphs.pop().steps if isinstance(step.task, Dag)):
            if inner.name == dag.name:
                return BadDag(dag.name, "it is a step of itself, so that no run of it would end")
            if inner.name not in seen and inner.fault is None:
                seen.add(inner.name)
                graphs.append(inner.graph)
    return None


class DagDecorator(Protocol):
    """What ``@app.dag(...)`` makes: it turns a function into a DAG of the same type."""

    def __call__(self, function: Callable[P, R], /) -> Dag[P, R]:
        """Register the function."""
        ...


def dag_spec(spec: TaskSpec) -> TaskSpec:
    """Return the definition of a DAG, of that of its function.  Raises: BadDag."""
    if spec.is_async:
        raise BadDag(spec.name, "its function is async; a plain one declares the graph")
    if inspect.isgeneratorfunction(spec.function):
        raise BadDag(spec.name, "its function yields; one that returns declares the graph")
    if spec.needs is not None:
        raise BadDag(spec.name, "its function has dependencies, which only a step can have")
    for parameter in inspect.signature(spec.function).parameters.values():
        if parameter.kind not in _NAMED:
            raise BadDag(spec.name, f"its parameter {parameter} has no name of its own")
    unfolder = Unfolder(spec.name, spec.function, spec.signature)
    return replace(spec, function=unfolder, kind=RunKind.DAG)
