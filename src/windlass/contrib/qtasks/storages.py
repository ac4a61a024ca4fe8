"""Storages: the store keeps the results."""

from windlass.contrib.qtasks.refusals import STORE, refusing

__getattr__ = refusing("qtasks.storages", STORE)
