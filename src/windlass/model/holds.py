"""Holds: an operator's standing orders that some jobs are not to start."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NewType

import msgspec

from windlass.model.jobs import Reason

HoldId = NewType("HoldId", str)

WHY_LENGTH_MAX = 500
HOLDS_MAX = 1_000


class HoldRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are not to start; a field that is None does not narrow it, one at least is given.

    reason:    paused, or quarantined.
    key:       of any limit of the job.
    arguments: values by path (``"order.customer"``), all of which the job's arguments have.
    expires_s: until the hold lifts itself; None: never.
    """

    id: HoldId
    reason: Reason
    actor: str
    why: str = ""
    queue: str | None = None
    task: str | None = None
    key: str | None = None
    arguments: Mapping[str, Any] | None = None
    expires_s: float | None = None


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold as the store has it.  Instants are aware, in UTC.

    jobs: how many it has taken out of their queues; those of a whole queue stay in it.
    """

    id: HoldId
    reason: Reason
    actor: str
    why: str
    queue: str | None
    task: str | None
    key: str | None
    arguments: Mapping[str, Any] | None
    created_at: datetime
    expires_at: datetime | None
    jobs: int = 0

    @property
    def is_whole_queue(self) -> bool:
        """Whether all of a queue is held: then its jobs stay queued, and none is claimed."""
        narrowed = (self.task, self.key, self.arguments)
        return self.queue is not None and all(field is None for field in narrowed)
