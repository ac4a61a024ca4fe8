"""The class of tasks, under the name of the module in which Celery has it."""

from windlass.contrib.celery.task import Task

__all__ = ["Task"]
