"""What the caller must change."""

from datetime import datetime

from windlass.errors.roots import UsageError


class BadArguments(UsageError):
    """Arguments do not fit the signature of the task.

    ``field`` is the path of what does not fit, such as ``order.lines[2].price``.
    """

    def __init__(self, task: str, field: str | None, why: str) -> None:
        super().__init__(task, field, why)
        self.task = task
        self.field = field
        self.why = why

    def __str__(self) -> str:
        where = f"argument {self.field!r} of " if self.field else "arguments of "
        return f"{where}task {self.task!r}: {self.why}"


class NotEncodable(UsageError):
    """A value has no place in a payload; ``field`` is its path."""

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
        return (
            f"the {self.what} of task {self.task!r} take {self.size_bytes:,} bytes, over the limit "
            f"of {self.limit_bytes:,}{_RAISED_BY.get(self.what, '')}; pass a reference to the data"
        )


_RAISED_BY = {
    "arguments": " (setting payload_limit_bytes)",
    "result": " (setting payload_limit_bytes, or large_result_limit_bytes once the setting "
    "large_results says where to keep large results)",
}


class BadOption(UsageError):
    """An option of an enqueue has a value out of range."""

    def __init__(self, option: str, value: object, why: str) -> None:
        super().__init__(option, value, why)
        self.option = option
        self.value = value
        self.why = why

    def __str__(self) -> str:
        return f"option {self.option} = {self.value!r}: {self.why}"


class BadTrigger(UsageError):
    """A trigger is defined in a way that cannot be kept; ``field`` says where.

    trigger: the trigger as it was written.   value: what stands in the field.
    """

    def __init__(self, trigger: str, field: str, value: object, why: str) -> None:
        super().__init__(trigger, field, value, why)
        self.trigger = trigger
        self.field = field
        self.value = value
        self.why = why

    def __str__(self) -> str:
        return f"{self.trigger}: {self.field} = {self.value!r}: {self.why}"


class UnknownZone(UsageError):
    """No time zone has this name."""

    def __init__(self, zone: str, near: str | None = None) -> None:
        super().__init__(zone, near)
        self.zone = zone
        self.near = near

    def __str__(self) -> str:
        hint = f"did you mean {self.near!r}?" if self.near else "take one such as 'Europe/Berlin'"
        return f"there is no time zone {self.zone!r} in the IANA data of this machine; {hint}"


class BadComposition(UsageError):
    """A chain, group or chord is put together wrongly."""

    def __init__(self, what: str, part: object, why: str) -> None:
        super().__init__(what, part, why)
        self.what = what
        self.part = part
        self.why = why

    def __str__(self) -> str:
        part = "" if self.part is None else f" {self.part!r}"
        return f"{self.what}{part}: {self.why}"


class NotInRun(UsageError):
    """What makes steps of a run was called where it can make none."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(name, why)
        self.name = name
        self.why = why

    def __str__(self) -> str:
        return f"{self.name!r}: {self.why}"


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


class ScheduleNotFound(UsageError):
    """The store keeps no schedule of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no schedule {self.name!r}; `windlass schedules list` shows those there are"


class BackfillNotFound(UsageError):
    """The store keeps no backfill of this id."""

    def __init__(self, backfill: str) -> None:
        super().__init__(backfill)
        self.backfill = backfill

    def __str__(self) -> str:
        return f"no backfill {self.backfill!r}; `windlass backfills list` shows those there are"


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


class KeyConflict(UsageError):
    """An idempotency key stands for a call with other arguments."""

    def __init__(self, task: str, key: str, job_id: str) -> None:
        super().__init__(task, key, job_id)
        self.task = task
        self.key = key
        self.job_id = job_id

    def __str__(self) -> str:
        return (
            f"idempotency key {self.key!r} of task {self.task!r} stands for job {self.job_id}, "
            "which has other arguments; use another key for another call"
        )


class CannotJoin(UsageError):
    """A job cannot be enqueued inside of a transaction of the caller's.

    what: the connection, or the task, that stands in the way.
    """

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what, why)
        self.what = what
        self.why = why

    def __str__(self) -> str:
        return f"{self.what}: cannot enqueue inside of its transaction: {self.why}"


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


class RefusedInWorkflow(UsageError):
    """The code of a workflow asked for what would not be the same when it runs again.

    feature: what it asked for.   instead: what to do in its place.
    """

    def __init__(
        self, feature: str, instead: str = "do this in a task, and await the task"
    ) -> None:
        super().__init__(feature, instead)
        self.feature = feature
        self.instead = instead

    def __str__(self) -> str:
        return f"{self.feature} cannot be used in a workflow: {self.instead}"


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


class ResultExpired(UsageError):
    """The job succeeded, and its result was dropped when its ``result_ttl`` was over.

    ``expired_at`` is when that was; aware, in UTC.
    """

    def __init__(self, job_id: str, task: str, expired_at: datetime) -> None:
        super().__init__(job_id, task, expired_at)
        self.job_id = job_id
        self.task = task
        self.expired_at = expired_at

    def __str__(self) -> str:
        until = self.expired_at.isoformat(timespec="seconds")
        return (
            f"job {self.job_id} ({self.task}) succeeded, but its result was only kept until "
            f"{until}; ask sooner, or raise the result_ttl of the task"
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


class NotSupported(UsageError):
    """A front end for code of another library lacks a feature of that library.

    library: whose feature it is.   feature: as the library names it.
    instead: what to use in its place.
    """

    def __init__(self, library: str, feature: str, instead: str) -> None:
        super().__init__(library, feature, instead)
        self.library = library
        self.feature = feature
        self.instead = instead

    def __str__(self) -> str:
        return f"{self.feature} of {self.library} is not supported here: {self.instead}"


class CeleryStillRuns(UsageError):
    """What Celery workers have reserved is theirs for as long as they run."""

    def __init__(self, workers: tuple[str, ...]) -> None:
        super().__init__(workers)
        self.workers = workers

    def __str__(self) -> str:
        return (
            f"Celery workers still answer on this broker: {', '.join(self.workers)}; what they "
            "have reserved they may be running: stop them all, then ask again"
        )
