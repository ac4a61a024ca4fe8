"""taskiq: its scheduler, Redis lists, and one worker."""

import os

import ticks
from taskiq import TaskiqScheduler
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListQueueBroker

broker = ListQueueBroker(os.environ["LATENESS_REDIS"])
scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])


@broker.task(task_name="tick", schedule=[{"interval": 1}])
async def tick() -> None:
    """Note the fire."""
    ticks.note()
