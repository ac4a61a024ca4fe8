"""Starters: a worker starts its own parts."""

from windlass.contrib.qtasks.refusals import WORKER, refusing

__getattr__ = refusing("qtasks.starters", WORKER)
