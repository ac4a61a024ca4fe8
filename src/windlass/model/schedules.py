"""Schedules: stored rules that say when to start a job, and the outcome of each fire time.

A tick is an instant at which the trigger says "now".  Each tick of a schedule has one outcome:
a job was started, or the tick was skipped for a reason.  Instants are aware, in UTC.
"""

from datetime import datetime
from enum import StrEnum

import msgspec

from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.triggers import Trigger

FIRE_BATCH_MAX = 1_000  # plans that one transaction writes
SAVE_BATCH_MAX = 1_000
RECENT_MAX = 100  # outcomes that the planner may ask to look back at
LEADER_LEASE_S_MAX = 60.0


class CatchUp(StrEnum):
    """What becomes of ticks that nobody served in time."""

    LATEST = "latest"  # only the last of them starts
    NONE = "none"  # none starts that is later than the floor
    ALL = "all"  # all start, in order


class Overlap(StrEnum):
    """What becomes of a tick while the job of an earlier one is live."""

    SKIP = "skip"  # it is skipped
    QUEUE = "queue"  # its job waits until the earlier ones have ended
    QUEUE_ONE = "queue_one"  # the same, but at most one waits
    CANCEL_OLD = "cancel_old"  # the earlier one is cancelled, and its job follows
    ALLOW = "allow"  # they run side by side


class Status(StrEnum):
    """Whether a schedule fires, and if not, who makes it fire again."""

    ACTIVE = "active"
    PAUSED = "paused"  # an operator resumes it
    HELD = "held"  # it cannot fire; each new leader tries again
    ENDED = "ended"  # nobody: its trigger has no further tick
    REMOVED = "removed"  # kept so that a schedule of the same name goes on counting versions


class SkipReason(StrEnum):
    """Why a tick started nothing."""

    COALESCED = "coalesced"  # a later tick stands for it
    TOO_LATE = "too_late"  # the grace was over
    OVERLAP = "overlap"  # the job of an earlier tick was live
    PAUSED = "paused"  # the schedule was paused at that instant
    NONEXISTENT = "nonexistent"  # the clock on the wall never showed it
    REPLACED = "replaced"  # the trigger was changed before it was served


class ScheduleRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a schedule fires, and what becomes of what it missed.

    start_at, end_at: ticks before the one, and after the other, do not exist.
    jitter_s:   a tick starts up to so much later; the same for the same tick on each machine.
    window:     its job is about the span from the tick before to its own.
    catch_up_max: of the missed ticks, at most so many of the latest start (with ``all``).
    grace_s:    a tick that is later than this is not started; None: however late.
    pause_counts: a resumed schedule treats the pause as an outage, and catches up.
    pause_after:  after so many failed jobs in a row it pauses itself.
    """

    trigger: Trigger
    start_at: datetime | None = None
    end_at: datetime | None = None
    jitter_s: float = 0.0
    window: bool = False
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_max: int | None = None
    grace_s: float | None = None
    overlap: Overlap = Overlap.SKIP
    pause_counts: bool = False
    pause_after: int | None = None
    tags: tuple[str, ...] = ()


class ScheduleDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as it is declared.

    call:   the request of the job that each tick starts; its id is not used, its headers go to
            each job.
    origin: ``code`` where it stands beside a task, else who made it.
    """

    name: str
    rule: ScheduleRule
    call: JobRequest
    origin: str


class ScheduleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as the store has it.

    version:   counts what was declared; revision: counts each write, and guards the next.
    rule, call: as JSON, for the planner to read.
    declared:  print of what was declared; the same for the same declaration.
    anchor_at: from where intervals without an anchor of their own are counted.
    cursor_at: each tick up to here has its outcome.
    skip_until: ticks up to here are skipped as paused.
    next_at:   the next tick; due_at: when it starts, with its jitter.  None: never.
    look_back: how many outcomes the planner wants to see when it is due.
    started, misfires: ticks that started a job; that were skipped, but for a pause.
    """

    name: str
    version: int
    revision: int
    status: Status
    why: str
    origin: str
    rule: str
    call: str
    declared: str
    task: str
    created_at: datetime
    anchor_at: datetime
    cursor_at: datetime
    skip_until: datetime | None = None
    next_at: datetime | None = None
    due_at: datetime | None = None
    look_back: int = 1
    started: int = 0
    misfires: int = 0
    last_fire_at: datetime | None = None
    last_job_id: JobId | None = None
    last_late_s: float | None = None


class Fire(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one tick, or of a span of ticks that were skipped for one reason.

    fire_at:  the tick, or the first of the span; until: the last of the span.
    decided_at: when the outcome was written.
    count:    how many ticks it covers.
    job_id:   the job that was started; None: skipped for ``reason``.
    """

    schedule: str
    version: int
    fire_at: datetime
    until: datetime
    decided_at: datetime
    count: int = 1
    reason: SkipReason | None = None
    job_id: JobId | None = None


class RecentJob(msgspec.Struct, frozen=True):
    """A job that an earlier tick has started.  State: None if the job is not kept any more."""

    job_id: JobId
    fire_at: datetime
    state: State | None


class DueSchedule(msgspec.Struct, frozen=True):
    """A schedule to plan for.  recent: its last ``look_back`` jobs, newest first."""

    row: ScheduleRow
    recent: tuple[RecentJob, ...] = ()


class DueSchedules(msgspec.Struct, frozen=True):
    """What is due at ``now``, by the store's clock.

    next_due_s: seconds until the next one is due, where none is; None: none ever.
    """

    now: datetime
    schedules: tuple[DueSchedule, ...] = ()
    next_due_s: float | None = None


class FoundSchedules(msgspec.Struct, frozen=True):
    """Schedules at one instant of the store's clock."""

    now: datetime
    rows: tuple[ScheduleRow, ...]


class SchedulePlan(msgspec.Struct, frozen=True):
    """One write: the row after it, the outcomes that it records, the jobs that it starts.

    It stands only while the row has revision ``row.revision - 1``; 0 for a new row.
    """

    row: ScheduleRow
    fires: tuple[Fire, ...] = ()
    requests: tuple[JobRequest, ...] = ()


class Leadership(msgspec.Struct, frozen=True):
    """Who leads, as a candidate is told that asks for it.

    term:   of the leader; it grows with each change.
    is_led: by the candidate who asks.
    left_s: until the lease of the leader ends.
    """

    leader: str
    term: int
    is_led: bool
    left_s: float
