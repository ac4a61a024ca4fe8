"""The app, as code that uses Celery makes it."""

from typing import Any

from windlass import BadOption
from windlass.contrib.celery import current
from windlass.contrib.celery.canvas import Signature, signature
from windlass.contrib.celery.control import Control
from windlass.contrib.celery.definitions import Definitions
from windlass.contrib.celery.exceptions import ImproperlyConfigured, refuse
from windlass.contrib.celery.giving import given
from windlass.contrib.celery.laying import Layout
from windlass.contrib.celery.refusing import OF_APPS, Refusing
from windlass.contrib.celery.result import AsyncResult, GroupResult


class Celery(Definitions, Refusing):
    """An app with the face of Celery's, whose jobs are those of a Windlass app.

    broker:  a URL of Windlass (``sqlite:///…``, ``postgresql://…``) is the store.  One of Celery
             says nothing more of where jobs go: then Windlass's settings do (WINDLASS_STORE, …).
    backend: results are read from the store.
    windlass: further settings of the Windlass app.

    windlass_app is that app, with all tasks in it; ``windlass worker module:app`` finds it.
    """

    refused = OF_APPS

    def __repr__(self) -> str:
        return f"<Celery {self.main} on Windlass>"

    # -- jobs ----------------------------------------------------------------

    @property
    def control(self) -> Control:
        """The way to stop tasks."""
        return Control(self)

    def signature(self, *args: Any, **kwargs: Any) -> Signature:
        """Return a signature of a task of this app."""
        return signature(*args, app=self, **kwargs)

    def send_task(
        self, name: str, args: Any = None, kwargs: Any = None, **options: Any
    ) -> AsyncResult:
        """Enqueue a call of a task by its name; of one that only the workers know, too."""
        result: AsyncResult = Signature(name, args, kwargs, options, app=self).apply_async()
        return result

    def enqueue_signature(
        self, sig: Signature, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
    ) -> Any:
        """Store the jobs of a signature, all or none; return its result to be."""
        self.finalize()
        if not self._is_final:
            raise ImproperlyConfigured(f"{sig.task!r} is called while modules are being imported")
        ready = given(sig, args, kwargs, options)
        if self.conf.task_always_eager:
            return ready.apply()
        if ready.subtask_type == "chain" and not ready.tasks:
            return None
        broker = self.celery_broker
        self._place.tell(self.windlass_registry, [broker] if broker else [])
        inside = current.worker_frame()
        layout = Layout(self, inside[1].root, inside[1].id) if inside else Layout(self)
        result = layout.lay(ready)
        for job_id in layout.own_ids:
            if AsyncResult(job_id, app=self).exists():
                raise BadOption("task_id", job_id, "there is a job of this id; ids are for ever")
        if layout.requests:
            self.windlass_app.enqueue_requests(layout.requests)
        return result

    def AsyncResult(self, id: str, **options: Any) -> AsyncResult:
        """Return the result of a job by its id."""
        return AsyncResult(id, app=self, **options)

    def GroupResult(self, id: str | None = None, results: Any = (), **options: Any) -> GroupResult:
        """Return the results of a group."""
        return GroupResult(id, results, app=self, **options)

    def time_limit_of(self, name: str) -> float | None:
        """Return the time limit of a task, as it was given."""
        task = self.tasks.get(name)
        own: float | None = None if task is None else task.time_limit
        limit: float | None = self.conf.task_time_limit if own is None else own
        return limit

    def tracks_started(self, name: str) -> bool:
        """Tell whether a task that runs is to be seen as started."""
        own = getattr(self.tasks.get(name), "track_started", None)
        return bool(self.conf.task_track_started if own is None else own)

    def check_stoppable(self, name: str) -> None:
        """Refuse to stop what runs on a thread.  Raises: NotSupported."""
        task = self.tasks.get(name)
        if task is not None and task.isolation != "process":
            refuse("terminate of a task that runs on a thread",
                   'worker_pool="prefork", or a time_limit of the task')  # fmt: skip

    def close(self) -> None:
        """Close what blocking calls have opened.  Idempotent."""
        if self._app is not None:
            self._app.close()

    def __enter__(self) -> "Celery":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
