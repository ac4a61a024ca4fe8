"""A front end for code that uses Celery: change the import line, keep the code.

Tasks become tasks of a Windlass app, calls become its jobs, and compositions are stored in one
piece.  docs/from-celery.md says what maps to what, and what is refused.
"""

from uuid import uuid4

from windlass.contrib.celery import states
from windlass.contrib.celery.app import Celery
from windlass.contrib.celery.canvas import (
    Signature,
    chain,
    chord,
    chunks,
    group,
    maybe_signature,
    signature,
    xmap,
    xstarmap,
)
from windlass.contrib.celery.current import CurrentApp, CurrentTask
from windlass.contrib.celery.result import AsyncResult, EagerResult, GroupResult
from windlass.contrib.celery.shared import shared_task
from windlass.contrib.celery.task import Task

current_app = CurrentApp()
current_task = CurrentTask()
subtask = signature


def uuid() -> str:
    """Return a random id."""
    return str(uuid4())


__all__ = [
    "AsyncResult",
    "Celery",
    "EagerResult",
    "GroupResult",
    "Signature",
    "Task",
    "chain",
    "chord",
    "chunks",
    "current_app",
    "current_task",
    "group",
    "maybe_signature",
    "shared_task",
    "signature",
    "states",
    "subtask",
    "uuid",
    "xmap",
    "xstarmap",
]
