"""Results: tasks that are on their way or have ended, known by their ids."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from windlass import BadOption, JobId, JobNotFound, ResultTimeout, State
from windlass.contrib.celery import current, states
from windlass.contrib.celery.exceptions import TimeoutError, refuse
from windlass.contrib.celery.meta import Meta, meta_of
from windlass.contrib.celery.refusing import OF_RESULTS, Refusing
from windlass.contrib.celery.request import facts_in
from windlass.model.jobs import headers_of

_WITHOUT_MEANING = ("interval", "no_ack")  # results are not polled for, nor acknowledged


def check_not_joined(disable_sync_subtasks: bool) -> None:
    """Refuse to wait for a task within a task, as Celery does.  Raises: RuntimeError."""
    if disable_sync_subtasks and current.worker_frame() is not None:
        raise RuntimeError("Never call result.get() within a task! Use a chain, a chord or replace")


def check_options(options: dict[str, Any]) -> None:
    """Refuse options of ``get`` that would have no effect.  Raises: NotSupported."""
    for name, value in options.items():
        if name not in _WITHOUT_MEANING and value is not None:
            refuse(f"get({name}=…)", "get(timeout=…, propagate=…)")


class AsyncResult(Refusing):
    """A task by its id: its state, its value, and the way to stop it.

    parent:  the result of what came before it in its composition; None if nothing did, and for
             a result made from an id alone.
    ignored: nobody wants the value: ``get`` returns None at once.
    """

    refused = OF_RESULTS
    TimeoutError = TimeoutError

    def __init__(
        self,
        id: str,
        backend: None = None,
        task_name: None = None,
        app: Any = None,
        parent: Any = None,
    ) -> None:
        if id is None:
            raise ValueError("a result needs an id, not None")
        if backend is not None:
            refuse("backend of a single result", "the store of the app")
        self.id = str(id)
        self.parent = parent
        self.ignored = False
        self._app = app
        self._ended: Meta | None = None

    @property
    def app(self) -> Any:
        """The app whose store has the job."""
        return self._app or current.get_app()

    @property
    def task_id(self) -> str:
        """Its id."""
        return self.id

    def _meta(self) -> Meta:
        if self._ended is not None:
            return self._ended
        meta = meta_of(self.app, self.id)
        if meta.status in states.READY_STATES:
            self._ended = meta
        return meta

    # -- what is known -------------------------------------------------------

    @property
    def state(self) -> str:
        """The state, one of ``states``, or one that the task has set itself."""
        return self._meta().status

    status = state

    @property
    def result(self) -> Any:
        """The value, or the exception; what ``update_state`` told; None before all that."""
        return self._meta().result

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of the exception, as text."""
        return self._meta().traceback

    @property
    def date_done(self) -> datetime | None:
        """The instant of its end, in UTC."""
        return self._meta().ended_at

    @property
    def name(self) -> str | None:
        """The name of the task."""
        job = self._meta().job
        return None if job is None else job.task

    @property
    def queue(self) -> str | None:
        """The queue."""
        job = self._meta().job
        return None if job is None else job.queue

    @property
    def retries(self) -> int | None:
        """How many attempts have failed; in Celery too, if it came from there."""
        job = self._meta().job
        before = 0 if job is None else facts_in(headers_of(job.headers)).get("retries", 0)
        return None if job is None else before + job.failures

    @property
    def worker(self) -> str | None:
        """The worker that runs it."""
        job = self._meta().job
        return None if job is None else job.worker

    def exists(self) -> bool:
        """Tell whether the store knows it."""
        return self._meta().job is not None

    def ready(self) -> bool:
        """Tell whether it has ended, however that was."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """Tell whether it has succeeded."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Tell whether it has failed for good."""
        return self.state == states.FAILURE

    # -- waiting -------------------------------------------------------------

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
        **options: Any,
    ) -> Any:
        """Wait for the end and return the value.

        timeout:   seconds; None waits as long as it takes.
        propagate: raise what the task raised; else return it.
        Raises:    TimeoutError; what the task, or one before it, has raised; TaskRevokedError;
                   RuntimeError, within a task.
        """
        check_options(options)
        if self.ignored:
            return None
        check_not_joined(disable_sync_subtasks)
        self._wait(timeout)
        if propagate and follow_parents and self._meta().status in states.PROPAGATE_STATES:
            for before in reversed(list(_parents(self))):
                before.maybe_throw()
        return self.maybe_throw(propagate, callback)

    wait = get

    def _wait(self, timeout: float | None) -> None:
        if not isinstance(timeout, int | float | None):
            raise BadOption("timeout", timeout, "must be a number of seconds")
        try:
            self.app.windlass_app.wait_for(JobId(self.id), timeout)
        except (ResultTimeout, JobNotFound) as error:
            raise TimeoutError("The operation timed out.") from error

    def maybe_throw(
        self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None
    ) -> Any:
        """Return the value, or raise what there is to raise; does not wait."""
        meta = self._meta()
        if meta.status in states.PROPAGATE_STATES and propagate:
            raise meta.result
        if callback is not None:
            callback(self.id, meta.result)
        return meta.result

    maybe_reraise = maybe_throw

    def revoke(
        self,
        connection: None = None,
        terminate: bool = False,
        signal: Any = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Cancel it if it has not started; with ``terminate`` also stop it where it runs.

        Raises: NotSupported, for ``terminate`` of what runs on a thread, which cannot be stopped.
        """
        job = self._meta().job
        if job is None or self.ready():
            return
        if job.state is State.RUNNING:
            if not terminate:
                return
            self.app.check_stoppable(job.task)
        self.app.windlass_app.operations.cancel(job.id)

    def as_tuple(self) -> Any:
        """Return its ids, and those of what came before it, as tuples."""
        return (self.id, self.parent and self.parent.as_tuple()), None

    def as_list(self) -> list[str]:
        """Return its id, and those of what came before it."""
        return [self.id, *(self.parent.as_list() if self.parent else [])]

    def __eq__(self, other: object) -> bool:
        return self.id == (other.id if isinstance(other, AsyncResult) else other)

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __reduce__(self) -> Any:
        return AsyncResult, (self.id, None, None, None, self.parent)


def _parents(result: Any) -> Iterator[Any]:
    node = result.parent
    while node is not None:
        yield node
        node = node.parent


def first_of(result: Any) -> Any:
    """Return what came first in the composition of a result."""
    return next(reversed([result, *_parents(result)]))
