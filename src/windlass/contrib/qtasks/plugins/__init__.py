"""Of the plugins, those that are there without being asked for: Depends."""

from windlass.contrib.qtasks.plugins.depends import Depends
from windlass.contrib.qtasks.refusals import HOOKS, refusing

__all__ = ["Depends"]

__getattr__ = refusing("qtasks.plugins", HOOKS)
