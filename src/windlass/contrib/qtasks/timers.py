"""Timers: schedules start tasks by the clock."""

from windlass.contrib.qtasks.refusals import TIMERS, refusing

__getattr__ = refusing("qtasks.timers", TIMERS)
