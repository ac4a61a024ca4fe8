"""There are no signals; each name says what there is in its place."""

from typing import Any

from windlass.contrib.celery.exceptions import refuse

_AROUND = (
    "app.windlass_app.around_attempt, or before_start and after_return of a base class of tasks"
)
_INSTEAD = {
    "before_task_publish": "app.windlass_app.around_enqueue",
    "after_task_publish": "app.windlass_app.observe",
    "task_prerun": _AROUND,
    "task_postrun": _AROUND,
    "task_received": "app.windlass_app.observe",
    "task_success": "on_success of a base class of tasks, or app.windlass_app.observe",
    "task_failure": "on_failure of a base class of tasks, or app.windlass_app.observe_errors",
    "task_retry": "on_retry of a base class of tasks, or app.windlass_app.observe",
    "task_revoked": "app.windlass_app.observe",
    "task_unknown": "app.windlass_app.observe",
    "worker_init": "app.windlass_app.lifespan",
    "worker_ready": "app.windlass_app.lifespan",
    "worker_shutdown": "app.windlass_app.lifespan",
    "worker_process_init": "app.windlass_app.lifespan, or a dependency with windlass.Depends",
    "worker_process_shutdown": "app.windlass_app.lifespan, or a dependency with windlass.Depends",
    "beat_init": "app.windlass_app.observe",
    "setup_logging": "logging of the worker's process as you configure it",
    "after_setup_logger": "logging of the worker's process as you configure it",
    "after_setup_task_logger": "logging of the worker's process as you configure it",
}


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    refuse(f"signal {name}", _INSTEAD.get(name, "app.windlass_app.observe"))
