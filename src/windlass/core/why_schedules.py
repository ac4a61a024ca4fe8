"""Why a schedule does not fire: one cause.  Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from windlass.model.jobs import JobId
from windlass.model.schedules import Fire, Leadership, ScheduleRow, SkipReason, Status

LATE_S = 5.0  # who is due for longer waits for something


class ScheduleCause(StrEnum):
    """The causes, each with its own way on."""

    PAUSED = "paused"
    HELD = "held"
    ENDED = "ended"
    REMOVED = "removed"
    NO_SCHEDULER = "no_scheduler"
    LATE = "late"  # it is due, somebody leads, and nothing has come of it
    OVERLAP = "overlap"  # the job of an earlier tick is live
    NOT_DUE = "not_due"


class ScheduleWhy(msgspec.Struct, frozen=True):
    """The cause in one word, in a sentence, and what to do about it."""

    cause: ScheduleCause
    because: str
    way_on: str


SKIPS: Mapping[SkipReason, str] = {
    SkipReason.COALESCED: "a later tick stood for it",
    SkipReason.TOO_LATE: "it was later than its catch-up and grace allow",
    SkipReason.OVERLAP: "the job of an earlier tick was live",
    SkipReason.PAUSED: "the schedule was paused then",
    SkipReason.NONEXISTENT: "the clock on the wall never showed it",
    SkipReason.REPLACED: "the trigger was changed before it was served",
}


def explain_schedule(
    row: ScheduleRow,
    now: datetime,
    leader: Leadership | None,
    last: Fire | None,
    blocker: JobId | None = None,
) -> ScheduleWhy:
    """Return the one cause for which a schedule does not fire now, and the way on.

    leader:  who leads the schedulers, or led last.   last: the newest outcome.
    blocker: the last job that it started, if that is live.
    """
    resume = f"windlass schedules resume {row.name}"
    match row.status:
        case Status.PAUSED:
            because = f"it is paused: {row.why}" if row.why else "it is paused"
            cause, way_on = ScheduleCause.PAUSED, resume
        case Status.HELD:
            cause, because = ScheduleCause.HELD, f"it cannot fire: {row.why}"
            way_on = f"mend that; then a scheduler that begins to lead tries again, or: {resume}"
        case Status.ENDED:
            cause, because = ScheduleCause.ENDED, row.why
            way_on = "declare it with a later end, or another trigger"
        case Status.REMOVED:
            cause, because, way_on = ScheduleCause.REMOVED, "it was removed", "declare it again"
        case Status.ACTIVE:
            return _of_active(row, now, leader, last, blocker)
    return ScheduleWhy(cause, because, way_on)


def _of_active(
    row: ScheduleRow,
    now: datetime,
    leader: Leadership | None,
    last: Fire | None,
    blocker: JobId | None,
) -> ScheduleWhy:
    if leader is None or leader.left_s <= 0:
        who = "none ever led" if leader is None else f"the last one, {leader.leader}, is gone"
        way_on = "windlass scheduler module:app, or windlass worker module:app --scheduler"
        return ScheduleWhy(ScheduleCause.NO_SCHEDULER, f"no scheduler leads: {who}", way_on)
    late_s = 0.0 if row.due_at is None else (now - row.due_at).total_seconds()
    if late_s > LATE_S:
        because = f"it has been due for {late_s:.0f} s, and {leader.leader} leads"
        way_on = "look at the log of the scheduler that leads"
        return ScheduleWhy(ScheduleCause.LATE, because, way_on)
    if last is not None and last.reason is SkipReason.OVERLAP and blocker is not None:
        because = f"its tick of {_shown(last.until)} was skipped: job {blocker} is still live"
        return ScheduleWhy(ScheduleCause.OVERLAP, because, f"windlass why {blocker}")
    because = "its next tick is never" if row.next_at is None else _coming(row.next_at, now)
    if last is not None and last.reason is not None:
        because += f"; its last one, {_shown(last.until)}, was skipped: {SKIPS[last.reason]}"
    way_on = f"wait, or windlass schedules start {row.name}"
    return ScheduleWhy(ScheduleCause.NOT_DUE, because, way_on)


def _coming(at: datetime, now: datetime) -> str:
    left = timedelta(seconds=max(0, round((at - now).total_seconds())))
    return f"its next tick is at {_shown(at)}, in {left}"


def _shown(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
