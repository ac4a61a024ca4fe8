"""Schedules through the app, on both stores, with a worker that fires them in the same loop."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.app.live import WAIT_S, quick_app
from windlass import (
    App,
    BadArguments,
    BadOption,
    Notice,
    NoticeKind,
    Router,
    Schedule,
    State,
    context,
    cron,
    every,
)
from windlass.engine.client import Client
from windlass.engine.worker import Worker
from windlass.errors import ScheduleNotFound
from windlass.model.schedules import Fire, ScheduleRow, SkipReason, Status

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = cron("0 0 1 1 *")  # not within the time that a test takes


@asynccontextmanager
async def scheduling(app: App) -> AsyncIterator[Client]:
    """Have a worker of the app fire schedules during a block."""
    ready: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    async with app.session() as client:
        running = asyncio.create_task(app.run_worker(scheduler=True, on_ready=ready.set_result))
        while not (running.done() or ready.done()):
            await asyncio.sleep(0.005)
        if running.done():
            await running
        try:
            yield client
        finally:
            ready.result().stop()
            await asyncio.wait_for(running, WAIT_S)


async def fired(client: Client, name: str, holds: Callable[[list[Fire]], bool]) -> list[Fire]:
    """Wait until something holds of a schedule's outcomes, newest first."""
    async with asyncio.timeout(WAIT_S):
        while not holds(found := await client.schedules.fires(name, limit=100)):
            await asyncio.sleep(0.01)
    return found


async def stands(client: Client, name: str, status: Status) -> ScheduleRow:
    """Wait until a schedule has a status."""
    async with asyncio.timeout(WAIT_S):
        while (row := await client.schedules.get(name)).status is not status:
            await asyncio.sleep(0.01)
    return row


async def test_a_task_starts_at_each_tick_and_knows_which(store_url: str) -> None:
    app, told, late_s = quick_app(store_url), [], []

    @app.task(name="pulse", schedule=every(0.2, anchor=LONG_AGO))
    async def pulse() -> None:
        occasion = context().occasion
        assert occasion is not None
        late_s.append(time.time() - occasion.fire_at.timestamp())
        told.append(occasion)

    async with scheduling(app) as client:
        fires = await fired(client, "pulse", lambda found: len(found) >= 3)
        await fired(client, "pulse", lambda found: len(told) >= 3)

    ticks = [fire.fire_at for fire in reversed(fires)]
    assert [b - a for a, b in pairwise(ticks)] == [timedelta(seconds=0.2)] * (len(ticks) - 1)
    assert all(fire.decided_at >= fire.fire_at for fire in fires)
    assert {each.schedule for each in told} == {"pulse"}
    assert [each.fire_at for each in told[:3]] == ticks[:3]
    assert min(late_s) > -0.000_1  # what is claimed early waits for its tick


async def test_what_somebody_enqueues_has_no_occasion(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(schedule=NEVER)
    async def look() -> bool:
        return context().occasion is None

    async with scheduling(app):
        assert await (await look.aenqueue()).aresult(timeout=WAIT_S)


async def test_several_schedules_of_a_task_have_names_and_arguments_of_their_own(
    store_url: str,
) -> None:
    app, seen = quick_app(store_url), set()

    @app.task(
        schedule=[
            Schedule(every(0.2), name="small", arguments={"size": 1}),
            Schedule(every(0.2), name="large", arguments={"size": 9}),
        ]
    )
    async def make(size: int) -> None:
        seen.add(size)

    async with scheduling(app) as client:
        await fired(client, "small", bool)
        await fired(client, "large", lambda found: seen == {1, 9})

        assert [row.name for row in await client.schedules.page()] == ["large", "small"]


async def test_a_live_job_keeps_the_next_tick_from_starting_another(store_url: str) -> None:
    app, gate = quick_app(store_url), asyncio.Event()

    @app.task(name="slow", schedule=every(0.2))
    async def slow() -> None:
        await gate.wait()

    async with scheduling(app) as client:
        fires = await fired(client, "slow", lambda found: len(found) >= 3)
        gate.set()
        await fired(client, "slow", lambda found: sum(f.job_id is not None for f in found) > 1)

    assert [fire.reason for fire in reversed(fires)][:3] == [
        None,
        SkipReason.OVERLAP,
        SkipReason.OVERLAP,
    ]


async def test_with_queue_jobs_of_a_schedule_run_one_at_a_time_and_none_is_skipped(
    store_url: str,
) -> None:
    app, running, most = quick_app(store_url), 0, 0

    @app.task(name="slow", schedule=Schedule(every(0.1), overlap="queue", catch_up="all"))
    async def slow() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.25)
        running -= 1

    async with scheduling(app) as client:
        fires = await fired(client, "slow", lambda found: len(found) >= 6)
        await client.schedules.remove("slow")

    assert most == 1
    assert {fire.reason for fire in fires} == {None}


