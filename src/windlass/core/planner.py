"""Decide what becomes of the ticks of a schedule that is due.  Pure.

Each tick gets one outcome: it starts a job, or it is skipped for a reason.  Long outages are
worked off in steps of bounded size; ticks that follow each other and are skipped for the same
reason share one outcome.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace as with_

from windlass.core.occasion import Occasion, headers_for
from windlass.core.schedules import held, paused
from windlass.core.ticks import (
    ScheduleFault,
    advanced,
    call_of,
    due_at,
    next_tick,
    rule_of,
    tick_before,
)
from windlass.core.triggers import Compiled
from windlass.model.jobs import LIVE, JobId, JobRequest, State
from windlass.model.schedules import (
    CatchUp,
    DueSchedule,
    Fire,
    Overlap,
    RecentJob,
    SchedulePlan,
    ScheduleRow,
    ScheduleRule,
    SkipReason,
)
from windlass.model.triggers import Tick, TickCase

SKIPS_MAX = 1_000  # ticks that one plan decides on
STARTS_MAX = 100  # the same, where each of them may start a job
ON_TIME_S = 60.0  # who is not later than this is not late


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be written, and whose jobs are to be cancelled before it is."""

    plan: SchedulePlan
    cancels: tuple[JobId, ...] = ()


def plan(
    due: DueSchedule, now: datetime, new_id: Callable[[], JobId], knows: Callable[[str], bool]
) -> Planned:
    """Decide what becomes of the ticks that are due at ``now``.

    new_id: makes the id of a job.
    knows:  tells whether there is a task of this name; a schedule without its task is held.
    """
    row = due.row
    if not knows(row.task):
        return Planned(SchedulePlan(held(row, f"no task {row.task!r} is registered")))
    try:
        rule, compiled = rule_of(row)
        found = _walk(row, rule, compiled, now)
    except ScheduleFault as error:
        return Planned(SchedulePlan(held(row, str(error))))
    if _fails_in_a_row(rule, due):
        stopped = paused(row, f"its last {rule.pause_after} jobs failed")
        return Planned(SchedulePlan(stopped or row))
    return _Deciding(row, rule, compiled, now, due.recent, new_id).decide(found)


@dataclass(frozen=True, slots=True)
class _Found:
    """Ticks that are due, oldest first; ``more``: others, not in it, are due too."""

    ticks: Sequence[Tick]
    more: bool


def _walk(row: ScheduleRow, rule: ScheduleRule, compiled: Compiled, now: datetime) -> _Found:
    """Return the ticks to decide on, and as many more as may stand for them."""
    keep = _keep(rule)
    most = STARTS_MAX if keep is None else SKIPS_MAX + keep
    ticks: list[Tick] = []
    at = row.cursor_at
    while (tick := next_tick(rule, compiled, at)) is not None:
        if due_at(row.name, rule, tick.at) > now:
            break
        if len(ticks) == most:
            return _Found(ticks[: most if keep is None else SKIPS_MAX], more=True)
        ticks.append(tick)
        at = tick.at
    return _Found(ticks, more=False)


def _keep(rule: ScheduleRule) -> int | None:
    """Return how many of the ticks that were missed start; None: all."""
    return rule.catch_up_max if rule.catch_up is CatchUp.ALL else 1


def _fails_in_a_row(rule: ScheduleRule, due: DueSchedule) -> bool:
    if rule.pause_after is None:
        return False
    since = due.row.skip_until  # the jobs from before a resume do not count
    recent = [job for job in due.recent if since is None or job.fire_at > since]
    last = recent[: rule.pause_after]
    return len(last) == rule.pause_after and all(job.state is State.FAILED for job in last)


