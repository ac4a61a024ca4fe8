"""Where the depot's work goes: to Redis, or in tests nowhere."""

import os

from taskiq import (
    AsyncBroker,
    InMemoryBroker,
    SimpleRetryMiddleware,
    TaskiqEvents,
    TaskiqScheduler,
    TaskiqState,
)
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListRedisScheduleSource, RedisAsyncResultBackend, RedisStreamBroker

from depot.hooks import Diary

REDIS = os.environ.get("DEPOT_REDIS", "redis://127.0.0.1:6379/0")

broker: AsyncBroker = RedisStreamBroker(REDIS).with_result_backend(
    RedisAsyncResultBackend(REDIS, result_ex_time=600)
)
if os.environ.get("DEPOT") == "test":
    broker = InMemoryBroker()
broker = broker.with_middlewares(Diary(), SimpleRetryMiddleware(default_retry_count=4))

timetable = ListRedisScheduleSource(REDIS)
scheduler = TaskiqScheduler(broker, sources=[LabelScheduleSource(broker), timetable])


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_gates(state: TaskiqState) -> None:
    state.gate = "north"
    state.counts = {}
    state.opened = []


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
def close_gates(state: TaskiqState) -> None:
    with open(os.environ["DEPOT_CLOSED"], "a") as file:
        file.write(f"gate {state.gate} closed\n")


@broker.on_event(TaskiqEvents.CLIENT_STARTUP)
async def open_office(state: TaskiqState) -> None:
    state.office = "open"


@broker.on_event(TaskiqEvents.CLIENT_SHUTDOWN)
async def close_office(state: TaskiqState) -> None:
    state.office = "closed"
