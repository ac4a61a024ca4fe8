"""Schedules as they are declared and changed.  Pure: the caller brings the instant."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace as with_

from windlass.core.names import check_name, choice
from windlass.core.retry import Delay, instant_of, seconds_of
from windlass.core.ticks import ScheduleFault, advanced, rule_of, ticks_from
from windlass.core.triggers import anchored, describe
from windlass.errors import BadOption
from windlass.model.jobs import JobId, JobRequest
from windlass.model.limits import Cap, Limits, decode_limits, lane_of
from windlass.model.schedules import (
    RECENT_MAX,
    CatchUp,
    Fire,
    Overlap,
    ScheduleDraft,
    SchedulePlan,
    ScheduleRow,
    ScheduleRule,
    SkipReason,
    Status,
)
from windlass.model.triggers import Trigger

CatchUpName = Literal["latest", "none", "all"]
OverlapName = Literal["skip", "queue", "queue_one", "cancel_old", "allow"]

CODE = "code"  # the origin of a schedule that stands beside its task
CATCH_UP_MAX = 1_000
REPLACED_MAX = 10_000  # ticks that are counted when a trigger is replaced
NO_ID = JobId("")

LOOK_BACK: Mapping[Overlap, int] = {
    Overlap.ALLOW: 0,
    Overlap.QUEUE: 0,
    Overlap.SKIP: 1,
    Overlap.QUEUE_ONE: 2,
    Overlap.CANCEL_OLD: 2,
}
ONE_AT_A_TIME = frozenset({Overlap.QUEUE, Overlap.QUEUE_ONE, Overlap.CANCEL_OLD})


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a schedule does where it does not say."""

    catch_up: CatchUp
    catch_up_max: int | None
    grace_s: float | None
    overlap: Overlap


OF_TICKS = Defaults(CatchUp.LATEST, None, 3_600.0, Overlap.SKIP)
OF_WINDOWS = Defaults(CatchUp.ALL, 10, None, Overlap.QUEUE)  # no span is to be left out


