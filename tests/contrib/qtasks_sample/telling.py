"""What a driver notes of a task."""


def told(task) -> object:
    if task is None:
        return None
    lines = (task.traceback or "").strip().splitlines()
    # qtasks itself forgets the arguments of what was cancelled, or ran out of retries.
    forgets = task.status == "cancel" or (task.status == "error" and task.retry is not None)
    return {
        "status": task.status,
        "task_name": task.task_name,
        "priority": task.priority,
        "args": None if forgets else list(task.args),
        "kwargs": None if forgets else task.kwargs,
        "returning": task.returning,
        "error": lines[-1] if lines else None,
        "retry": task.retry,
        "cancel_reason": getattr(task, "cancel_reason", None),
    }
