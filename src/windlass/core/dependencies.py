"""Dependencies: what a task asks for besides its arguments, checked and put in order.  Pure.

A parameter annotated ``Annotated[Session, Depends(get_session)]``, or ``Context``, is no part
of the payload: whoever runs the attempt makes the value.  Here the marks of a function become
a plan, once, where the task is defined; ``executors/injection.py`` follows it.
"""

import inspect
import typing
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Literal

from windlass.core.context import Context
from windlass.core.signature import hints_of, parameters_of
from windlass.errors import BadTask, NotInjected

Scope = Literal["job", "worker"]
_Kind = inspect.Parameter


@dataclass(frozen=True, slots=True)
class Depends:
    """The mark of a parameter that is made for each attempt: ``Annotated[T, Depends(f)]``.

    dependency: a function, an async function, a class, or a generator of either kind which
                yields once; its own parameters are marked alike, are ``Context``, or have
                defaults.
    scope:      "job" makes it once for an attempt; "worker" makes it once for a worker, at
                its first use, and ends it after the worker's last attempt.
    """

    dependency: Callable[..., Any]
    scope: Scope = "job"


class _Injected:
    """Stands where a value will be; whoever uses it as the value is told what is missing."""

    def __repr__(self) -> str:
        return "INJECTED"

    def __getattr__(self, name: str) -> Any:
        raise NotInjected(name)


INJECTED: Any = _Injected()


class Kind(Enum):
    """How a dependency gives its value."""

    VALUE = auto()  # a function returns it, or it is an instance of a class
    COROUTINE = auto()
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """A dependency with what it needs in its turn.

    key:   equal for two that may share one instance.
    needs: parameter and provider; None stands for the attempt's context.
    """

    name: str
    function: Callable[..., Any]
    scope: Scope
    kind: Kind
    key: Hashable
    needs: "tuple[tuple[str, Provider | None], ...]"

    @property
    def is_async(self) -> bool:
        """Whether it has to be awaited."""
        return self.kind in (Kind.COROUTINE, Kind.ASYNC_GENERATOR)


@dataclass(frozen=True, slots=True)
class Step:
    """One provider's turn; what it needs stands at these places of the values made so far."""

    provider: Provider
    places: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps in their order, and which value each parameter of the task gets.

    The values begin with the attempt's context; each step adds one.
    """

    steps: tuple[Step, ...]
    places: tuple[tuple[str, int], ...]


class Overrides:
    """Which dependencies are replaced at this moment.  The mapping itself never changes."""

    def __init__(self) -> None:
        self.current: Mapping[Callable[..., Any], Callable[..., Any]] = {}

    @contextmanager
    def replaced(self, dependency: Callable[..., Any], other: Callable[..., Any]) -> Iterator[None]:
        """Replace a dependency for the time of a block."""
        before = self.current
        self.current = {**before, dependency: other}
        try:
            yield
        finally:
            self.current = before


_NONE = Overrides()


class Needs:
    """What one task asks for besides its arguments; a task that asks for nothing has none."""

    def __init__(
        self,
        task: str,
        marks: "Mapping[str, Depends | None]",
        isolation: str,
        overrides: Overrides = _NONE,
    ) -> None:
        self._task = task
        self._marks = marks
        self._isolation = isolation
        self._overrides = overrides
        self._unreplaced = self._make_plan({})
        self._plan: tuple[Any, Plan] = None, self._unreplaced
        self.plan()

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of the task which are no part of its payload."""
        return tuple(self._marks)

    def under(self, overrides: Overrides) -> "Needs":
        """Return the same needs, with what an app replaces."""
        return Needs(self._task, self._marks, self._isolation, overrides)

    def plan(self) -> Plan:
        """Return the plan as the overrides stand.  Raises: BadTask, for what they lead to."""
        overridden, plan = self._plan
        if overridden is not self._overrides.current:
            overridden = self._overrides.current
            plan = self._make_plan(overridden)
            self._plan = overridden, plan
        return plan

    def include(self, function: Callable[..., Any]) -> bool:
        """Tell whether the task depends on this one, now or with nothing replaced."""
        steps = (*self._unreplaced.steps, *self.plan().steps)
        return any(_includes(step.provider, function) for step in steps)

    def _make_plan(self, overrides: Mapping[Callable[..., Any], Callable[..., Any]]) -> Plan:
        return _Planner(self._task, self._isolation, overrides).plan(self._marks)


def _includes(provider: Provider, function: Callable[..., Any]) -> bool:
    needs = [need for _, need in provider.needs if need is not None]
    return provider.function == function or any(_includes(need, function) for need in needs)


def needs_of(task: str, function: Callable[..., Any], isolation: str) -> Needs | None:
    """Return what a task asks for besides its arguments; None, where that is nothing.

    Raises: BadTask, for a mark that cannot be kept: a cycle, a worker's dependency on a job's,
            a parameter of which nothing says what it is, ….
    """
    marks = dict(_marks(task, "its parameter", function))
    return Needs(task, marks, isolation) if marks else None


# -- reading the marks -------------------------------------------------------