async def test_with_cancel_old_the_new_job_follows_the_old_one(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(name="slow", schedule=Schedule(every(0.5), overlap="cancel_old"))
    async def slow() -> None:
        await asyncio.sleep(60)

    async with scheduling(app) as client:
        fires = await fired(client, "slow", lambda found: len(found) >= 3)
        first = fires[-1]
        assert first.job_id is not None
        ended = await client.wait([first.job_id], timeout_s=WAIT_S)
        await client.schedules.remove("slow")
        await client.cancel_all(_live())

    assert ended[first.job_id].state is State.CANCELLED


def _live() -> Any:
    from windlass import JobFilter

    return JobFilter(states=(State.QUEUED, State.RUNNING, State.SCHEDULED))


async def test_a_paused_schedule_fires_nothing_and_a_resumed_one_goes_on(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(name="pulse", schedule=every(0.1))
    async def pulse() -> None: ...

    async with scheduling(app) as client:
        await fired(client, "pulse", bool)
        paused = await client.schedules.pause("pulse", why="maintenance")
        before = await client.schedules.fires("pulse", limit=100)
        await asyncio.sleep(0.5)
        assert await client.schedules.fires("pulse", limit=100) == before
        assert (await client.schedules.why("pulse")).because == "it is paused: maintenance"
        assert (await client.schedules.pause("pulse")).revision == paused.revision
        await client.schedules.resume("pulse")
        after = await fired(
            client,
            "pulse",
            lambda found: found[0].job_id is not None and len(found) > len(before) + 1,
        )

    pauses = [fire for fire in after if fire.reason is SkipReason.PAUSED]
    assert [fire.count >= 3 for fire in pauses] == [True]


async def test_a_schedule_can_be_made_changed_and_removed_while_all_runs(store_url: str) -> None:
    app, seen = quick_app(store_url), []

    @app.task(name="note")
    async def note(word: str) -> None:
        seen.append(word)

    async with scheduling(app) as client:
        first = app.schedules.draft("n", note, Schedule(every(0.1), arguments={"word": "one"}))
        assert (await client.schedules.put(first)).version == 1
        assert (await client.schedules.put(first)).revision == 1
        await fired(client, "n", lambda found: "one" in seen)
        second = app.schedules.draft("n", note, Schedule(every(0.1), arguments={"word": "two"}))
        assert (await client.schedules.put(second)).version == 2
        await fired(client, "n", lambda found: "two" in seen)
        await client.schedules.remove("n")
        with pytest.raises(ScheduleNotFound):
            await client.schedules.get("n")
        again = await client.schedules.put(first)

    fires = {fire.version for fire in await _fires_of(app, "n")}
    assert again.version == 3
    assert {1, 2} <= fires


async def _fires_of(app: App, name: str) -> list[Fire]:
    async with app.session() as client:
        return await client.schedules.fires(name, limit=100)


async def test_a_deploy_keeps_the_ticks_and_a_removed_declaration_ends(store_url: str) -> None:
    def code(*schedules: Schedule) -> App:
        app = quick_app(store_url)

        @app.task(name="work", schedule=list(schedules))
        async def work(size: int = 0) -> None: ...

        return app

    daily, weekly = cron("0 3 * * *"), cron("0 3 * * 1")
    app = code(Schedule(daily, name="a"), Schedule(daily, name="b"))
    async with scheduling(app) as client:
        old = {row.name: row for row in await client.schedules.page()}
    app = code(Schedule(daily, name="a", arguments={"size": 2}), Schedule(weekly, name="c"))
    async with scheduling(app) as client:
        new = {row.name: row for row in await client.schedules.page()}

    assert sorted(old) == ["a", "b"]
    assert sorted(new) == ["a", "c"]
    assert (new["a"].version, new["a"].cursor_at) == (2, old["a"].cursor_at)


async def test_a_schedule_whose_task_is_gone_is_held_and_others_go_on(store_url: str) -> None:
    def code(*names: str) -> App:
        app = quick_app(store_url)
        for name in names:

            @app.task(name=name, schedule=every(0.1))
            async def work() -> None: ...

        return app

    async with scheduling(code("here", "gone")) as client:
        await fired(client, "gone", bool)
    async with scheduling(code("here")) as client:
        held = await stands(client, "gone", Status.HELD)
        count = len(await client.schedules.fires("here", limit=100))
        await fired(client, "here", lambda found: len(found) > count)
    assert "gone" in held.why
    async with scheduling(code("here", "gone")) as client:
        await stands(client, "gone", Status.ACTIVE)


async def test_a_schedule_whose_jobs_fail_pauses_itself(store_url: str) -> None:
    app = quick_app(store_url)
    told: list[Notice] = []
    app.observe(told.append)

    @app.task(name="bad", schedule=Schedule(every(0.1), pause_after=2))
    async def bad() -> None:
        raise ValueError("boom")

    async with scheduling(app) as client:
        row = await stands(client, "bad", Status.PAUSED)

    assert (row.started, row.why) == (2, "its last 2 jobs failed")
    [alert] = [notice for notice in told if notice.kind is NoticeKind.SUSPENDED]
    assert (alert.schedule, alert.message) == ("bad", "its last 2 jobs failed")


async def test_observers_are_told_of_fires_and_misfires(store_url: str) -> None:
    app, gate = quick_app(store_url), asyncio.Event()
    told: list[Notice] = []
    app.observe(told.append)

    @app.task(name="slow", schedule=every(0.1))
    async def slow() -> None:
        await gate.wait()

    async with scheduling(app) as client:
        await fired(client, "slow", lambda found: len(found) > 1)
        gate.set()

    def of(kind: NoticeKind) -> Notice:
        return next(notice for notice in told if notice.kind is kind)

    assert (of(NoticeKind.FIRED).schedule, of(NoticeKind.FIRED).task) == ("slow", "slow")
    assert of(NoticeKind.ENQUEUED).job_id == of(NoticeKind.FIRED).job_id
    assert (of(NoticeKind.MISFIRED).schedule, of(NoticeKind.MISFIRED).message) == (
        "slow",
        "overlap",
    )


async def test_a_preview_shows_what_will_be_without_changing_anything(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(
        name="nightly", schedule=Schedule(cron("30 2 * * *", tz="Europe/Berlin"), window=True)
    )
    async def nightly() -> None: ...

    async with scheduling(app) as client:
        before = await client.schedules.get("nightly")
        next_ones = await client.schedules.preview("nightly", count=3)
        since, until = datetime(2027, 3, 27, tzinfo=UTC), datetime(2027, 3, 30, tzinfo=UTC)
        spring = await client.schedules.preview("nightly", since=since, until=until)

        assert await client.schedules.get("nightly") == before
    assert next_ones[0].at == before.next_at
    assert [tick.case for tick in spring] == [None, "gap", None]
    assert [tick.since for tick in spring[1:]] == [tick.at for tick in spring[:-1]]


def test_what_cannot_be_is_refused_where_it_is_declared(store_url: str) -> None:
    app = App(store_url)

    @app.task(name="work")
    def work(size: int) -> None: ...

    with pytest.raises(BadOption, match="must be a trigger"):
        Schedule("0 2 * * *")  # type: ignore[arg-type]
    with pytest.raises(BadOption, match="overlap"):
        Schedule(NEVER, overlap="sometimes")  # type: ignore[arg-type]
    with pytest.raises(BadOption, match="catch_up_max"):
        Schedule(NEVER, catch_up_max=3)
    with pytest.raises(BadOption, match="end"):
        Schedule(NEVER, start=LONG_AGO, end=LONG_AGO - timedelta(days=1))
    with pytest.raises(BadArguments):
        app.schedules.put("n", work, NEVER)
    with pytest.raises(BadArguments):
        app.schedules.put("n", work, Schedule(NEVER, arguments={"size": "big"}))
    with pytest.raises(BadOption, match="no delay"):
        app.schedules.put("n", work.using(delay=3), Schedule(NEVER, arguments={"size": 1}))


async def test_a_wrong_declaration_beside_a_task_ends_the_start(store_url: str) -> None:
    app = quick_app(store_url)

    @app.task(name="work", schedule=NEVER)
    async def work(size: int) -> None: ...

    with pytest.raises(BadArguments):
        await app.run_worker(scheduler=True)
    await app.aclose()


def test_blocking_callers_have_the_same(store_url: str) -> None:
    app, router = App(store_url), Router()

    @router.task(name="work", schedule=Schedule(NEVER, tags=["yearly"]))
    def work(size: int = 1) -> None: ...

    app.include(router)
    app.migrate()
    try:
        assert app.schedules.sync().added == ("work",)
        assert app.schedules.sync() == app.schedules.sync()
        assert app.schedules.put("extra", work, NEVER).version == 1
        assert [row.name for row in app.schedules.page()] == ["extra", "work"]
        assert app.schedules.pause("extra").status is Status.PAUSED
        assert [r.name for r in app.schedules.page(status=Status.PAUSED)] == ["extra"]
        assert app.schedules.resume("extra").status is Status.ACTIVE
        assert app.schedules.fires("extra") == []
        assert len(app.schedules.preview("extra", count=2)) == 2
        assert app.schedules.leader() is None
        job = app.job(app.schedules.start("work"))
        assert job.job().state is State.QUEUED
        assert app.schedules.remove("work").status is Status.REMOVED
    finally:
        app.close()
