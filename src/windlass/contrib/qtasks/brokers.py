"""Brokers: the store carries the jobs."""

from windlass.contrib.qtasks.refusals import STORE, refusing

__getattr__ = refusing("qtasks.brokers", STORE)
