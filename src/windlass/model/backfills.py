"""Backfills: ticks of the past, run as ordinary jobs.  Instants are aware, in UTC."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NewType

import msgspec

from windlass.model.jobs import JobId, State

BackfillId = NewType("BackfillId", str)

BACKFILL_TICKS_MAX = 100_000
BACKFILL_BATCH_MAX = 1_000


class Order(StrEnum):
    """Which tick comes first."""

    OLDEST = "oldest"
    NEWEST = "newest"


class Reprocess(StrEnum):
    """Which ticks that already started a job are run once more."""

    MISSING = "missing"  # none
    FAILED = "failed"  # those whose last job did not succeed
    ALL = "all"


class ItemPlan(StrEnum):
    """What a backfill does with a tick, and why."""

    MISSING = "missing"  # to be run: it started nothing so far
    FAILED = "failed"  # to be run again: its last job did not succeed
    AGAIN = "again"  # to be run again: it was asked for
    DONE = "done"  # left alone: a job of it succeeded
    UNSUCCESSFUL = "unsuccessful"  # left alone: its last job did not succeed
    LIVE = "live"  # left alone: a job of it may still run
    PENDING = "pending"  # left alone: the scheduler has not decided on it yet
    NONEXISTENT = "nonexistent"  # left alone: the clock on the wall never showed it


RUNS = frozenset({ItemPlan.MISSING, ItemPlan.FAILED, ItemPlan.AGAIN})


class BackfillItem(msgspec.Struct, frozen=True):
    """One tick of the range."""

    fire_at: datetime
    plan: ItemPlan
    window_start: datetime | None = None

    @property
    def runs(self) -> bool:
        """Whether a job is made for it."""
        return self.plan in RUNS


class BackfillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for.

    since, until: of the ticks; ``until`` is not included.
    parallelism:  jobs of it that run at once.
    priority:     of its jobs.
    """

    id: BackfillId
    schedule: str
    version: int
    since: datetime
    until: datetime
    order: Order
    reprocess: Reprocess
    parallelism: int
    priority: int
    actor: str


class Backfill(msgspec.Struct, frozen=True, kw_only=True):
    """A backfill as the store has it, with its jobs counted by state; of None they are gone."""

    request: BackfillRequest
    created_at: datetime
    cancelled_at: datetime | None
    jobs: Mapping[State | None, int]


class BackfillJob(msgspec.Struct, frozen=True):
    """The job of one tick of a backfill.  State: None if it is not kept any more."""

    fire_at: datetime
    job_id: JobId
    state: State | None
