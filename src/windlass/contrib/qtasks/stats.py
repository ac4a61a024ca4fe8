"""Statistics: operations and the command line show them."""

from windlass.contrib.qtasks.refusals import STATS, refusing

__getattr__ = refusing("qtasks.stats", STATS)
