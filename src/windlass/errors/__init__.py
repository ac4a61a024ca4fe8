"""Every error Windlass raises on purpose, sorted by who must act.

WindlassError
├── ConfigurationError      the deployer: fix a setting, a file, an installation
│   ├── BadSetting              a value of a setting is not acceptable
│   ├── UnknownSetting          no setting has this name
│   ├── BadStoreUrl             no store answers to this URL
│   ├── BadBroker               no drain reads from the broker of this URL
│   ├── BadLargeResults         large results cannot be kept where the setting says
│   ├── LargeResultsOff         a large result is asked for without that setting
│   ├── MissingExtra            an optional dependency is not installed
│   ├── AppNotFound             `module:app` does not lead to an App
│   ├── OtherStoreInChild       in a child process of a worker the app has another store
│   ├── AppNotConnected         a web application knows no Windlass app
│   ├── BadTask                 a task is defined in a way that cannot be kept
│   ├── BadDag                  a DAG is declared in a way that cannot be kept
│   ├── UnknownSerializer       nothing here reads or writes this format
│   ├── PickleRefused           a pickle was not written, or not read
│   ├── LifespanBroke           an app's lifespan raised at its start or at its end
│   ├── ServiceBroke            a service of the worker raised at its start or at its end
│   ├── CannotListen            an address cannot be listened at
│   ├── BadMiddleware           a middleware has none of the shapes there are
│   ├── SchemaMissing           the store holds no Windlass tables
│   ├── SchemaTooNew            the store was migrated by a newer Windlass
│   ├── StoreCorrupt            the store's file is damaged or not a database
│   ├── StoreReadOnly           the store cannot be written
│   ├── SqliteTooOld            the SQLite library on this machine has a known fault
│   ├── SqliteOpenTwice         another copy of SQLite has the file open in this process
│   ├── ZoneDataMissing         this machine has no data of time zones
│   └── BrokenSchedule          a stored schedule cannot be worked out here
├── UsageError              the caller: fix the call
│   ├── BadArguments            arguments do not fit the task's signature
│   ├── NotEncodable            a value has no place in a payload
│   ├── PayloadTooLarge         a payload is over the limit
│   ├── BadOption               an option of an enqueue is out of range
│   ├── BadLimitKey             the key of a limit cannot be had from the arguments
│   ├── BadTrigger              a trigger cannot be kept: which field, and why
│   ├── UnknownZone             no time zone has this name
│   ├── BadComposition          a chain, group or chord is put together wrongly
│   ├── TooManyHolds            the store keeps no more holds than it has
│   ├── HoldNotFound            no hold of this id is in force
│   ├── ScheduleNotFound        the store keeps no schedule of this name
│   ├── BackfillNotFound        the store keeps no backfill of this id
│   ├── TaskNotFound            the app has no task of this name
│   ├── JobNotFound             no job has this id
│   ├── JobNotWaiting           only a job that waits to start can be rescheduled
│   ├── WorkerNotFound          no worker of this id holds a lease
│   ├── JobNotFailed            only a failed job can be retried or discarded
│   ├── NotSupported            a front end for another library's code lacks a feature of it
│   ├── NotIncluded             a router's task was used before an app included it
│   ├── KeyConflict             an idempotency key stands for a call with other arguments
│   ├── CannotJoin              a job cannot be enqueued in the caller's own transaction
│   ├── CeleryStillRuns         Celery workers run which may hold what is asked for
│   ├── WouldDeadlock           a blocking call in the event loop that would have to serve it
│   ├── NotInRun                what makes steps was called where it can make none
│   ├── NotInAttempt            context() was called outside of a running task
│   ├── RefusedInWorkflow       a workflow asked for what would not be the same again
│   ├── NotInjected             a parameter which only an attempt fills was used in a plain call
│   ├── ResultExpired           the job's result was kept for a time, which is over
│   └── ResultTimeout           the job did not end within the time given
├── UnavailableError        the operator; trying again may help
│   ├── StoreUnavailable        the store does not answer
│   ├── BlobsUnavailable        the place of the large results does not answer
│   └── BrokerUnavailable       the broker that is drained does not answer
├── StaleError              nobody: a newer holder of the job has won
│   └── LeaderLost              another scheduler leads
└── TaskError               the task's author: an attempt, or the job, went wrong
    ├── JobFailed               the job ended in ``failed``
    ├── JobCancelled            the job ended in ``cancelled``
    ├── BadResult               a stored result cannot be read
    ├── LargeResultLost         a large result is gone or damaged
    ├── BadBatchResult          a batch returned neither None nor a value for each item
    ├── UpstreamFailed          a job that this one waited for ended badly
    ├── StepsFailed             steps of a run failed
    ├── AttemptTimeout          an attempt ran longer than its limit
    ├── MemoryExceeded          an attempt wanted more memory than its limit
    ├── CpuExceeded             an attempt used more CPU time than its limit
    ├── AttemptCancelled        an attempt was stopped by a cancel request
    ├── MiddlewareBroke         a middleware broke the rules of proceeding
    ├── DependencyBroke         a dependency did not yield exactly once
    ├── WorkersLost             a workflow lost too many workers
    ├── WorkflowDiverged        a workflow's code asks for another step than it did before
    ├── WorkflowStuck           a workflow waits for what no step will end
    └── ChildDied               the process that ran an attempt died under it

Arguments are the facts; ``__str__`` makes the sentence, with the way out, so
that each error survives pickling.
"""

