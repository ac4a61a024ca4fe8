"""The backend: a task of Django becomes a task of an app, under the path of its function."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any

from django.utils import timezone
from django.utils.module_loading import import_string

from windlass import App, BadArguments, Job, JobId, JobNotFound, ResultExpired, State, Task
from windlass.contrib.django.attempts import async_attempt, plain_attempt
from windlass.contrib.django.tasks_api import BaseTaskBackend, base, exceptions, signals
from windlass.core.lifecycle import decode_error

STATUS = {
    State.RUNNING: base.TaskResultStatus.RUNNING,
    State.SUCCEEDED: base.TaskResultStatus.SUCCESSFUL,
    State.FAILED: base.TaskResultStatus.FAILED,
    State.CANCELLED: base.TaskResultStatus.FAILED,
    State.SKIPPED: base.TaskResultStatus.FAILED,
}  # each other state is READY

# Django makes a backend for each thread; they share the app.
_apps: dict[tuple[str, str], App] = {}
_apps_lock = threading.RLock()
_tasks: dict[str, Any] = {}  # by path; ``using(backend=…)`` may bring each to any backend


@dataclass(frozen=True, slots=True, kw_only=True)
class WindlassTask(base.Task):  # type: ignore[misc]
    """A task of Django, which may say more: ``@task(windlass={"retry": Retry(3)})``.

    windlass: options of ``App.task``.
    """

    windlass: Mapping[str, Any] = field(default_factory=dict, hash=False)


class WindlassBackend(BaseTaskBackend):  # type: ignore[misc]
    """A backend for the setting TASKS.

    OPTIONS: settings of an app, as ``store``; or ``app``, the path of one that there is.
    QUEUES:  those which its workers serve.
    """

    task_class = WindlassTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        super().__init__(alias, params)
        self.app = _app_of(alias, self.options, tuple(sorted(self.queues)))

    def validate_task(self, task: Any) -> None:
        """Refuse what cannot be run; take in what can.  Raises: InvalidTask."""
        super().validate_task(task)
        _tasks.setdefault(task.module_path, task)
        self._taken_in(task)

    def app_of_workers(self) -> App:
        """Return the app, which knows all tasks that there are by now, of whatever backend."""
        for task in list(_tasks.values()):
            self._taken_in(task)
        return self.app

    def _taken_in(self, task: Any) -> Task[..., Any, Any]:
        with _apps_lock:
            spec = self.app.specs.get(task.module_path)
            if spec is not None:
                return self.app.task_named(spec.name)
            attempt = async_attempt if iscoroutinefunction(task.func) else plain_attempt
            options = dict(getattr(task, "windlass", {}))
            taken: Task[..., Any, Any] = self.app.task(
                name=task.module_path, queue=task.queue_name, **options
            )(attempt(self, task))
            return taken

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        """Store a request to run a task; return its result to be, once it is durable."""
        self.validate_task(task)
        result = self._new_result(task, args, kwargs)
        due_at = task.run_after
        if due_at is not None and timezone.is_naive(due_at):
            due_at = timezone.make_aware(due_at)
        request = (
            self._taken_in(task)
            .using(queue=task.queue_name, priority=task.priority, run_at=due_at)
            .prepare(result.args, result.kwargs)
        )
        [job_id] = self.app.enqueue_requests([request])
        object.__setattr__(result, "id", job_id)
        object.__setattr__(result, "enqueued_at", timezone.now())
        signals.task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Return a task's result as it stands.  Raises: TaskResultDoesNotExist."""
        operations = self.app.operations
        try:
            job = operations.get(JobId(str(result_id)))
            task = self._task_of(job)
            given = self._taken_in(task).spec.signature
            call = given.bound(*given.decode(job.payload, job.fingerprint))
        except (JobNotFound, BadArguments, ImportError) as error:
            raise exceptions.TaskResultDoesNotExist(result_id) from error
        events = operations.events(job.id)
        told = [decode_error(event.error) for event in events if event.error is not None]
        workers = {event.attempt: event.worker for event in events if event.worker is not None}
        if job.worker is not None:
            workers[job.attempt] = job.worker
        result = base.TaskResult(
            task=task,
            id=job.id,
            status=STATUS.get(job.state, base.TaskResultStatus.READY),
            enqueued_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.ended_at,
            last_attempted_at=job.started_at,
            args=call["args"],
            kwargs=call["kwargs"],
            backend=self.alias,
            errors=[
                base.TaskError(exception_class_path=_path_of(error.type), traceback=error.traceback)
                for error in told
            ],
            worker_ids=[str(workers.get(n, "")) for n in range(1, job.attempt + 1)],
        )
        if job.state is State.SUCCEEDED:
            object.__setattr__(result, "_return_value", self._value_of(job))
        return result

    def _value_of(self, job: Job) -> Any:
        try:
            return self.app.job(job.id).result()
        except ResultExpired:
            return None

    def _task_of(self, job: Job) -> Any:
        task = import_string(job.task)
        if not isinstance(task, base.Task):
            raise ImportError(f"{job.task} is no task of Django")
        return task.using(backend=self.alias, queue_name=job.queue, priority=job.priority)

    def _new_result(self, task: Any, args: Any, kwargs: Any) -> Any:
        return base.TaskResult(
            task=task,
            id="",
            status=base.TaskResultStatus.READY,
            enqueued_at=None,
            started_at=None,
            finished_at=None,
            last_attempted_at=None,
            args=args,
            kwargs=kwargs,
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )


def _app_of(alias: str, options: Mapping[str, Any], queues: tuple[str, ...]) -> App:
    key = alias, repr((sorted(options.items()), queues))
    with _apps_lock:
        if key not in _apps:
            if "app" in options:
                app: App = import_string(options["app"])
            else:
                served = {"queues": queues} if queues else {}
                app = App(**{**served, **options})
            _apps[key] = app
        return _apps[key]


def _path_of(error_type: str) -> str:
    return error_type if "." in error_type else f"builtins.{error_type}"
