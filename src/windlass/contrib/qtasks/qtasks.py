"""QueueTasks for plain functions; each call blocks."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from windlass.contrib.qtasks.attempts import plain_attempt
from windlass.contrib.qtasks.front import Front
from windlass.contrib.qtasks.refusals import WORKER, refuse_given
from windlass.contrib.qtasks.registries import SyncTask
from windlass.contrib.qtasks.results import Task
from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.contrib.qtasks.serving import configure_logging


class QueueTasks(Front[SyncTask]):
    """An app of plain functions."""

    _in_loop = False

    def add_task(
        self,
        task_name: str,
        *args: Any,
        priority: int | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> Task | None:
        """Store a call of a task by its name; blocks until it is durable.

        priority: less goes first; -100 to 100; by default the task's.
        timeout:  without one the task is returned as it was stored; with one, as it ended, or
                  None when the time is over.
        Raises:   NotEncodable, PayloadTooLarge, BadOption, StoreUnavailable.
        """
        task = self.jobs.store(task_name, args, kwargs, priority)
        return task if timeout is None else self.jobs.wait(task.uuid, timeout, self.log)

    def get(self, uuid: UUID | str) -> Task | None:
        """Return a task as it stands; None if there is none.  Raises: ValueError, for no UUID."""
        return self.jobs.find(uuid)

    def ping(self, server: bool = True) -> bool:
        """Tell whether a worker serves this app; with ``server=False`` always True."""
        workers = self.windlass_app.operations.workers() if server else []
        return not server or any(self.name in worker.queues for worker in workers)

    def run_forever(
        self, starter: object = None, num_workers: int = 4, reset_config: bool = True
    ) -> None:
        """Run a worker in this process until SIGINT, SIGTERM or ``stop()``.

        How many tasks run at once is ``config.max_tasks_process``; one loop claims for all, so
        ``num_workers`` and ``reset_config`` have nothing to say.
        Raises: NotSupported, for a starter; what the start of a worker raises.
        """
        refuse_given(starter=(starter, WORKER))
        configure_logging(self.log)
        asyncio.run(self._server.serve())

    def stop(self) -> None:
        """Have the worker of ``run_forever`` end what it runs, and stop."""
        self._server.stop()

    def _held(self, task_func: TaskExecSchema) -> SyncTask:
        return SyncTask(task_func, self)

    def _attempt(self, task_func: TaskExecSchema) -> Callable[..., Any]:
        return plain_attempt(self, task_func)
