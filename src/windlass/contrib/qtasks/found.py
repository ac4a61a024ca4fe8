"""A job of Windlass as a task of qtasks."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from windlass import Job, State
from windlass.contrib.qtasks.enums import TaskStatusEnum
from windlass.contrib.qtasks.results import Task
from windlass.contrib.qtasks.schemas import TaskExecSchema
from windlass.core.ids import created_at
from windlass.core.lifecycle import decode_error
from windlass.model.jobs import JobRequest

STATUS = {
    State.RUNNING: TaskStatusEnum.PROCESS,
    State.SUCCEEDED: TaskStatusEnum.SUCCESS,
    State.FAILED: TaskStatusEnum.ERROR,
    State.CANCELLED: TaskStatusEnum.CANCEL,
    State.SKIPPED: TaskStatusEnum.CANCEL,
}  # each other state is NEW


def stored_task(request: JobRequest, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task:
    """Return a task that was stored a moment ago."""
    at = _local(created_at(request.id))
    return Task(
        status=TaskStatusEnum.NEW.value,
        uuid=UUID(request.id),
        priority=-request.priority,
        task_name=request.task,
        args=args,
        kwargs=kwargs,
        created_at=at,
        updated_at=at,
    )


def found_task(
    job: Job,
    call: Mapping[str, Any],
    known: TaskExecSchema | None,
    value: Any,
    message: str | None,
) -> Task:
    """Return a task as its job stands.

    known:   its definition, where it is known here.
    value:   what it returned.   message: the last that it said of itself.
    """
    has_ended = job.ended_at is not None
    # Once a task has ended, qtasks tells the priority of its definition, and so does this.
    priority = known.priority if known and has_ended else -job.priority
    return Task(
        status=STATUS.get(job.state, TaskStatusEnum.NEW).value,
        uuid=str(job.id),
        priority=priority,
        task_name=job.task,
        args=list(call["args"]),
        kwargs=dict(call["kwargs"]),
        created_at=_local(job.created_at),
        updated_at=_local(job.ended_at or job.started_at or job.created_at),
        returning=value,
        traceback=_traceback(job),
        retry=_retries_left(job, known),
        cancel_reason=(message or "") if job.state is State.CANCELLED else None,
    )


def _retries_left(job: Job, known: TaskExecSchema | None) -> int | None:
    """Return how many more retries there would have been; None if there was none."""
    if known is None or not known.retry:
        return None
    is_last = job.state is State.FAILED
    retries = job.failures - 1 if is_last else job.failures
    return known.retry - retries if retries > 0 else None


def _traceback(job: Job) -> str | None:
    if job.state is not State.FAILED:
        return None
    if job.error is None:
        return f"{job.error_type or job.reason}"
    error = decode_error(job.error)
    return error.traceback or f"{error.type}: {error.message}"


def _local(at: datetime) -> datetime:
    return at.replace(tzinfo=at.tzinfo or UTC).astimezone().replace(tzinfo=None)
