"""Loggers of tasks, by the name under which Celery has them."""

import logging


def get_task_logger(name: str) -> logging.Logger:
    """Return a logger for the tasks of a module; a child of ``windlass.task``.

    The facts of the attempt (``job_id``, ``attempt``) are with ``windlass.context().logger``.
    """
    return logging.getLogger(f"windlass.task.{name}")
