"""What went wrong in an attempt, or with a job."""

from windlass.errors.roots import TaskError


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


class BadResult(TaskError):
    """The stored result of a job cannot be read."""

    def __init__(self, task: str, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        return f"the stored result of task {self.task!r} cannot be read: {self.why}"


class LargeResultLost(TaskError):
    """A job's row refers to a large result which is gone, or is not what was put there."""

    def __init__(self, job_id: str, task: str, place: str, why: str) -> None:
        super().__init__(job_id, task, place, why)
        self.job_id = job_id
        self.task = task
        self.place = place
        self.why = why

    def __str__(self) -> str:
        return (
            f"the result of job {self.job_id} ({self.task}) at {self.place} is lost: {self.why}; "
            "bring the blob back from a copy, or enqueue the job again"
        )


class BadBatchResult(TaskError):
    """A batch returned neither None nor a list with a value for each item."""

    def __init__(self, task: str, wanted: int, given: str) -> None:
        super().__init__(task, wanted, given)
        self.task = task
        self.wanted = wanted
        self.given = given

    def __str__(self) -> str:
        return (
            f"task {self.task!r} was given {self.wanted} items at once and returned {self.given}: "
            "return a list with a value for each, or None"
        )


class UpstreamFailed(TaskError):
    """A job that this one waited for ended badly, so this one never ran."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self.job_id = job_id

    def __str__(self) -> str:
        return f"job {self.job_id} could not run: one that it waited for did not succeed"


class StepsFailed(TaskError):
    """Steps of a run failed, and so did the run.

    failed, steps: how many, and of how many.   first: what went wrong first, in words.
    """

    def __init__(self, name: str, failed: int, steps: int, first: str) -> None:
        super().__init__(name, failed, steps, first)
        self.name = name
        self.failed = failed
        self.steps = steps
        self.first = first

    def __str__(self) -> str:
        return f"{self.name!r}: {self.failed:,} of {self.steps:,} steps failed; first {self.first}"


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


class WorkersLost(TaskError):
    """A workflow lost too many workers one after the other, so it and its steps were ended."""

    def __init__(self, workflow: str, losses: int) -> None:
        super().__init__(workflow, losses)
        self.workflow = workflow
        self.losses = losses

    def __str__(self) -> str:
        return (
            f"{self.workflow!r} lost {self.losses} workers while its function ran, and came no "
            "further: look for what ends the process there, such as its memory"
        )


class WorkflowDiverged(TaskError):
    """The code of a workflow asks for another step than it did before, in the same place.

    step, nth:       the key: the scope and the task, and which use of it there.
    recorded, asked: the digests of the two calls: the task with its arguments; asked "": that
                     step is not asked for any more.
    where:           the line that asks, if it is known.
    """

    def __init__(
        self, run_id: str, step: str, nth: int, recorded: str, asked: str, where: str = ""
    ) -> None:
        super().__init__(run_id, step, nth, recorded, asked, where)
        self.run_id = run_id
        self.step = step
        self.nth = nth
        self.recorded = recorded
        self.asked = asked
        self.where = where

    def __str__(self) -> str:
        at = f" at {self.where}" if self.where else ""
        now = f"asked for with {self.asked}" if self.asked else "not asked for any more"
        return (
            f"workflow {self.run_id} does not do what it did before: step {self.step!r} "
            f"(use {self.nth}) is recorded with the arguments of digest {self.recorded}, and is "
            f"now {now}{at}; bring the code back with which it was begun, "
            "or take from it what changes by itself: clocks, random numbers, the order of sets"
        )


class WorkflowStuck(TaskError):
    """A workflow can never go on: it waits for what no step will end.

    where: the line at which the function stands, if it is known.
    """

    def __init__(self, run_id: str, why: str, where: str = "") -> None:
        super().__init__(run_id, why, where)
        self.run_id = run_id
        self.why = why
        self.where = where

    def __str__(self) -> str:
        at = f" (it stands at {self.where})" if self.where else ""
        return f"workflow {self.run_id} is stuck: {self.why}{at}; let it await a task, or a sleep"
