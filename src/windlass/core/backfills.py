"""Which ticks of the past a backfill runs, and the jobs that it makes of them.  Pure."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace as with_

from windlass.core.names import choice
from windlass.core.occasion import Occasion, headers_for
from windlass.core.retry import instant_of
from windlass.core.tasks import check_priority
from windlass.core.ticks import call_of, rule_of, tick_before, ticks_from
from windlass.errors import BadOption
from windlass.model.backfills import (
    BACKFILL_TICKS_MAX,
    BackfillId,
    BackfillItem,
    BackfillRequest,
    ItemPlan,
    Order,
    Reprocess,
)
from windlass.model.jobs import LIVE, PRIORITY_MIN, JobId, JobRequest, State
from windlass.model.limits import Cap, Limits, decode_limits, lane_of
from windlass.model.schedules import RecentJob, ScheduleRow
from windlass.model.triggers import TickCase

PARALLELISM_MAX = 10_000


def backfill_request(
    backfill: BackfillId,
    row: ScheduleRow,
    since: datetime,
    until: datetime,
    *,
    actor: str,
    order: str = "oldest",
    reprocess: str = "missing",
    parallelism: int = 1,
    priority: int | None = None,
) -> BackfillRequest:
    """Check what is asked for.  Raises: BadOption."""
    since, until = instant_of("since", since), instant_of("until", until)
    if until <= since:
        raise BadOption("until", until.isoformat(), "must be later than since")
    if not isinstance(parallelism, int) or not 1 <= parallelism <= PARALLELISM_MAX:
        why = f"must be a whole number from 1 to {PARALLELISM_MAX:,}"
        raise BadOption("parallelism", parallelism, why)
    default = max(PRIORITY_MIN, call_of(row).priority - 1)
    return BackfillRequest(
        id=backfill,
        schedule=row.name,
        version=row.version,
        since=since,
        until=until,
        order=choice("order", order, Order),
        reprocess=choice("reprocess", reprocess, Reprocess),
        parallelism=parallelism,
        priority=default if priority is None else check_priority(priority),
        actor=actor,
    )


def backfill_items(
    row: ScheduleRow, request: BackfillRequest, started: Iterable[RecentJob]
) -> list[BackfillItem]:
    """Return what becomes of each tick of the range, in the order in which they are to run.

    started: the jobs that ticks of the range have started so far, the oldest first.
    Raises:  BadOption, for more than BACKFILL_TICKS_MAX ticks; ScheduleFault.
    """
    rule, compiled = rule_of(row)
    last = {job.fire_at: job.state for job in started}
    items: list[BackfillItem] = []
    for tick in ticks_from(rule, compiled, request.since):
        if tick.at >= request.until:
            break
        if len(items) == BACKFILL_TICKS_MAX:
            why = f"the range has more than {BACKFILL_TICKS_MAX:,} ticks; make it in parts"
            raise BadOption("until", request.until.isoformat(), why)
        if tick.case is TickCase.NONEXISTENT:
            items.append(BackfillItem(tick.at, ItemPlan.NONEXISTENT))
            continue
        is_pending = tick.at > row.cursor_at
        plan = ItemPlan.PENDING if is_pending else _plan(tick.at, last, request.reprocess)
        since = tick_before(compiled, tick.at) if rule.window else None
        items.append(BackfillItem(tick.at, plan, since))
    if request.order is Order.NEWEST:
        items.reverse()
    return items


def _plan(tick: datetime, last: dict[datetime, State | None], reprocess: Reprocess) -> ItemPlan:
    if tick not in last:
        return ItemPlan.MISSING
    state = last[tick]
    if state in LIVE:
        return ItemPlan.LIVE
    if reprocess is Reprocess.ALL:
        return ItemPlan.AGAIN
    if state is State.SUCCEEDED or state is None:  # of what is not kept the end is not known
        return ItemPlan.DONE
    return ItemPlan.FAILED if reprocess is Reprocess.FAILED else ItemPlan.UNSUCCESSFUL


def backfill_requests(
    row: ScheduleRow,
    request: BackfillRequest,
    items: Sequence[BackfillItem],
    new_id: Callable[[], JobId],
) -> list[tuple[datetime, JobRequest]]:
    """Return the jobs of those items that run, under a limit for all of the backfill."""
    call = call_of(row)
    limits = Limits() if call.limits is None else decode_limits(call.limits)
    if limits.together is not None:
        why = "the task runs several jobs in one call, and those cannot be limited"
        raise BadOption("parallelism", request.parallelism, why)
    # What keeps jobs of the schedule from running side by side does not hold for its past.
    others = tuple(cap for cap in limits.caps if cap.name != f"schedule:{row.name}")
    own = Cap(f"backfill:{request.id}", "", request.parallelism)
    lane = lane_of(with_(limits, caps=(*others, own)))
    call = with_(call, lane=lane.id, limits=lane.limits, priority=request.priority)
    return [
        (
            item.fire_at,
            with_(
                call,
                id=new_id(),
                headers=headers_for(
                    Occasion(row.name, item.fire_at, item.window_start), call.headers
                ),
            ),
        )
        for item in items
        if item.runs
    ]
