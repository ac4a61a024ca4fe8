"""The context of a running task: what ``self.ctx`` is in a task with ``echo=True``."""

import asyncio
import time
from typing import Any, NoReturn
from uuid import UUID

from windlass.contrib.qtasks.configs import QueueConfig
from windlass.contrib.qtasks.exc import TaskCancelError
from windlass.contrib.qtasks.logs import Logger
from windlass.contrib.qtasks.refusals import HOOKS
from windlass.contrib.qtasks.results import Task
from windlass.contrib.qtasks.state import current_app
from windlass.errors import BadOption, NotSupported


class _Context:
    """What both kinds of context have.

    task_uuid: None outside of a run.
    """

    def __init__(
        self,
        task_name: str | None = None,
        task_uuid: UUID | None = None,
        generate_handler: Any = None,
        app: Any = None,
    ) -> None:
        self.task_name = task_name
        self.task_uuid = task_uuid
        self.generate_handler = generate_handler
        self._own_app = app
        self._metadata: Task | None = None

    @property
    def _app(self) -> Any:
        return self._own_app or current_app()

    def get_logger(self, name: str | None = None) -> Logger:
        """Return the app's logger under the name of the task, or another."""
        logger: Logger = self._app.log.with_subname(name or self.task_name or type(self).__name__)
        return logger

    def get_config(self) -> QueueConfig:
        """Return the app's configuration."""
        config: QueueConfig = self._app.config
        return config

    def get_component(self, name: str) -> Any:
        """Return an attribute of the app; None if it has none.  Raises: NotSupported."""
        return getattr(self._app, name, None)

    def cancel(self, reason: str = "") -> NoReturn:
        """End the task as cancelled."""
        raise TaskCancelError(reason or f"{self.task_name}.cancel")

    def plugin_error(self, **kwargs: Any) -> NoReturn:
        """Refuse: there are no plugins.  Raises: NotSupported."""
        raise NotSupported("qtasks", "ctx.plugin_error()", HOOKS)

    def _own_uuid(self) -> UUID:
        if self.task_uuid is None:
            raise BadOption("task_uuid", None, "only a task that runs has metadata")
        return self.task_uuid


class SyncContext(_Context):
    """The context of a task in an app of plain functions."""

    def get_metadata(self, cache: bool = True) -> Task | None:
        """Return the task as it stands; with ``cache`` as it stood when it was first asked."""
        if self._metadata is None or not cache:
            self._metadata = self._app.jobs.find(self._own_uuid())
        return self._metadata

    def get_task(self, uuid: UUID | str) -> Task | None:
        """Return any task as it stands."""
        found: Task | None = self._app.jobs.find(uuid)
        return found

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class AsyncContext(_Context):
    """The context of a task in an async app."""

    async def get_metadata(self, cache: bool = True) -> Task | None:
        """Return the task as it stands; with ``cache`` as it stood when it was first asked."""
        if self._metadata is None or not cache:
            self._metadata = await self._app.jobs.afind(self._own_uuid())
        return self._metadata

    async def get_task(self, uuid: UUID | str) -> Task | None:
        """Return any task as it stands."""
        found: Task | None = await self._app.jobs.afind(uuid)
        return found

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
