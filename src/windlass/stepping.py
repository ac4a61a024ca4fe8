"""What a task's call means where a DAG is declared, or a workflow runs: a step of that."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Never, Protocol

from windlass.core.tasks import TaskSpec
from windlass.handles import Enqueuer
from windlass.model.jobs import Edge, JobRequest, Rule


@dataclass(frozen=True, slots=True)
class StepOptions:
    """What ``task.step(…)`` may set of one step.

    name:  default: the name of the task's function.
    rule:  of which ends of those that it waits for it starts; None: all must succeed.
    after: what it waits for besides those whose results it is given.
    """

    name: str | None = None
    rule: Rule | None = None
    after: tuple[object, ...] = ()


PLAIN_STEP = StepOptions()


class Steppable(Protocol):
    """What a step needs of its task."""

    @property
    def app(self) -> Enqueuer:
        """What stores its jobs."""
        ...

    @property
    def spec(self) -> TaskSpec:
        """Its definition."""
        ...

    def prepare_step(
        self, given: dict[str, Any], edges: tuple[Edge, ...], rule: Rule | None
    ) -> JobRequest:
        """Check a call of which other jobs give some arguments, and make its request."""
        ...

    @property
    def prepare_whole_step(self) -> Callable[..., JobRequest]:
        """Check a call that nobody gives anything to, and make its request."""
        ...


class Stepping(Protocol):
    """Where calls of tasks are steps.

    is_awaited: what a call returns is to be awaited, and takes no options.
    """

    @property
    def is_awaited(self) -> bool: ...

    def call(
        self,
        task: Steppable,
        options: StepOptions,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Return what stands for the result of the step."""
        ...

    def refuse_store(self) -> Never:
        """Refuse that code which is called again, or only declares, uses the store."""
        ...


_STEPPING: ContextVar[Stepping | None] = ContextVar("windlass_stepping", default=None)

stepping = _STEPPING.get


def check_store_is_open() -> None:
    """Refuse the store where calls are steps.  Raises: BadDag, RefusedInWorkflow."""
    where = stepping()
    if where is not None:
        where.refuse_store()


@contextmanager
def calls_are_steps(where: Stepping) -> Iterator[None]:
    """Make the calls of tasks within a block steps."""
    token = _STEPPING.set(where)
    try:
        yield
    finally:
        _STEPPING.reset(token)
