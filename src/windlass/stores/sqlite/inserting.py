"""Insert one job; what links jobs, makes calls one, and joins callers builds on it."""

from collections.abc import Callable
from typing import Any, Protocol

from windlass.model.jobs import JobId, JobRequest
from windlass.stores.sqlite import sql
from windlass.stores.sqlite.rows import insert_row
from windlass.stores.sqlite.sweeping import topic_of


class Writing(Protocol):
    """What is needed of a transaction; it may be one of the caller's."""

    execute: Callable[..., Any]
    changes: Callable[[], int]
    now: int
    topics: set[str]


def insert_one(request: JobRequest, transaction: Writing) -> JobId:
    """Insert a job; return who stands for it: itself, or the live one that has its unique key."""
    row = insert_row(request, transaction.now)
    transaction.execute(sql.INSERT_JOB, row)
    if not transaction.changes():
        who = {"id": request.id, "task": request.task, "unique_key": request.unique_key}
        [[holder]] = transaction.execute(sql.FIND_HOLDER, who).fetchall()
        return JobId(holder)
    transaction.topics.update(filter(None, [topic_of(row[3], request.queue, None)]))
    if request.retry_of is not None:
        transaction.execute(sql.RESOLVE_JOB, {"id": request.retry_of, "now": transaction.now})
    return request.id
