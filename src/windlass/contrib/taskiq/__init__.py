"""A front end for code bases that use taskiq: the same names, on Windlass.

``from windlass.contrib.taskiq import …`` instead of ``from taskiq import …``, and instead of
``from taskiq_redis import …`` and its like.  taskiq itself need not be installed.
"""

from windlass.contrib.taskiq.abc.broker import AsyncBroker
from windlass.contrib.taskiq.abc.middleware import TaskiqMiddleware
from windlass.contrib.taskiq.abc.result_backend import AsyncResultBackend
from windlass.contrib.taskiq.abc.schedule_source import ScheduleSource
from windlass.contrib.taskiq.brokers.inmemory_broker import InMemoryBroker, InmemoryResultBackend
from windlass.contrib.taskiq.brokers.shared_broker import async_shared_broker, shared_task
from windlass.contrib.taskiq.brokers.stored import (
    AioPikaBroker,
    ListQueueBroker,
    ListQueueClusterBroker,
    PullBasedJetStreamBroker,
    PushBasedJetStreamBroker,
    RedisStreamBroker,
    RedisStreamClusterBroker,
    ZeroMQBroker,
)
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
)
from windlass.contrib.taskiq.kicker import AsyncKicker
from windlass.contrib.taskiq.message import TaskiqMessage
from windlass.contrib.taskiq.middlewares import (
    SimpleRetryMiddleware,
    SmartRetryMiddleware,
)
from windlass.contrib.taskiq.result import TaskiqResult
from windlass.contrib.taskiq.schedule_sources import (
    LabelScheduleSource,
    ListRedisScheduleSource,
    RedisScheduleSource,
)
from windlass.contrib.taskiq.scheduler.scheduled_task import (
    CreatedSchedule,
    CronSpec,
    ScheduledTask,
)
from windlass.contrib.taskiq.scheduler.scheduler import TaskiqScheduler
from windlass.contrib.taskiq.state import TaskiqState
from windlass.contrib.taskiq.task import AsyncTaskiqTask, gather
from windlass.contrib.taskiq.unsupported import refusing_module

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


__getattr__ = refusing_module(__name__)