from windlass.errors.attempts import (
    AttemptCancelled,
    AttemptTimeout,
    BadBatchResult,
    BadResult,
    ChildDied,
    CpuExceeded,
    DependencyBroke,
    JobCancelled,
    JobFailed,
    LargeResultLost,
    MemoryExceeded,
    MiddlewareBroke,
    StepsFailed,
    UpstreamFailed,
    WorkersLost,
    WorkflowDiverged,
    WorkflowStuck,
)
from windlass.errors.configuration import (
    AppNotConnected,
    AppNotFound,
    BadBroker,
    BadDag,
    BadLargeResults,
    BadMiddleware,
    BadSetting,
    BadStoreUrl,
    BadTask,
    BrokenSchedule,
    CannotListen,
    LargeResultsOff,
    LifespanBroke,
    MissingExtra,
    OtherStoreInChild,
    PickleRefused,
    SchemaMissing,
    SchemaTooNew,
    ServiceBroke,
    SqliteOpenTwice,
    SqliteTooOld,
    StoreCorrupt,
    StoreReadOnly,
    UnknownSerializer,
    UnknownSetting,
    ZoneDataMissing,
)
from windlass.errors.roots import (
    ConfigurationError,
    StaleError,
    TaskError,
    UnavailableError,
    UsageError,
    WindlassError,
    facts_of,
)
from windlass.errors.stale import LeaderLost
from windlass.errors.unavailable import (
    BlobsUnavailable,
    BrokerUnavailable,
    StoreUnavailable,
)
from windlass.errors.usage import (
    BackfillNotFound,
    BadArguments,
    BadComposition,
    BadLimitKey,
    BadOption,
    BadTrigger,
    CannotJoin,
    CeleryStillRuns,
    HoldNotFound,
    JobNotFailed,
    JobNotFound,
    JobNotWaiting,
    KeyConflict,
    NotEncodable,
    NotInAttempt,
    NotIncluded,
    NotInjected,
    NotInRun,
    NotSupported,
    PayloadTooLarge,
    RefusedInWorkflow,
    ResultExpired,
    ResultTimeout,
    ScheduleNotFound,
    TaskNotFound,
    TooManyHolds,
    UnknownZone,
    WorkerNotFound,
    WouldDeadlock,
)

__all__ = [
    "AppNotConnected",
    "AppNotFound",
    "AttemptCancelled",
    "AttemptTimeout",
    "BackfillNotFound",
    "BadArguments",
    "BadBatchResult",
    "BadBroker",
    "BadComposition",
    "BadDag",
    "BadLargeResults",
    "BadLimitKey",
    "BadMiddleware",
    "BadOption",
    "BadResult",
    "BadSetting",
    "BadStoreUrl",
    "BadTask",
    "BadTrigger",
    "BlobsUnavailable",
    "BrokenSchedule",
    "BrokerUnavailable",
    "CannotJoin",
    "CannotListen",
    "CeleryStillRuns",
    "ChildDied",
    "ConfigurationError",
    "CpuExceeded",
    "DependencyBroke",
    "HoldNotFound",
    "JobCancelled",
    "JobFailed",
    "JobNotFailed",
    "JobNotFound",
    "JobNotWaiting",
    "KeyConflict",
    "LargeResultLost",
    "LargeResultsOff",
    "LeaderLost",
    "LifespanBroke",
    "MemoryExceeded",
    "MiddlewareBroke",
    "MissingExtra",
    "NotEncodable",
    "NotInAttempt",
    "NotInRun",
    "NotIncluded",
    "NotInjected",
    "NotSupported",
    "OtherStoreInChild",
    "PayloadTooLarge",
    "PickleRefused",
    "RefusedInWorkflow",
    "ResultExpired",
    "ResultTimeout",
    "ScheduleNotFound",
    "SchemaMissing",
    "SchemaTooNew",
    "ServiceBroke",
    "SqliteOpenTwice",
    "SqliteTooOld",
    "StaleError",
    "StepsFailed",
    "StoreCorrupt",
    "StoreReadOnly",
    "StoreUnavailable",
    "TaskError",
    "TaskNotFound",
    "TooManyHolds",
    "UnavailableError",
    "UnknownSerializer",
    "UnknownSetting",
    "UnknownZone",
    "UpstreamFailed",
    "UsageError",
    "WindlassError",
    "WorkerNotFound",
    "WorkersLost",
    "WorkflowDiverged",
    "WorkflowStuck",
    "WouldDeadlock",
    "ZoneDataMissing",
    "facts_of",
]

# Stored with jobs and pickled: the name by which all know an error, wherever it is written.
for _name in __all__:
    globals()[_name].__module__ = __name__
