"""Every error Windlass raises on purpose, sorted by who must act.

WindlassError
├── ConfigurationError      the deployer: fix a setting, a file, an installation
│   ├── BadSetting              a value of a setting is not acceptable
│   ├── UnknownSetting          no setting has this name
│   ├── BadStoreUrl             no store answers to this URL
│   ├── MissingExtra            an optional dependency is not installed
│   ├── AppNotFound             `module:app` does not lead to an App
│   ├── BadTask                 a task is defined in a way that cannot be kept
│   ├── LifespanBroke           an app's lifespan raised at its start or at its end
│   ├── CannotListen            an address cannot be listened at
│   ├── BadMiddleware           a middleware has none of the shapes there are
│   ├── SchemaMissing           the store holds no Windlass tables
│   ├── SchemaTooNew            the store was migrated by a newer Windlass
│   ├── StoreCorrupt            the store's file is damaged or not a database
│   ├── StoreReadOnly           the store cannot be written
│   └── SqliteTooOld            the SQLite library on this machine has a known fault
├── UsageError              the caller: fix the call
│   ├── BadArguments            arguments do not fit the task's signature
│   ├── NotEncodable            a value has no place in a payload
│   ├── PayloadTooLarge         a payload is over the limit
│   ├── BadOption               an option of an enqueue is out of range
│   ├── BadLimitKey             the key of a limit cannot be had from the arguments
│   ├── TooManyHolds            the store keeps no more holds than it has
│   ├── HoldNotFound            no hold of this id is in force
│   ├── TaskNotFound            the app has no task of this name
│   ├── JobNotFound             no job has this id
│   ├── JobNotWaiting           only a job that waits to start can be rescheduled
│   ├── WorkerNotFound          no worker of this id holds a lease
│   ├── JobNotFailed            only a failed job can be retried or discarded
│   ├── NotIncluded             a router's task was used before an app included it
│   ├── WouldDeadlock           a blocking call in the event loop that would have to serve it
│   ├── NotInAttempt            context() was called outside of a running task
│   ├── NotInjected             a parameter which only an attempt fills was used in a plain call
│   └── ResultTimeout           the job did not end within the time given
├── UnavailableError        the operator; trying again may help
│   └── StoreUnavailable        the store does not answer
├── StaleError              nobody: a newer holder of the job has won
└── TaskError               the task's author: an attempt, or the job, went wrong
    ├── JobFailed               the job ended in ``failed``
    ├── JobCancelled            the job ended in ``cancelled``
    ├── AttemptTimeout          an attempt ran longer than its limit
    ├── MemoryExceeded          an attempt wanted more memory than its limit
    ├── CpuExceeded             an attempt used more CPU time than its limit
    ├── AttemptCancelled        an attempt was stopped by a cancel request
    ├── MiddlewareBroke         a middleware broke the rules of proceeding
    ├── DependencyBroke         a dependency did not yield exactly once
    └── ChildDied               the process that ran an attempt died under it

Arguments are the facts; ``__str__`` makes the sentence, with the way out, so
that each error survives pickling.
"""

from typing import Any


class WindlassError(Exception):
    """The root: catching it catches everything Windlass raises on purpose."""


class ConfigurationError(WindlassError):
    """The deployer must change a setting, a file or an installation."""


class UsageError(WindlassError):
    """The caller must change the call."""


class UnavailableError(WindlassError):
    """Something outside does not answer; trying again may help."""


class StaleError(WindlassError):
    """A write was refused because a newer fence exists: another holder has won."""

    def __init__(self, job_id: str, fence: int) -> None:
        super().__init__(job_id, fence)
        self.job_id = job_id
        self.fence = fence

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is no longer held under fence {self.fence}: "
            "its lease ended and another claim, or a cancel, came first"
        )


class TaskError(WindlassError):
    """Code of a task went wrong, or was stopped."""


# -- ConfigurationError ------------------------------------------------------


class BadSetting(ConfigurationError):
    """A setting has a value that cannot be used."""

    def __init__(self, name: str, value: object, why: str, source: str = "argument") -> None:
        super().__init__(name, value, why, source)
        self.name = name
        self.value = value
        self.why = why
        self.source = source

    def __str__(self) -> str:
        return f"setting {self.name} = {self.value!r} (from {self.source}): {self.why}"


