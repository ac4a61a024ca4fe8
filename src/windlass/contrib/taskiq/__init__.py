"""A front end for code bases that use taskiq: the same names, on Windlass.

``from windlass.contrib.taskiq import …`` instead of ``from taskiq import …``, and instead of
``from taskiq_redis import …`` and its like.  taskiq itself need not be installed.
"""

from typing import NoReturn

from windlass.contrib.taskiq.backends import AsyncResultBackend, InmemoryResultBackend
from windlass.contrib.taskiq.broker import AsyncBroker
from windlass.contrib.taskiq.context import Context
from windlass.contrib.taskiq.decor import AsyncTaskiqDecoratedTask
from windlass.contrib.taskiq.dependencies import TaskiqDepends
from windlass.contrib.taskiq.events import TaskiqEvents
from windlass.contrib.taskiq.exceptions import (
    NoResultError,
    ResultGetError,
    ResultIsReadyError,
    SecurityError,
    SendTaskError,
    TaskiqError,
    TaskiqResultTimeoutError,
    refuse,
)
from windlass.contrib.taskiq.inmemory import InMemoryBroker
from windlass.contrib.taskiq.kicker import AsyncKicker
from windlass.contrib.taskiq.message import TaskiqMessage
from windlass.contrib.taskiq.middlewares import (
    SimpleRetryMiddleware,
    SmartRetryMiddleware,
    TaskiqMiddleware,
)
from windlass.contrib.taskiq.result import TaskiqResult
from windlass.contrib.taskiq.schedule_sources import (
    LabelScheduleSource,
    ListRedisScheduleSource,
    RedisScheduleSource,
    ScheduleSource,
)
from windlass.contrib.taskiq.scheduler import TaskiqScheduler
from windlass.contrib.taskiq.schedules import CreatedSchedule, CronSpec, ScheduledTask
from windlass.contrib.taskiq.shared import async_shared_broker, shared_task
from windlass.contrib.taskiq.state import TaskiqState
from windlass.contrib.taskiq.stored import (
    AioPikaBroker,
    ListQueueBroker,
    ListQueueClusterBroker,
    PullBasedJetStreamBroker,
    PushBasedJetStreamBroker,
    RedisStreamBroker,
    RedisStreamClusterBroker,
    ZeroMQBroker,
)
from windlass.contrib.taskiq.task import AsyncTaskiqTask, gather
from windlass.contrib.taskiq.unsupported import INSTEAD

# The names that transports have for the same results.
RedisAsyncResultBackend = RedisAsyncClusterResultBackend = AsyncResultBackend
NATSObjectStoreResultBackend = AsyncResultBackend

__all__ = [
    "AioPikaBroker",
    "AsyncBroker",
    "AsyncKicker",
    "AsyncResultBackend",
    "AsyncTaskiqDecoratedTask",
    "AsyncTaskiqTask",
    "Context",
    "CreatedSchedule",
    "CronSpec",
    "InMemoryBroker",
    "InmemoryResultBackend",
    "LabelScheduleSource",
    "ListQueueBroker",
    "ListQueueClusterBroker",
    "ListRedisScheduleSource",
    "NATSObjectStoreResultBackend",
    "NoResultError",
    "PullBasedJetStreamBroker",
    "PushBasedJetStreamBroker",
    "RedisAsyncClusterResultBackend",
    "RedisAsyncResultBackend",
    "RedisScheduleSource",
    "RedisStreamBroker",
    "RedisStreamClusterBroker",
    "ResultGetError",
    "ResultIsReadyError",
    "ScheduleSource",
    "ScheduledTask",
    "SecurityError",
    "SendTaskError",
    "SimpleRetryMiddleware",
    "SmartRetryMiddleware",
    "TaskiqDepends",
    "TaskiqError",
    "TaskiqEvents",
    "TaskiqMessage",
    "TaskiqMiddleware",
    "TaskiqResult",
    "TaskiqResultTimeoutError",
    "TaskiqScheduler",
    "TaskiqState",
    "ZeroMQBroker",
    "async_shared_broker",
    "gather",
    "shared_task",
]


def __getattr__(name: str) -> NoReturn:
    if name in INSTEAD:
        refuse(name, INSTEAD[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
