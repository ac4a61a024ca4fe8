"""The scheduler, as the command line takes it: ``windlass scheduler proj.tasks:scheduler``."""

from collections.abc import Iterable
from typing import Any

from windlass import App
from windlass.contrib.taskiq.abc.schedule_source import ScheduleSource
from windlass.contrib.taskiq.exceptions import refuse
from windlass.contrib.taskiq.schedule_sources import StoredScheduleSource


class TaskiqScheduler:
    """A broker and its sources.  Several may run: one of them fires, and no tick twice."""

    def __init__(self, broker: Any, sources: Iterable[ScheduleSource] = ()) -> None:
        self.broker = broker
        self.sources = list(sources)
        for source in self.sources:
            if not isinstance(source, ScheduleSource):
                refuse(f"the schedule source {source!r}", "app.schedules.put(name, task, cron(…))")
            if isinstance(source, StoredScheduleSource):
                source.bind(broker)

    @property
    def windlass_app(self) -> App:
        """The app whose schedules it fires."""
        app: App = self.broker.windlass_app
        return app

    async def startup(self) -> None:
        """Start the broker."""
        await self.broker.startup()

    async def shutdown(self) -> None:
        """Stop the broker."""
        await self.broker.shutdown()
