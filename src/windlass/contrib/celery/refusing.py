"""What Celery's objects have and those of the front end have not, and what there is instead."""

from collections.abc import Mapping
from typing import Any, ClassVar

from windlass.contrib.celery.exceptions import refuse


class Refusing:
    """Refuses attributes that it has not.

    refused: what to use instead of each.
    """

    refused: ClassVar[Mapping[str, str]] = {}

    def __getattr__(self, name: str) -> Any:
        if name in type(self).refused:
            refuse(f"{type(self).__name__}.{name}", type(self).refused[name])
        raise AttributeError(
            f"{type(self).__name__!r} of the front end has no {name!r}; see docs/from-celery.md"
        )


_IN_STORE = "results are read from the store: AsyncResult(id)"
_RETENTION = "the setting retention_s and result_ttl=… of a task say how long results are kept"
_LIST = "windlass jobs list, windlass why JOB"
_RETURN_IDS = "return the ids of what a task started, or self.replace(…)"
_HEADERS = "headers, texts by name: sig.set(headers={…})"

OF_RESULTS = {
    "args": "windlass jobs show JOB",
    "backend": _IN_STORE,
    "build_graph": _LIST,
    "children": _RETURN_IDS,
    "collect": _RETURN_IDS,
    "delete": _RETENTION,
    "forget": _RETENTION,
    "get_leaf": _RETURN_IDS,
    "graph": _LIST,
    "iter_native": "windlass_app.as_completed(…)",
    "iterdeps": _LIST,
    "join_native": "join()",
    "kwargs": "windlass jobs show JOB",
    "on_ready": "link=… of the call",
    "restore": "keep the ids of its results",
    "revoke_by_stamped_headers": "windlass_app.operations.cancel_all(…)",
    "save": "keep the ids of its results",
    "supports_native_join": "join()",
    "then": "link=… of the call, or await windlass_app.job(id).aresult()",
    "throw": "maybe_throw()",
}
OF_GROUPS = OF_RESULTS | dict.fromkeys(
    ("add", "clear", "discard", "remove", "update"), "GroupResult(id, results)"
)
OF_SIGNATURES = {
    "AsyncResult": _IN_STORE,
    "election": "windlass.Unique makes repeated calls one job",
    "flatten_links": _LIST,
    "freeze": "the result of apply_async(): ids are made when a signature is enqueued",
    "id": "the result of apply_async(): ids are made when a signature is enqueued",
    "parent_id": "self.request.parent_id within the task",
    "prepare_steps": "apply_async()",
    "root_id": "self.request.root_id within the task",
    "run": "apply_async()",
    "skew": "set(countdown=…) of each",
    "stamp": _HEADERS,
    "stamp_links": _HEADERS,
}
OF_TASKS = {
    "add_to_chord": "self.replace(…)",
    "add_trail": _RETURN_IDS,
    "annotate": "the setting task_annotations",
    "apply_async_on_commit": "task.windlass_task.enqueue_in(connection, …)",
    "backend": _IN_STORE,
    "delay_on_commit": "task.windlass_task.enqueue_in(connection, …)",
    "on_bound": "the setting task_annotations",
    "on_replace": "after_return",
    "pop_request": "call the task with apply(…)",
    "push_request": "call the task with apply(…)",
    "request_stack": "self.request",
    "send_event": "context().progress(…), or windlass_app.observe(…)",
    "shadow_name": "name=… of the task",
    "signature_from_request": "self.s(…)",
    "start_strategy": "a task of Windlass: app.windlass_app.task",
}
OF_APPS = {
    "Beat": "windlass worker module:app --scheduler",
    "WorkController": "windlass worker module:app",
    "Worker": "windlass worker module:app",
    "amqp": "task_routes and task_queues",
    "backend": _IN_STORE,
    "broker_connection": "windlass_app.client()",
    "bugreport": "windlass check module:app",
    "config_from_cmdline": "config_from_object(…)",
    "config_from_envvar": "config_from_object(os.environ[…])",
    "connection": "windlass_app.client()",
    "connection_for_read": "windlass_app.client()",
    "connection_for_write": "windlass_app.client()",
    "events": "windlass_app.observe(…)",
    "loader": "include=… and autodiscover_tasks(…)",
    "log": "logging as you configure it",
    "on_after_fork": "nothing: an app begins anew in each process",
    "pool": "windlass_app.client()",
    "producer_pool": "windlass_app.client()",
    "select_queues": "windlass worker --queues",
    "setup_security": "access to the store",
    "start": "windlass worker module:app",
    "steps": "windlass_app.lifespan",
    "worker_main": "windlass worker module:app",
}
