"""States: memory that the tasks of one worker process shared."""

from windlass.contrib.qtasks.refusals import STATES, refusing

__getattr__ = refusing("qtasks.plugins.states", STATES)