class Schedule:
    """When a task is to be started: a trigger, and what becomes of the ticks that it missed.

    trigger:   what ``cron``, ``every``, ``at`` and their like return.
    name:      of the schedule; default: the name of the task.
    arguments: of the task, by the names of its parameters.
    start, end: instants (aware) outside of which nothing fires.
    jitter:    a tick starts up to so much later, to spread load; the same on each machine.
    window:    each job is about the span from the tick before to its own (``context().window``).
    catch_up:  of ticks missed by an outage, "latest" starts the last one, "all" all, "none" none;
               default "latest"; with windows "all".
    catch_up_max: with "all", at most so many of the latest; with windows 10 by default.
    grace:     a tick that is later than this starts nothing; None: however late.  Default one
               hour; with windows None.  Less than 60 s counts as 60 s.
    overlap:   while the job of an earlier tick is live, "skip" skips, "queue" waits for it,
               "queue_one" lets at most one wait, "cancel_old" cancels it, "allow" runs beside it;
               default "skip"; with windows "queue".
    pause_counts: after a resume, ticks of the pause are caught up on like those of an outage.
    pause_after: after so many failed jobs in a row the schedule pauses itself.
    tags:      labels to list it by.
    Raises:    BadOption.
    """

    def __init__(
        self,
        trigger: Trigger,
        *,
        name: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        jitter: Delay = 0.0,
        window: bool = False,
        catch_up: CatchUpName | CatchUp | None = None,
        catch_up_max: int | None = None,
        grace: Delay | UnsetType | None = UNSET,
        overlap: OverlapName | Overlap | None = None,
        pause_counts: bool = False,
        pause_after: int | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        if not isinstance(trigger, Trigger):
            why = "must be a trigger, such as cron(…) or every(…)"
            raise BadOption("schedule", trigger, why)
        self.name = None if name is None else check_name("name", name)
        self.arguments = dict(arguments or {})
        defaults = OF_WINDOWS if window else OF_TICKS
        catches_up = choice("catch_up", catch_up or defaults.catch_up, CatchUp)
        overlaps = choice("overlap", overlap or defaults.overlap, Overlap)
        if catch_up_max is None and catch_up is None:
            catch_up_max = defaults.catch_up_max
        if grace is UNSET:
            grace = defaults.grace_s
        self.rule = ScheduleRule(
            trigger=trigger,
            start_at=_instant("start", start),
            end_at=_instant("end", end),
            jitter_s=seconds_of("jitter", jitter),
            window=window,
            catch_up=catches_up,
            catch_up_max=_count("catch_up_max", catch_up_max, CATCH_UP_MAX),
            grace_s=None if grace is None else seconds_of("grace", grace),
            overlap=overlaps,
            pause_counts=pause_counts,
            pause_after=_count("pause_after", pause_after, RECENT_MAX),
            tags=tuple(check_name("tags", tag) for tag in tags),
        )
        if self.rule.catch_up is not CatchUp.ALL and catch_up_max is not None:
            raise BadOption("catch_up_max", catch_up_max, 'goes with catch_up="all"')
        start_at, end_at = self.rule.start_at, self.rule.end_at
        if start_at is not None and end_at is not None and end_at < start_at:
            raise BadOption("end", end, "must not be before the start")

    def __repr__(self) -> str:
        return f"<schedule {self.name or 'of its task'}: {describe(self.rule.trigger)}>"


def check_schedules(value: object) -> tuple[Schedule, ...]:
    """Return the schedules of a task: of one, of several, of a bare trigger.  Raises: BadOption."""
    each = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    return tuple(one if isinstance(one, Schedule) else Schedule(one) for one in each)


def _count(option: str, value: object, most: int) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise BadOption(option, value, f"must be a whole number from 1 to {most:,}")
    return value


def _instant(option: str, value: object) -> datetime | None:
    return None if value is None else instant_of(option, value)


def print_of(draft: ScheduleDraft) -> str:
    """Return the print of a declaration; the same for the same, in each process."""
    rule = msgspec.json.encode(draft.rule)
    call = msgspec.json.encode(with_(draft.call, id=NO_ID))
    return hashlib.blake2b(rule + b"\0" + call, digest_size=16).hexdigest()


def defined(
    existing: ScheduleRow | None, draft: ScheduleDraft, now: datetime
) -> SchedulePlan | None:
    """Return what makes a declaration the stored one; None if it is already.

    A new trigger counts from ``now``: nothing is fired for the past.  With the same trigger
    the ticks go on where they were, so that a deploy neither loses nor repeats one.
    Raises: BadOption, for an overlap that does not go with the limits of the task.
    """
    if existing is None or existing.status is Status.REMOVED:
        fresh = _version(existing, draft, now)
        return SchedulePlan(_active(fresh))
    if (existing.declared, existing.origin) == (print_of(draft), draft.origin):
        return None
    row = _version(existing, draft, existing.anchor_at)
    fires: tuple[Fire, ...] = ()
    if _has_same_trigger(existing, row):
        row = with_(row, cursor_at=existing.cursor_at)
    else:
        row = with_(_version(existing, draft, now), cursor_at=now)
        fires = _owed(existing, now)
    row = with_(
        row,
        created_at=existing.created_at,
        skip_until=existing.skip_until,
        started=existing.started,
        misfires=existing.misfires + sum(fire.count for fire in fires),
        last_fire_at=existing.last_fire_at,
        last_job_id=existing.last_job_id,
        last_late_s=existing.last_late_s,
    )
    if existing.status is Status.PAUSED:
        still = with_(row, revision=row.revision + 1, status=Status.PAUSED, why=existing.why)
        return SchedulePlan(still, fires)
    return SchedulePlan(_active(row), fires)


def _version(
    existing: ScheduleRow | None, draft: ScheduleDraft, anchor_at: datetime
) -> ScheduleRow:
    """Return the row of a declaration, whose intervals count from ``anchor_at``."""
    rule = with_(draft.rule, trigger=anchored(draft.rule.trigger, anchor_at))
    return ScheduleRow(
        name=draft.name,
        version=1 if existing is None else existing.version + 1,
        revision=0 if existing is None else existing.revision,
        status=Status.ACTIVE,
        why="",
        origin=draft.origin,
        rule=msgspec.json.encode(rule).decode(),
        call=msgspec.json.encode(_limited(draft, rule)).decode(),
        declared=print_of(draft),
        task=draft.call.task,
        created_at=anchor_at,
        anchor_at=anchor_at,
        cursor_at=anchor_at,
        look_back=max(LOOK_BACK[rule.overlap], rule.pause_after or 0),
    )


def _limited(draft: ScheduleDraft, rule: ScheduleRule) -> JobRequest:
    """Return the call, under a limit of one at a time where the overlap asks for it."""
    call = with_(draft.call, id=NO_ID)
    if rule.overlap not in ONE_AT_A_TIME:
        return call
    limits = Limits() if call.limits is None else decode_limits(call.limits)
    if limits.together is not None:
        why = "its task runs several jobs in one call, and those cannot be one at a time"
        raise BadOption("overlap", str(rule.overlap), why)
    cap = Cap(f"schedule:{draft.name}", "", 1)
    lane = lane_of(with_(limits, caps=(*limits.caps, cap)))
    return with_(call, lane=lane.id, limits=lane.limits)


def _has_same_trigger(existing: ScheduleRow, row: ScheduleRow) -> bool:
    try:
        return rule_of(existing)[0].trigger == rule_of(row)[0].trigger
    except ScheduleFault:
        return False


def _owed(existing: ScheduleRow, now: datetime) -> tuple[Fire, ...]:
    """Return the outcome of the ticks that a replaced trigger still owed: one span.

    Of more than REPLACED_MAX the count says as many.
    """
    first = last = None
    count = 0
    try:
        for tick in ticks_from(*rule_of(existing), existing.cursor_at):
            if tick.at > now or count == REPLACED_MAX:
                break
            if tick.at > existing.cursor_at:
                first, last, count = first or tick.at, tick.at, count + 1
    except ScheduleFault:
        return ()
    if first is None or last is None or existing.due_at is None:
        return ()
    span = Fire(
        schedule=existing.name,
        version=existing.version,
        fire_at=first,
        until=last if count < REPLACED_MAX else now,
        decided_at=now,
        count=count,
        reason=SkipReason.REPLACED,
    )
    return (span,)


def _active(row: ScheduleRow) -> ScheduleRow:
    """Return the next revision of a schedule that fires; a fault holds it when it is due."""
    try:
        return advanced(row, *rule_of(row), row.cursor_at)
    except ScheduleFault as error:
        return held(row, str(error))


# -- what else becomes of a schedule -----------------------------------------


def held(row: ScheduleRow, why: str) -> ScheduleRow:
    """Return a schedule that does not fire until the cause of that is mended."""
    return with_(row, revision=row.revision + 1, status=Status.HELD, why=why, due_at=None)


def paused(row: ScheduleRow, why: str) -> ScheduleRow | None:
    """Return a schedule that does not fire until it is resumed; None if it does not anyway."""
    if row.status not in (Status.ACTIVE, Status.HELD):
        return None
    return with_(row, revision=row.revision + 1, status=Status.PAUSED, why=why, due_at=None)


def resumed(row: ScheduleRow, now: datetime) -> ScheduleRow | None:
    """Return a schedule that fires again; None if it is not paused.

    Ticks of the pause are skipped, unless the rule says that a pause counts as an outage.
    What failed before does not count any more for ``pause_after``.
    """
    if row.status is not Status.PAUSED:
        return None
    try:
        pause_counts = rule_of(row)[0].pause_counts
    except ScheduleFault as error:
        return held(row, str(error))
    return _active(with_(row, skip_until=row.cursor_at if pause_counts else now))


def retried(row: ScheduleRow) -> ScheduleRow | None:
    """Return a held schedule as one that fires, for another look; None if it is not held."""
    if row.status is not Status.HELD:
        return None
    due = row.next_at or row.cursor_at
    return with_(row, revision=row.revision + 1, status=Status.ACTIVE, why="", due_at=due)


def removed(row: ScheduleRow) -> ScheduleRow | None:
    """Return a schedule that is no more; None if it is none already."""
    if row.status is Status.REMOVED:
        return None
    gone = with_(row, next_at=None, due_at=None, why="")
    return with_(gone, revision=row.revision + 1, status=Status.REMOVED)
