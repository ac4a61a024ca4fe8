"""Windlass: one engine for background work.

Tasks, schedules, DAGs and durable workflows on one core, from one SQLite file to
PostgreSQL with many workers.  Everything a user needs is named here.
"""

from windlass.app import App
from windlass.composition import Call, Chain, Group, chain, chord, continue_as, group
from windlass.core.context import Context, context
from windlass.core.dependencies import INJECTED, Depends
from windlass.core.limits import Batch, Concurrency, FairShare, Rate
from windlass.core.middleware import AttemptCall, EnqueueCall, Proceed
from windlass.core.once import Debounce, Throttle, Unique
from windlass.core.operations import Changes
from windlass.core.retry import Cancel, Retry, Snooze
from windlass.core.schedules import Schedule
from windlass.core.serializers import Serializer
from windlass.core.triggers import (
    all_of,
    any_of,
    at,
    business_days,
    cron,
    every,
    excluding,
    rrule,
)
from windlass.dags import Dag
from windlass.errors import (
    BadArguments,
    BadOption,
    BadTask,
    ConfigurationError,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotEncodable,
    PayloadTooLarge,
    ResultExpired,
    ResultTimeout,
    StaleError,
    StoreUnavailable,
    TaskError,
    UnavailableError,
    UsageError,
    WindlassError,
)
from windlass.handles import GroupHandle, JobHandle
from windlass.model.jobs import Job, JobFilter, JobId, Rule, State
from windlass.model.notices import Notice, NoticeKind
from windlass.model.outcomes import Cancelled, Failed, Outcome, Snoozed, Succeeded
from windlass.model.progress import Progress
from windlass.router import Router
from windlass.tasks import Task
from windlass.workflows import Workflow

__version__ = "0.1.0"

__all__ = [
    "INJECTED",
    "App",
    "AttemptCall",
    "BadArguments",
    "BadOption",
    "BadTask",
    "Batch",
    "Call",
    "Cancel",
    "Cancelled",
    "Chain",
    "Changes",
    "Concurrency",
    "ConfigurationError",
    "Context",
    "Dag",
    "Debounce",
    "Depends",
    "EnqueueCall",
    "Failed",
    "FairShare",
    "Group",
    "GroupHandle",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobFilter",
    "JobHandle",
    "JobId",
    "JobNotFound",
    "NotEncodable",
    "Notice",
    "NoticeKind",
    "Outcome",
    "PayloadTooLarge",
    "Proceed",
    "Progress",
    "Rate",
    "ResultExpired",
    "ResultTimeout",
    "Retry",
    "Router",
    "Rule",
    "Schedule",
    "Serializer",
    "Snooze",
    "Snoozed",
    "StaleError",
    "State",
    "StoreUnavailable",
    "Succeeded",
    "Task",
    "TaskError",
    "Throttle",
    "UnavailableError",
    "Unique",
    "UsageError",
    "WindlassError",
    "Workflow",
    "__version__",
    "all_of",
    "any_of",
    "at",
    "business_days",
    "chain",
    "chord",
    "context",
    "continue_as",
    "cron",
    "every",
    "excluding",
    "group",
    "rrule",
]
