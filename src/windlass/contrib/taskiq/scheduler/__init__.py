"""Schedules, and the scheduler that fires them."""

from windlass.contrib.taskiq.scheduler.scheduler import TaskiqScheduler

__all__ = ["TaskiqScheduler"]
