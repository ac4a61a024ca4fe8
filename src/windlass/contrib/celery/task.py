"""Tasks as code that uses Celery knows them."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from windlass import context
from windlass.contrib.celery import current, states
from windlass.contrib.celery.attempt import Replaced
from windlass.contrib.celery.calls import Shape
from windlass.contrib.celery.canvas import Signature, chunks, maybe_signature, xmap, xstarmap
from windlass.contrib.celery.eager import run_eagerly
from windlass.contrib.celery.exceptions import MaxRetriesExceededError, Retry, refuse
from windlass.contrib.celery.meta import OWN_STATE
from windlass.contrib.celery.refusing import OF_TASKS, Refusing
from windlass.contrib.celery.request import Request
from windlass.contrib.celery.values import to_plain
from windlass.errors import NotInAttempt
from windlass.model.progress import MESSAGE_LENGTH_MAX


class Task(Refusing):
    """A task; as a base class it says for many tasks how they are run, and what follows.

    The attributes are the options of ``app.task``; docs/from-celery.md has the table.
    """

    refused = OF_TASKS
    name: str = ""
    app: Any = None
    abstract = True
    bind = False
    max_retries: int | None = 3
    default_retry_delay: float = 180
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: bool | float = False
    retry_backoff_max: float = 600
    retry_jitter: bool = True
    rate_limit: str | float | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    ignore_result: bool | None = None
    track_started: bool | None = None
    queue: str | None = None
    priority: int | None = None
    expires: float | datetime | None = None
    serializer: str | None = None
    throws: tuple[type[BaseException], ...] = ()
    acks_late: bool | None = None
    isolation: str | None = None  # of Windlass: "process"
    windlass_task: Any = None

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Do the work; subclasses say what it is."""
        raise NotImplementedError(f"{type(self).__name__} must define run()")

    @property
    def shape(self) -> Shape:
        """How its arguments are stored."""
        found: Shape | None = self.__dict__.get("_shape")
        if found is None:
            found = self.__dict__["_shape"] = Shape(self.name, self.run)
        return found

    @property
    def MaxRetriesExceededError(self) -> type[Exception]:
        """What is raised when there are too many retries."""
        return MaxRetriesExceededError

    @property
    def request(self) -> Request:
        """How it was called, while it runs."""
        return current.request_of(self)

    @property
    def ignores_result(self) -> bool:
        """Whether nobody is to be given its result."""
        own = self.ignore_result
        return bool(self.app.conf.task_ignore_result if own is None else own)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function here and now."""
        request = Request(task=self.name, args=list(args), kwargs=kwargs)
        with current.running(self, request):
            return self.run(*args, **kwargs)

    def call_in_attempt(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as an attempt does: by ``__call__`` where a subclass has its own."""
        has_own = type(self).__call__ is not Task.__call__
        return self(*args, **kwargs) if has_own else self.run(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<@task: {self.name} of {self.app.main}>"

    def __reduce__(self) -> Any:
        return _task_named, (self.name,)

    # -- enqueueing ----------------------------------------------------------

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        """Enqueue a call; return its result to be."""
        return self.apply_async(args, kwargs)

    def apply_async(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Enqueue a call; return its result to be once the job is durable.

        options: countdown, eta, expires, queue, priority, task_id, link, link_error, headers,
                 ignore_result.
        Raises:  TypeError, for arguments that do not fit; NotSupported, NotEncodable, BadOption,
                 PayloadTooLarge, StoreUnavailable.
        """
        return self.signature(args, kwargs, **options).apply_async()

    def apply(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        throw: bool | None = None,
        **options: Any,
    ) -> Any:
        """Run a call here and now, its retries too; return its result.

        throw: raise what the task raises, in place of keeping it.
        """
        throws = self.app.conf.task_eager_propagates if throw is None else throw
        return run_eagerly(self, tuple(args or ()), dict(kwargs or {}), bool(throws), options)

    def signature(
        self,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        immutable: bool = False,
        **options: Any,
    ) -> Signature:
        """Return a signature: a call to complete, to put together or to pass around."""
        return Signature(self.name, args, kwargs, options, immutable=immutable, app=self.app)

    subtask = signature

    def s(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a signature with these arguments."""
        return self.signature(args, kwargs)

    def si(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a signature with these arguments, which takes no others."""
        return self.signature(args, kwargs, immutable=True)

    def map(self, it: Iterable[Any]) -> Signature:
        """Return a signature of one job with a call for each value."""
        return xmap(self.s(), it)

    def starmap(self, it: Iterable[Any]) -> Signature:
        """Return a signature of one job with a call for each list of arguments."""
        return xstarmap(self.s(), it)

    def chunks(self, it: Iterable[Any], n: int) -> chunks:
        """Return a signature of jobs with ``n`` calls each."""
        return chunks(self.s(), it, n)

    def AsyncResult(self, task_id: str, **options: Any) -> Any:
        """Return the result of a job of this task."""
        return self.app.AsyncResult(task_id)

    # -- while it runs -------------------------------------------------------

    def retry(
        self,
        args: None = None,
        kwargs: None = None,
        exc: BaseException | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """End the attempt, and have another one later: ``raise self.retry(exc=exc)``.

        max_retries: for this once; None: those of the task.
        Raises:      Retry; once there are too many ``exc``, or else MaxRetriesExceededError;
                     NotSupported, for other arguments or options.
        """
        request = self.request
        most = self.max_retries if max_retries is None else max_retries
        if request.called_directly:
            _raise(exc or Retry("Task can be retried"))
        self._check_retry(args, kwargs, throw, options)
        if not eta and countdown is None:
            countdown = self.default_retry_delay
        if most is not None and request.retries + 1 > most:
            _raise(exc or self._exceeded(request))
        if countdown is None:
            assert eta is not None
            when = eta if eta.tzinfo else eta.replace(tzinfo=self.app.conf.zone)
            after_s = max((when - datetime.now(UTC)).total_seconds(), 0.0)
        else:
            after_s = max(float(countdown), 0.0)
        asked = Retry(exc=exc, when=eta or countdown, is_eager=request.is_eager, after_s=after_s)
        raise asked

    def _check_retry(self, args: Any, kwargs: Any, throw: bool, options: dict[str, Any]) -> None:
        if args is not None or kwargs is not None:
            refuse("retry with other arguments", "raise self.replace(self.s(…))")
        if not throw:
            refuse("retry(throw=False)", "raise self.retry(…)")
        given = [name for name, value in options.items() if value is not None]
        if given:
            refuse(f"retry({given[0]}=…)", "raise self.replace(self.s(…).set(…))")

    def _exceeded(self, request: Request) -> Exception:
        args = tuple(request.args or ())
        return MaxRetriesExceededError(
            f"Can't retry {self.name}[{request.id}] args:{args} kwargs:{request.kwargs}",
            task_args=args,
            task_kwargs=request.kwargs,
        )

    def replace(self, sig: Signature) -> NoReturn:
        """Go on as something else, whose result will be that of this job."""
        if self.request.called_directly:
            refuse("replace in a plain call", "call it as a task")
        raise Replaced(maybe_signature(sig))

    def update_state(
        self, task_id: str | None = None, state: str | None = None, meta: Any = None, **more: Any
    ) -> None:
        """Say how far it is: those who ask for the result see the state and its meta.

        It is kept as the progress of the job, so ``windlass jobs watch`` shows it too; ``current``
        and ``total`` of the meta become its fraction.  A task that runs eagerly tells nobody.
        Raises: NotSupported, for another job, a final state, or a long meta.
        """
        request = self.request
        if task_id is not None and task_id != request.id:
            refuse("update_state of another task", "let each task say how far it is itself")
        if state in states.READY_STATES or state == states.RETRY or not state:
            refuse(f"update_state(state={state!r})", "return, raise, or raise self.retry(…)")
        if request.is_eager:
            return
        try:
            attempt = context()
        except NotInAttempt:
            refuse("update_state outside of a job", "call the task with delay()")
        told = {OWN_STATE: state, "attempt": attempt.attempt, "meta": to_plain(meta)}
        line = json.dumps(told)
        if len(line) > MESSAGE_LENGTH_MAX:
            refuse(
                "update_state with so much meta", f"at most {MESSAGE_LENGTH_MAX} characters of JSON"
            )
        attempt.progress(_fraction(meta), line)

    # -- what follows; for subclasses ----------------------------------------

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Be told before an attempt."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        """Be told of success."""

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Be told that there will be another attempt."""

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        """Be told of a failure for good."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any
    ) -> None:
        """Be told of the end, however that was."""


def _raise(error: BaseException) -> NoReturn:
    raise error


def _fraction(meta: Any) -> float:
    if not isinstance(meta, Mapping):
        return 0.0
    done, whole = meta.get("current"), meta.get("total")
    if not isinstance(done, int | float) or not isinstance(whole, int | float) or whole <= 0:
        return 0.0
    return min(max(done / whole, 0.0), 1.0)


def _task_named(name: str) -> Any:
    return current.get_app().tasks[name]
