"""Events: observers are told what happens."""

from windlass.contrib.qtasks.refusals import EVENTS, refusing

__getattr__ = refusing("qtasks.events", EVENTS)
