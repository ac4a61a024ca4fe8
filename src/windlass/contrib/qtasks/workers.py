"""Workers: those of Windlass run the tasks."""

from windlass.contrib.qtasks.refusals import WORKER, refusing

__getattr__ = refusing("qtasks.workers", WORKER)
