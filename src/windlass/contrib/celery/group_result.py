"""Results of groups, and of tasks that ran here and now."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from windlass.contrib.celery import current, states
from windlass.contrib.celery.async_result import AsyncResult, check_options
from windlass.contrib.celery.exceptions import TaskRevokedError, TimeoutError
from windlass.contrib.celery.refusing import OF_GROUPS, Refusing

Result = Any  # an AsyncResult, a GroupResult or an EagerResult


class GroupResult(Refusing):
    """The results of a group, in its order.

    id:     of the group.
    parent: the result of what came before it in its composition.
    """

    refused = OF_GROUPS

    def __init__(
        self,
        id: str | None = None,
        results: Sequence[Result] = (),
        parent: Result = None,
        app: Any = None,
    ) -> None:
        self._app = app
        self.id = id or self.app.windlass_app.new_job_id()
        self.results = list(results)
        self.parent = parent

    @property
    def app(self) -> Any:
        """The app whose store has the jobs."""
        return self._app or current.get_app()

    @property
    def children(self) -> list[Result]:
        """The results of its members."""
        return self.results

    def get(
        self, timeout: float | None = None, propagate: bool = True, **options: Any
    ) -> list[Any]:
        """Wait for all and return their values; see ``join``."""
        return self.join(timeout, propagate, **options)

    def join(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,
        disable_sync_subtasks: bool = True,
        **options: Any,
    ) -> list[Any]:
        """Wait for all and return their values in the order of the group.

        timeout: seconds, for all of them together.
        Raises:  as ``AsyncResult.get``, for the first in that order.
        """
        check_options(options)
        end = None if timeout is None else time.monotonic() + timeout
        values = []
        for each in self.results:
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0 and not each.ready():
                raise TimeoutError("The operation timed out.")
            wait = None if left is None else max(left, 0.001)
            value = each.get(wait, propagate=propagate, disable_sync_subtasks=disable_sync_subtasks)
            if callback is not None:
                callback(each.id, value)
            values.append(value)
        return values

    def maybe_throw(self, propagate: bool = True, callback: Any = None) -> None:
        """Raise what the first member that failed has raised; does not wait."""
        for each in self.results:
            each.maybe_throw(propagate, callback)

    def ready(self) -> bool:
        """Tell whether all have ended."""
        return all(each.ready() for each in self.results)

    def successful(self) -> bool:
        """Tell whether all have succeeded."""
        return all(each.successful() for each in self.results)

    def failed(self) -> bool:
        """Tell whether any has failed."""
        return any(each.failed() for each in self.results)

    def waiting(self) -> bool:
        """Tell whether any has not ended."""
        return not self.ready()

    def completed_count(self) -> int:
        """Return how many have succeeded."""
        return sum(each.successful() for each in self.results)

    def revoke(self, connection: None = None, terminate: bool = False, signal: Any = None,
               wait: bool = False, timeout: float | None = None) -> None:  # fmt: skip
        """Cancel all that have not ended; see ``AsyncResult.revoke``."""
        for each in self.results:
            each.revoke(terminate=terminate)

    def as_tuple(self) -> Any:
        """Return its id and those of its members as tuples."""
        return (self.id, self.parent and self.parent.as_tuple()), [
            each.as_tuple() for each in self.results
        ]

    def as_list(self) -> list[str]:
        """Return its id and those of what came before it."""
        return [self.id, *(self.parent.as_list() if self.parent else [])]

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, place: int) -> Result:
        return self.results[place]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GroupResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id} [{', '.join(str(r.id) for r in self.results)}]>"


class EagerResult(AsyncResult):
    """The result of a task that ran here and now; no store knows it."""

    def __init__(
        self, id: str, value: Any, state: str, traceback: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(id)
        self._value, self._state = value, state
        self._text, self._name = traceback, name

    @property
    def state(self) -> str:
        """The state in which it has ended."""
        return self._state

    status = state

    @property
    def result(self) -> Any:
        """The value, or the exception."""
        return self._value

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of the exception, as text."""
        return self._text

    @property
    def name(self) -> str | None:
        """The name of the task."""
        return self._name

    def ready(self) -> bool:
        """Tell whether it has ended, which it has."""
        return True

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        *args: Any,
        disable_sync_subtasks: bool = True,
        **options: Any,
    ) -> Any:
        """Return the value, or raise what the task raised."""
        return self.maybe_throw(propagate)

    wait = get

    def maybe_throw(self, propagate: bool = True, callback: Any = None) -> Any:
        """Return the value, or raise what there is to raise."""
        if propagate and self._state in states.PROPAGATE_STATES:
            raised = self._value
            raise raised if isinstance(raised, BaseException) else TaskRevokedError("revoked")
        if callback is not None:
            callback(self.id, self._value)
        return self._value

    def revoke(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: it has ended."""

    def __repr__(self) -> str:
        return f"<EagerResult: {self.id}>"