class _Deciding:
    """One decision: the outcomes of some ticks of one schedule."""

    def __init__(
        self,
        row: ScheduleRow,
        rule: ScheduleRule,
        compiled: Compiled,
        now: datetime,
        recent: Sequence[RecentJob],
        new_id: Callable[[], JobId],
    ) -> None:
        self._row = row
        self._rule = rule
        self._compiled = compiled
        self._now = now
        self._new_id = new_id
        self._live = [job.job_id for job in recent if job.state in LIVE]
        self._cancels: list[JobId] = []
        self._requests: list[JobRequest] = []
        self._fires: list[Fire] = []

    def decide(self, found: _Found) -> Planned:
        """Return what becomes of these ticks."""
        reasons = [self._refusal(tick) for tick in found.ticks]
        free = [n for n, reason in enumerate(reasons) if reason is None]
        chosen = set(self._chosen(free, found.more))
        for n, tick in enumerate(found.ticks):
            reason = reasons[n]
            if reason is None and n not in chosen:
                reason = SkipReason.COALESCED
            if reason is None:
                reason = self._overlap(is_last=n == max(chosen))
            if reason is None:
                self._start(tick)
            else:
                self._skip(tick, reason)
        return Planned(
            SchedulePlan(self._moved_on(found.ticks), tuple(self._fires), tuple(self._requests)),
            tuple(self._cancels),
        )

    def _chosen(self, free: Sequence[int], more: bool) -> Sequence[int]:
        """Return which of the ticks that could start do, where not all of them may."""
        keep = _keep(self._rule)
        if keep is None:
            return free
        return () if more else free[-keep:]

    def _refusal(self, tick: Tick) -> SkipReason | None:
        rule, row = self._rule, self._row
        if row.skip_until is not None and tick.at <= row.skip_until:
            return SkipReason.PAUSED
        if tick.case is TickCase.NONEXISTENT:
            return SkipReason.NONEXISTENT
        late_s = self._late_s(tick)
        if rule.grace_s is not None and late_s > max(rule.grace_s, ON_TIME_S):
            return SkipReason.TOO_LATE
        if rule.catch_up is CatchUp.NONE and late_s > ON_TIME_S:
            return SkipReason.TOO_LATE
        return None

    def _late_s(self, tick: Tick) -> float:
        return (self._now - due_at(self._row.name, self._rule, tick.at)).total_seconds()

    def _overlap(self, *, is_last: bool) -> SkipReason | None:
        live = len(self._live)
        match self._rule.overlap:
            case Overlap.SKIP if live:
                return SkipReason.OVERLAP
            case Overlap.QUEUE_ONE if live >= 2:
                return SkipReason.OVERLAP
            case Overlap.CANCEL_OLD if not is_last:
                return SkipReason.OVERLAP  # the next one would cancel it at once
            case Overlap.CANCEL_OLD:
                self._cancels += self._live
        return None

    def _start(self, tick: Tick) -> None:
        job_id = self._new_id()
        since = tick_before(self._compiled, tick.at) if self._rule.window else None
        call = call_of(self._row)
        headers = headers_for(Occasion(self._row.name, tick.at, since), call.headers)
        self._requests.append(with_(call, id=job_id, headers=headers))
        self._live.append(job_id)
        self._fires.append(self._fire(tick, None, job_id))

    def _skip(self, tick: Tick, reason: SkipReason) -> None:
        last = self._fires[-1] if self._fires else None
        if last is not None and last.reason is reason:
            self._fires[-1] = with_(last, until=tick.at, count=last.count + 1)
        else:
            self._fires.append(self._fire(tick, reason, None))

    def _fire(self, tick: Tick, reason: SkipReason | None, job_id: JobId | None) -> Fire:
        return Fire(
            schedule=self._row.name,
            version=self._row.version,
            fire_at=tick.at,
            until=tick.at,
            decided_at=self._now,
            reason=reason,
            job_id=job_id,
        )

    def _moved_on(self, ticks: Sequence[Tick]) -> ScheduleRow:
        cursor_at = ticks[-1].at if ticks else self._row.cursor_at
        row = advanced(self._row, self._rule, self._compiled, cursor_at)
        skips = [fire for fire in self._fires if fire.job_id is None]
        missed = sum(fire.count for fire in skips if fire.reason is not SkipReason.PAUSED)
        row = with_(row, misfires=row.misfires + missed)
        started = [fire for fire in self._fires if fire.job_id is not None]
        if not started:
            return row
        last = started[-1]
        late = self._now - due_at(row.name, self._rule, last.fire_at)
        return with_(
            row,
            started=row.started + len(started),
            last_fire_at=last.fire_at,
            last_job_id=last.job_id,
            last_late_s=late.total_seconds(),
        )