class UnknownSetting(ConfigurationError):
    """No setting has this name."""

    def __init__(self, name: str, source: str, near: str | None = None) -> None:
        super().__init__(name, source, near)
        self.name = name
        self.source = source
        self.near = near

    def __str__(self) -> str:
        hint = f"; did you mean {self.near!r}?" if self.near else ""
        return f"unknown setting {self.name!r} in {self.source}{hint}"


class BadStoreUrl(ConfigurationError):
    """No store answers to this URL."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"store URL {self.url!r}: {self.why}; "
            "use sqlite:///path/to/file.db or postgresql://user@host/database"
        )


class MissingExtra(ConfigurationError):
    """An optional dependency is not installed."""

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(extra, module)
        self.extra = extra
        self.module = module

    def __str__(self) -> str:
        return (
            f"this needs the module {self.module!r}, which is not installed: "
            f"pip install 'windlass[{self.extra}]'"
        )


class AppNotFound(ConfigurationError):
    """`module:app` does not lead to an App."""

    def __init__(self, target: str, why: str) -> None:
        super().__init__(target, why)
        self.target = target
        self.why = why

    def __str__(self) -> str:
        return (
            f"cannot load the app {self.target!r}: {self.why}; "
            "name it as module:attribute, for instance myproject.jobs:app"
        )


class BadTask(ConfigurationError):
    """A task is defined in a way that cannot be kept."""

    def __init__(self, task: str, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        return f"task {self.task!r}: {self.why}"


class LifespanBroke(ConfigurationError):
    """An app's lifespan raised at its start, so nothing was claimed, or at its end."""

    def __init__(self, when: str, error: str) -> None:
        super().__init__(when, error)
        self.when = when
        self.error = error

    def __str__(self) -> str:
        return f"the lifespan of the app raised at its {self.when}: {self.error}"


class CannotListen(ConfigurationError):
    """An address cannot be listened at: it is taken, or is none of this machine."""

    def __init__(self, host: str, port: int, why: str) -> None:
        super().__init__(host, port, why)
        self.host = host
        self.port = port
        self.why = why

    def __str__(self) -> str:
        return f"cannot listen at {self.host}:{self.port}: {self.why}; name another address"


class BadMiddleware(ConfigurationError):
    """A middleware has none of the shapes there are."""

    def __init__(self, middleware: str, why: str) -> None:
        super().__init__(middleware, why)
        self.middleware = middleware
        self.why = why

    def __str__(self) -> str:
        return f"middleware {self.middleware}: {self.why}"


class SchemaMissing(ConfigurationError):
    """The store holds no Windlass tables, or older ones."""

    def __init__(self, url: str, found: int, wanted: int) -> None:
        super().__init__(url, found, wanted)
        self.url = url
        self.found = found
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"store {self.url}: its schema is at version {self.found}, "
            f"this Windlass needs {self.wanted}; run: windlass migrate --store {self.url}"
        )


class SchemaTooNew(ConfigurationError):
    """The store was migrated by a newer Windlass than this one."""

    def __init__(self, url: str, found: int, wanted: int) -> None:
        super().__init__(url, found, wanted)
        self.url = url
        self.found = found
        self.wanted = wanted

    def __str__(self) -> str:
        return (
            f"store {self.url}: its schema is at version {self.found}, newer than the "
            f"{self.wanted} this Windlass knows; upgrade the package on this machine"
        )


class StoreCorrupt(ConfigurationError):
    """The store's file is damaged, or is no database."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"store {self.url} is damaged or is not a database ({self.why}); "
            "restore it from a backup, or name another file"
        )


class StoreReadOnly(ConfigurationError):
    """The store cannot be written."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return (
            f"store {self.url} cannot be written ({self.why}); "
            "give this user write access to the file and to its folder"
        )


class SqliteTooOld(ConfigurationError):
    """The SQLite library on this machine can lose a commit."""

    def __init__(self, found: str, least: str) -> None:
        super().__init__(found, least)
        self.found = found
        self.least = least

    def __str__(self) -> str:
        return (
            f"SQLite {self.found} can lose a commit when its log is reset; "
            f"{self.least} or later is needed: pip install --upgrade apsw"
        )


# -- UsageError --------------------------------------------------------------


class BadArguments(UsageError):
    """Arguments do not fit the signature of the task."""

    def __init__(self, task: str, field: str | None, why: str) -> None:
        super().__init__(task, field, why)
        self.task = task
        self.field = field
        self.why = why

    def __str__(self) -> str:
        where = f"argument {self.field!r} of " if self.field else "arguments of "
        return f"{where}task {self.task!r}: {self.why}"


