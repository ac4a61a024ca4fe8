"""Schedules as users hold them: those beside tasks, and those made at run time."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from windlass.core.backfills import backfill_request
from windlass.core.names import check_name
from windlass.core.schedules import CODE, Schedule, check_schedules, defined
from windlass.engine.schedules import ComingTick, Synced
from windlass.errors import BadOption, UsageError
from windlass.handles import Enqueuer
from windlass.model.backfills import (
    Backfill,
    BackfillId,
    BackfillItem,
    BackfillJob,
)
from windlass.model.jobs import JobId
from windlass.model.schedules import Fire, Leadership, ScheduleDraft, ScheduleRow, Status
from windlass.model.triggers import Trigger
from windlass.tasks import AnyTask

ACTOR = "operator"


def draft_of(name: str, task: AnyTask, schedule: Schedule, origin: str) -> ScheduleDraft:
    """Return a declaration as the store takes it.

    Raises: BadArguments, NotEncodable, PayloadTooLarge, BadOption.
    """
    call = task.prepare(**schedule.arguments)
    if call.delay_s or call.run_at is not None:
        raise BadOption(
            "schedule", name, "the trigger says when; the task takes no delay or run_at"
        )
    if call.once is not None and call.once.kind == "key":
        raise BadOption(
            "schedule", name, "each tick starts a job; the task takes no idempotency_key"
        )
    return ScheduleDraft(name=name, rule=schedule.rule, call=call, origin=origin)


def drafts_of(tasks: Iterable[AnyTask]) -> list[ScheduleDraft]:
    """Return the schedules that stand beside their tasks.

    Raises: BadArguments, NotEncodable, PayloadTooLarge; BadOption, for a name that stands twice.
    """
    drafts: dict[str, ScheduleDraft] = {}
    for task, schedule in _declared(tasks):
        draft = _drafted(task, schedule, drafts)
        drafts[draft.name] = draft
    return list(drafts.values())


def faults_of(tasks: Iterable[AnyTask]) -> list[str]:
    """Return what is wrong with the schedules that stand beside their tasks, each by itself."""
    faults: list[str] = []
    names: set[str] = set()
    now = datetime.now(UTC)
    for task, schedule in _declared(tasks):
        try:
            defined(None, _drafted(task, schedule, names), now)
        except UsageError as error:
            faults.append(f"schedule {schedule.name or task.name!r}: {error}")
        names.add(schedule.name or task.name)
    return faults


def _declared(tasks: Iterable[AnyTask]) -> Iterator[tuple[AnyTask, Schedule]]:
    for task in tasks:
        for schedule in task.spec.schedules:
            yield task, schedule


def _drafted(task: AnyTask, schedule: Schedule, names: Container[str]) -> ScheduleDraft:
    name = schedule.name or task.name
    if name in names:
        why = "another schedule has this name; pass name=… to one of them"
        raise BadOption("schedule", name, why)
    return draft_of(name, task, schedule, CODE)


class AppSchedules:
    """What users and operators do with schedules; each call blocks.

    Within an event loop ``(await app.client()).schedules`` has the same, and ``draft`` makes
    what its ``put`` takes.
    """

    def __init__(self, app: Enqueuer, tasks: Callable[[], Iterable[AnyTask]]) -> None:
        self._app = app
        self._tasks = tasks

    def draft(self, name: str, task: AnyTask, schedule: Trigger | Schedule) -> ScheduleDraft:
        """Check a declaration; nothing is stored.

        task:   also one with other options: ``task.using(queue="slow")``.
        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadOption.
        """
        [checked] = check_schedules([schedule])
        return draft_of(check_name("name", name), task, checked, ACTOR)

    def put(self, name: str, task: AnyTask, schedule: Trigger | Schedule) -> ScheduleRow:
        """Declare a schedule at run time: a new one, or a new version of that of its name.

        The same again changes nothing.  A changed trigger counts from now; with the same one
        the ticks go on where they were.
        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadOption, StoreUnavailable.
        """
        draft = self.draft(name, task, schedule)
        return self._app.blocking(lambda client: client.schedules.put(draft))

    def sync(self) -> Synced:
        """Make the schedules that stand beside the tasks the stored ones.

        A scheduler does this when it starts.
        """
        drafts, names = self.declared(), {task.name for task in self._tasks()}
        return self._app.blocking(lambda client: client.schedules.sync(drafts, names))

    def declared(self) -> list[ScheduleDraft]:
        """Return the schedules that stand beside the tasks; nothing is stored.

        Raises: BadArguments, NotEncodable, PayloadTooLarge, BadOption.
        """
        return drafts_of(self._tasks())

    def faults(self) -> list[str]:
        """Return what is wrong with the schedules that stand beside the tasks; none: nothing."""
        return faults_of(self._tasks())

    def get(self, name: str) -> ScheduleRow:
        """Return a schedule as it stands.  Raises: ScheduleNotFound."""
        return self._app.blocking(lambda client: client.schedules.get(name))

    def page(
        self, *, limit: int = 100, after: str = "", status: Status | None = None
    ) -> list[ScheduleRow]:
        """List schedules by name; ``after`` continues after the last name of a page."""
        return self._app.blocking(
            lambda client: client.schedules.page(limit=limit, after=after, status=status)
        )

    def pause(self, name: str, *, why: str = "") -> ScheduleRow:
        """Have a schedule fire no more until it is resumed.  Raises: ScheduleNotFound."""
        return self._app.blocking(lambda client: client.schedules.pause(name, why=why))

    def resume(self, name: str) -> ScheduleRow:
        """Have a paused schedule fire again, or a held one be tried again.

        Raises: ScheduleNotFound.
        """
        return self._app.blocking(lambda client: client.schedules.resume(name))

    def remove(self, name: str) -> ScheduleRow:
        """Take a schedule away; what it has started goes on.  Raises: ScheduleNotFound."""
        return self._app.blocking(lambda client: client.schedules.remove(name))

    def start(self, name: str) -> JobId:
        """Start the job of a schedule now, beside its ticks.  Raises: ScheduleNotFound."""
        new_id = self._app.new_job_id()
        return self._app.blocking(lambda client: client.schedules.start(name, new_id))

    def fires(self, name: str, *, limit: int = 50, before: datetime | None = None) -> list[Fire]:
        """Return the outcomes of a schedule's ticks, newest first."""
        return self._app.blocking(
            lambda client: client.schedules.fires(name, limit=limit, before=before)
        )

    def preview(
        self,
        name: str,
        *,
        count: int = 10,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence[ComingTick]:
        """Return the next ticks of a schedule, or those of a range.

        since:  default: now.   until: not included; None: as many as ``count`` says.
        Raises: ScheduleNotFound, BrokenSchedule.
        """
        return self._app.blocking(
            lambda client: client.schedules.preview(name, count=count, since=since, until=until)
        )

    # -- backfills -----------------------------------------------------------

    def backfill(
        self,
        name: str,
        since: datetime,
        until: datetime,
        *,
        order: str = "oldest",
        reprocess: str = "missing",
        parallelism: int = 1,
        priority: int | None = None,
    ) -> tuple[BackfillId, Sequence[BackfillItem]]:
        """Run the ticks of a past range as ordinary jobs, before or beside those to come.

        until:       not included.
        order:       "oldest" or "newest" first.
        reprocess:   "missing" runs ticks that started nothing, "failed" also those whose last
                     job did not succeed, "all" all of them.
        parallelism: jobs of it that run at once.
        priority:    of its jobs; default: one below that of the schedule's.
        Returns:     its id, and what became of each tick.
        Raises:      ScheduleNotFound, BadOption, StoreUnavailable.
        """
        new_id = self._app.new_job_id
        request = backfill_request(
            BackfillId(new_id()),
            self.get(name),
            since,
            until,
            actor=ACTOR,
            order=order,
            reprocess=reprocess,
            parallelism=parallelism,
            priority=priority,
        )
        items = self._app.blocking(lambda client: client.schedules.backfill(request, new_id))
        return request.id, items

    def plan_backfill(
        self,
        name: str,
        since: datetime,
        until: datetime,
        *,
        order: str = "oldest",
        reprocess: str = "missing",
    ) -> Sequence[BackfillItem]:
        """Return what ``backfill`` would do with each tick, and do nothing."""
        own_id, row = BackfillId(self._app.new_job_id()), self.get(name)
        request = backfill_request(
            own_id, row, since, until, actor=ACTOR, order=order, reprocess=reprocess
        )
        return self._app.blocking(lambda client: client.schedules.plan_backfill(request))[1]

    def backfills(self, *, limit: int = 50, schedule: str | None = None) -> list[Backfill]:
        """List backfills, the newest first, each with its jobs counted by state."""
        return self._app.blocking(
            lambda client: client.schedules.backfills(limit=limit, schedule=schedule)
        )

    def backfill_jobs(self, backfill: BackfillId) -> list[BackfillJob]:
        """Return the jobs of a backfill, the oldest tick first."""
        return self._app.blocking(lambda client: client.schedules.backfill_jobs(backfill))

    def cancel_backfill(self, backfill: BackfillId) -> int:
        """Cancel the jobs of a backfill that have not ended; return how many that was.

        Raises: BackfillNotFound.
        """
        return self._app.blocking(
            lambda client: client.schedules.cancel_backfill(backfill, actor=ACTOR)
        )

    # -- schedulers ----------------------------------------------------------

    def leader(self) -> Leadership | None:
        """Return who leads the schedulers, or led last; None if nobody ever did."""
        return self._app.blocking(lambda client: client.schedules.leader())