def _marks(
    task: str, whose: str, function: Callable[..., Any]
) -> "Iterator[tuple[str, Depends | None]]":
    """Yield each parameter that is injected, with its mark; None means the context."""
    hints = hints_of(task, function)
    parameters = list(parameters_of(task, function))
    has_rest = any(p.kind is _Kind.VAR_POSITIONAL for p in parameters)
    for parameter in parameters:
        mark, is_injected = _mark(hints.get(parameter.name))
        what = f"{whose} {parameter.name!r}"
        if not is_injected:
            if parameter.default is INJECTED:
                raise BadTask(task, f"{what} is INJECTED, but its annotation has no Depends")
            continue
        by_place = parameter.kind is _Kind.POSITIONAL_OR_KEYWORD and has_rest
        if by_place or parameter.kind not in (_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY):
            raise BadTask(task, f"{what} is injected by name; let it stand behind a *")
        yield parameter.name, mark


def _mark(hint: Any) -> tuple[Depends | None, bool]:
    """Return the mark of a parameter, and whether it is injected at all."""
    if typing.get_origin(hint) is Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, Depends):
                return extra, True
        hint = hint.__origin__
    return None, hint is Context


class _Planner:
    """Orders what a task needs so that each stands behind what it needs itself."""

    def __init__(
        self,
        task: str,
        isolation: str,
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        self._task = task
        self._isolation = isolation
        self._overrides = overrides
        self._steps: list[Step] = []
        self._places: dict[Hashable, int] = {}
        self._known: dict[tuple[Callable[..., Any], Scope], Provider] = {}

    def plan(self, marks: "Mapping[str, Depends | None]") -> Plan:
        needs = tuple((name, self._provider(mark, ())) for name, mark in marks.items())
        places = tuple((name, self._place(provider)) for name, provider in needs)
        return Plan(tuple(self._steps), places)

    def _place(self, provider: Provider | None) -> int:
        if provider is None:
            return 0
        if provider.key not in self._places:
            # A worker makes what its dependencies need by itself, when it comes to that.
            needs = provider.needs if provider.scope == "job" else ()
            places = tuple((name, self._place(need)) for name, need in needs)
            self._steps.append(Step(provider, places))
            self._places[provider.key] = len(self._steps)
        return self._places[provider.key]

    def _provider(self, mark: Depends | None, path: tuple[Provider, ...]) -> Provider | None:
        if mark is None:
            return None
        function = self._checked(mark)
        if (function, mark.scope) in self._known:
            return self._known[function, mark.scope]
        name, kind = name_of(function), _kind_of(function)
        draft = Provider(name, function, mark.scope, kind, None, ())
        path = (*path, draft)
        if function in [before.function for before in path[:-1]]:
            way = " → ".join(before.name for before in path)
            raise BadTask(self._task, f"its dependencies go in a circle: {way}")
        if draft.is_async and mark.scope == "worker" and self._isolation == "process":
            why = "a child process has an event loop for each attempt only"
            raise self._bad(draft, f'is async with scope="worker": {why}; make it plain')
        needs = tuple(self._needs(draft, path))
        key = (mark.scope, function, *(need and need.key for _, need in needs))
        provider = Provider(name, function, mark.scope, kind, key, needs)
        self._known[function, mark.scope] = provider
        return provider

    def _needs(
        self, draft: Provider, path: tuple[Provider, ...]
    ) -> "Iterator[tuple[str, Provider | None]]":
        whose = f"dependency {draft.name!r}: parameter"
        marks = dict(_marks(self._task, whose, draft.function))
        for parameter in parameters_of(self._task, draft.function):
            if parameter.name not in marks and not _is_optional(parameter):
                raise self._bad(
                    draft,
                    f"has a parameter {parameter.name!r} of which nothing says what it is; "
                    "annotate it with Depends or Context, or give it a default",
                )
        for name, mark in marks.items():
            if draft.scope == "worker" and (mark is None or mark.scope == "job"):
                needed = "Context" if mark is None else repr(name_of(mark.dependency))
                raise self._bad(
                    draft, f'has scope="worker" and cannot need {needed}, which is one job\'s'
                )
            yield name, self._provider(mark, path)

    def _checked(self, mark: Depends) -> Callable[..., Any]:
        """Return what stands for a mark now, once it is known to be usable."""
        if mark.scope not in typing.get_args(Scope):
            raise BadTask(self._task, f'Depends(scope={mark.scope!r}): use "job" or "worker"')
        try:
            function = self._overrides.get(mark.dependency, mark.dependency)
            hash(function)
        except TypeError:
            raise BadTask(self._task, f"{mark} cannot be hashed; pass a function") from None
        if not callable(function):
            raise BadTask(self._task, f"Depends({function!r}) cannot be called")
        if _kind_of(inspect.unwrap(function)) is not _kind_of(function):
            why = "is a generator, or async, inside of its decorator; pass it undecorated"
            raise BadTask(self._task, f"dependency {name_of(function)!r} {why}")
        return function

    def _bad(self, draft: Provider, why: str) -> BadTask:
        return BadTask(self._task, f"dependency {draft.name!r} {why}")


def name_of(function: Callable[..., Any]) -> str:
    """Return a function's name for messages."""
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _is_optional(parameter: inspect.Parameter) -> bool:
    is_rest = parameter.kind in (_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD)
    return is_rest or parameter.default is not _Kind.empty


def _kind_of(function: Callable[..., Any]) -> Kind:
    if inspect.isclass(function):
        return Kind.VALUE
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    for candidate in (function, called):  # partials are seen through, objects by their __call__
        if inspect.isasyncgenfunction(candidate):
            return Kind.ASYNC_GENERATOR
        if inspect.isgeneratorfunction(candidate):
            return Kind.GENERATOR
        if inspect.iscoroutinefunction(candidate):
            return Kind.COROUTINE
    return Kind.VALUE