class NotEncodable(UsageError):
    """A value has no place in a payload."""

    def __init__(self, task: str, field: str | None, why: str) -> None:
        super().__init__(task, field, why)
        self.task = task
        self.field = field
        self.why = why

    def __str__(self) -> str:
        where = f"argument {self.field!r}" if self.field else "the result"
        return (
            f"{where} of task {self.task!r} cannot be encoded: {self.why}; pass plain values, "
            "dataclasses, msgspec structs or pydantic models"
        )


class PayloadTooLarge(UsageError):
    """A payload is over the limit."""

    def __init__(self, task: str, what: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(task, what, size_bytes, limit_bytes)
        self.task = task
        self.what = what
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        setting = "" if self.what == "headers" else " (setting payload_limit_bytes)"
        return (
            f"the {self.what} of task {self.task!r} take {self.size_bytes:,} bytes, over the limit "
            f"of {self.limit_bytes:,}{setting}; pass a reference to the data"
        )


class BadOption(UsageError):
    """An option of an enqueue has a value out of range."""

    def __init__(self, option: str, value: object, why: str) -> None:
        super().__init__(option, value, why)
        self.option = option
        self.value = value
        self.why = why

    def __str__(self) -> str:
        return f"option {self.option} = {self.value!r}: {self.why}"


class BadLimitKey(UsageError):
    """The key of a task's limit cannot be had from a call's arguments."""

    def __init__(self, task: str, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        return (
            f"the key of a limit of task {self.task!r} cannot be had from the arguments: {self.why}"
        )


class TooManyHolds(UsageError):
    """The store keeps no more holds than it has: each claim looks at all of them."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.most = most

    def __str__(self) -> str:
        return f"there are {self.most:,} holds already; lift some, or make one that fits more jobs"


class HoldNotFound(UsageError):
    """No hold of this id is in force: it never was, was lifted, or has expired."""

    def __init__(self, hold_id: str) -> None:
        super().__init__(hold_id)
        self.hold_id = hold_id

    def __str__(self) -> str:
        return f"no hold {self.hold_id!r} is in force; `windlass holds` lists those that are"


class TaskNotFound(UsageError):
    """The app has no task of this name."""

    def __init__(self, task: str, near: str | None = None) -> None:
        super().__init__(task, near)
        self.task = task
        self.near = near

    def __str__(self) -> str:
        hint = f"; did you mean {self.near!r}?" if self.near else ""
        return f"the app has no task {self.task!r}{hint}"


class JobNotFound(UsageError):
    """No job has this id: it was never enqueued, or retention has pruned it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"no job {self.job_id!r}: it was never enqueued, or has been pruned"


class JobNotWaiting(UsageError):
    """Only a job that waits to start can be rescheduled."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(job_id, state)
        self.job_id = job_id
        self.state = state

    def __str__(self) -> str:
        return (
            f"job {self.job_id} is {self.state}: only a scheduled, queued or held job can be "
            "rescheduled; enqueue it again, or retry it if it failed"
        )


class WorkerNotFound(UsageError):
    """No worker of this id holds a lease."""

    def __init__(self, worker: str) -> None:
        super().__init__(worker)
        self.worker = worker

    def __str__(self) -> str:
        return f"no worker {self.worker!r} holds a lease; `windlass workers` lists those that do"


class JobNotFailed(UsageError):
    """Only a failed job can be retried or discarded."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(job_id, state)
        self.job_id = job_id
        self.state = state

    def __str__(self) -> str:
        return f"job {self.job_id!r} is {self.state}: only a failed job is a dead letter"


class NotIncluded(UsageError):
    """A router's task was used before an app included the router."""

    def __str__(self) -> str:
        return "this router is not part of an app yet; call app.include(router) first"


class WouldDeadlock(UsageError):
    """A blocking call was made in the very event loop that would have to serve it."""

    def __str__(self) -> str:
        return (
            "this blocking call would wait for itself: middleware runs in the app's own event "
            "loop; await the call's async form there (aenqueue, aresult, …)"
        )


class NotInAttempt(UsageError):
    """``context()`` was called outside of a running task."""

    def __str__(self) -> str:
        return "there is no running attempt here: call context() from inside a task"


class NotInjected(UsageError, AttributeError):
    """A parameter which only an attempt fills was used in a plain call."""

    def __init__(self, attribute: str) -> None:
        super().__init__(attribute)
        self.attribute = attribute

    def __str__(self) -> str:
        return (
            f"{self.attribute!r} was asked of INJECTED: nobody makes the dependencies of a plain "
            "call; pass this argument by hand"
        )


class ResultTimeout(UsageError, TimeoutError):
    """The job did not end within the time given; it goes on all the same."""

    def __init__(self, job_id: str, timeout_s: float, state: str) -> None:
        super().__init__(job_id, timeout_s, state)
        self.job_id = job_id
        self.timeout_s = timeout_s
        self.state = state

    def __str__(self) -> str:
        return (
            f"job {self.job_id} did not end within {self.timeout_s:g} s (it is {self.state}); "
            "wait longer, or look whether a worker serves its queue"
        )


# -- UnavailableError --------------------------------------------------------


class StoreUnavailable(UnavailableError):
    """The store does not answer."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.url = url
        self.why = why

    def __str__(self) -> str:
        return f"store {self.url} does not answer: {self.why}"


# -- TaskError ---------------------------------------------------------------


class JobFailed(TaskError):
    """The job ended in ``failed``; carries what its last attempt raised, far away.

    ``error_type`` is the remote class's full name, ``message`` its text,
    ``traceback`` the remote traceback with its causes, ready to print.
    """

    def __init__(
        self,
        job_id: str,
        task: str,
        reason: str,
        error_type: str,
        message: str,
        traceback: str,
    ) -> None:
        super().__init__(job_id, task, reason, error_type, message, traceback)
        self.job_id = job_id
        self.task = task
        self.reason = reason
        self.error_type = error_type
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        head = f"job {self.job_id} ({self.task}) failed ({self.reason})"
        if self.error_type:
            head += f": {self.error_type}: {self.message}"
        return f"{head}\n\n{self.traceback}" if self.traceback else head


class JobCancelled(TaskError):
    """The job ended in ``cancelled``, so it has no result."""

    def __init__(self, job_id: str, task: str) -> None:
        super().__init__(job_id, task)
        self.job_id = job_id
        self.task = task

    def __str__(self) -> str:
        return f"job {self.job_id} ({self.task}) was cancelled"


class AttemptTimeout(TaskError):
    """An attempt ran longer than its limit."""

    def __init__(self, task: str, limit_s: float) -> None:
        super().__init__(task, limit_s)
        self.task = task
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"task {self.task!r} ran longer than its timeout of {self.limit_s:g} s"


class MemoryExceeded(TaskError):
    """An attempt wanted more memory than its task's ``memory_limit``."""

    def __init__(self, task: str, limit_bytes: int) -> None:
        super().__init__(task, limit_bytes)
        self.task = task
        self.limit_bytes = limit_bytes

    def __str__(self) -> str:
        return (
            f"task {self.task!r} wanted more than its memory_limit of {self.limit_bytes:,} bytes; "
            "work in smaller pieces, or raise the limit"
        )


class CpuExceeded(TaskError):
    """An attempt used more CPU time than its task's ``cpu_limit``."""

    def __init__(self, task: str, limit_s: float) -> None:
        super().__init__(task, limit_s)
        self.task = task
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"task {self.task!r} used more than its cpu_limit of {self.limit_s:g} s of CPU time"


class AttemptCancelled(TaskError):
    """An attempt was stopped by a cancel request."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        self.task = task

    def __str__(self) -> str:
        return f"an attempt of task {self.task!r} was cancelled"


class MiddlewareBroke(TaskError):
    """A middleware proceeded twice, or gave back what is no answer."""

    def __init__(self, middleware: str, why: str) -> None:
        super().__init__(middleware, why)
        self.middleware = middleware
        self.why = why

    def __str__(self) -> str:
        return f"middleware {self.middleware}: {self.why}"


class DependencyBroke(TaskError):
    """A dependency that is a generator did not yield exactly once."""

    def __init__(self, dependency: str, why: str) -> None:
        super().__init__(dependency, why)
        self.dependency = dependency
        self.why = why

    def __str__(self) -> str:
        return f"dependency {self.dependency!r}: {self.why}; let it yield exactly once"


class ChildDied(TaskError):
    """The process that ran an attempt died under it."""

    def __init__(self, task: str, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        return f"the process that ran task {self.task!r} died: {self.why}"


def facts_of(error: WindlassError) -> dict[str, Any]:
    """Return the facts of an error by name, for programs (CLI ``--json``, HTTP)."""
    return {name: value for name, value in vars(error).items() if not name.startswith("_")}
