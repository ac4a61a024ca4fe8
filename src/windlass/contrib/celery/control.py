"""What ``app.control`` can do; the rest is told to the command line."""

from collections.abc import Iterable
from typing import Any

from windlass.contrib.celery.exceptions import refuse
from windlass.contrib.celery.result import AsyncResult

_REFUSED = {
    "purge": "windlass jobs cancel, or windlass_app.operations.cancel_all(…)",
    "discard_all": "windlass jobs cancel, or windlass_app.operations.cancel_all(…)",
    "inspect": "windlass jobs list, windlass top, windlass why JOB",
    "ping": "windlass top, or the health endpoint of a worker",
    "broadcast": "windlass pause, windlass workers drain, windlass jobs cancel",
    "rate_limit": "rate_limit=… of the task",
    "time_limit": "time_limit=… of the task",
    "shutdown": "windlass workers drain WORKER",
    "pool_restart": "restart the worker",
    "pool_grow": "windlass worker --concurrency",
    "pool_shrink": "windlass worker --concurrency",
    "autoscale": "windlass worker --processes MIN:MAX",
    "add_consumer": "windlass worker --queues",
    "cancel_consumer": "windlass pause --queue",
    "terminate": "app.control.revoke(id, terminate=True)",
    "enable_events": "windlass_app.observe(…)",
    "disable_events": "windlass_app.observe(…)",
    "election": "one of several schedulers leads by itself",
    "heartbeat": "workers hold leases",
    "revoke_by_stamped_headers": "windlass_app.operations.cancel_all(…)",
}


class Control:
    """Stops tasks: ``app.control.revoke(id)``."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def revoke(
        self,
        task_id: str | Iterable[str],
        terminate: bool = False,
        signal: Any = None,
        **options: Any,
    ) -> None:
        """Cancel tasks that have not started; with ``terminate`` also stop those that run.

        Raises: NotSupported, for ``terminate`` of what runs on a thread.
        """
        for each in [task_id] if isinstance(task_id, str) else list(task_id):
            AsyncResult(each, app=self._app).revoke(terminate=terminate)

    def __getattr__(self, name: str) -> Any:
        refuse(f"app.control.{name}", _REFUSED.get(name, "windlass --help"))
