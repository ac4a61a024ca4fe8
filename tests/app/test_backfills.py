"""Backfills through the app, on both stores, with a worker beside them."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from tests.app.live import WAIT_S, quick_app, working
from windlass import App, BadOption, Schedule, State, context, cron
from windlass.core.backfills import backfill_request
from windlass.engine.client import Client
from windlass.errors import BackfillNotFound, ScheduleNotFound
from windlass.model.backfills import BackfillId, BackfillRequest, ItemPlan

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


async def asked(app: App, client: Client, days: int, parallelism: int = 2) -> BackfillRequest:
    """Ask for the first days of the year."""
    return backfill_request(
        BackfillId(app.new_job_id()),
        await client.schedules.get("daily"),
        NEW_YEAR,
        NEW_YEAR + days * DAY,
        order="oldest",
        reprocess="missing",
        parallelism=parallelism,
        priority=None,
        actor="test",
    )


async def test_the_past_runs_in_order_so_many_at_a_time_and_only_once(store_url: str) -> None:
    app, begun, running, most = quick_app(store_url), [], 0, 0

    @app.task(name="daily", schedule=Schedule(cron("0 0 * * *"), window=True))
    async def daily() -> None:
        nonlocal running, most
        occasion = context().occasion
        assert occasion is not None
        begun.append(occasion)
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1

    async with app.session() as client, working(app):
        await client.schedules.put(
            app.schedules.draft("daily", daily, Schedule(cron("0 0 * * *"), window=True))
        )
        request = await asked(app, client, 20)
        _, planned = await client.schedules.plan_backfill(request)
        assert await client.schedules.backfills() == []
        items = await client.schedules.backfill(request, app.new_job_id)
        assert items == planned
        jobs = await client.schedules.backfill_jobs(request.id)
        ended = await client.wait([job.job_id for job in jobs], timeout_s=WAIT_S)
        again = await client.schedules.backfill(await asked(app, client, 21), app.new_job_id)

    assert {finished.state for finished in ended.values()} == {State.SUCCEEDED}
    assert sorted(each.fire_at for each in begun[:20]) == [NEW_YEAR + n * DAY for n in range(20)]
    assert all(each.window_start == each.fire_at - DAY for each in begun)
    assert most == 2
    assert Counter(item.plan for item in again) == {ItemPlan.DONE: 20, ItemPlan.MISSING: 1}


async def test_a_cancelled_backfill_leaves_nothing_behind(store_url: str) -> None:
    app, gate = quick_app(store_url), asyncio.Event()

    @app.task(name="daily")
    async def daily() -> None:
        await gate.wait()

    async with app.session() as client, working(app):
        await client.schedules.put(app.schedules.draft("daily", daily, cron("0 0 * * *")))
        request = await asked(app, client, 30, parallelism=3)
        await client.schedules.backfill(request, app.new_job_id)
        async with asyncio.timeout(WAIT_S):
            while (await client.schedules.backfills())[0].jobs.get(State.RUNNING) != 3:
                await asyncio.sleep(0.01)
        assert await client.schedules.cancel_backfill(request.id) == 30
        jobs = await client.schedules.backfill_jobs(request.id)
        ended = await client.wait([job.job_id for job in jobs], timeout_s=WAIT_S)
        [kept] = await client.schedules.backfills(schedule="daily")
        await client.schedules.backfill(request, app.new_job_id)

        assert {finished.state for finished in ended.values()} == {State.CANCELLED}
        assert kept.cancelled_at is not None
        assert len(await client.schedules.backfill_jobs(request.id)) == 30
        with pytest.raises(BackfillNotFound):
            await client.schedules.cancel_backfill(BackfillId("nobody's"))


def test_blocking_callers_have_the_same(store_url: str) -> None:
    app = App(store_url)

    @app.task(name="daily")
    def daily() -> None: ...

    app.migrate()
    try:
        app.schedules.put("daily", daily, cron("0 0 * * *"))
        items = app.schedules.plan_backfill("daily", NEW_YEAR, NEW_YEAR + 3 * DAY)
        backfill, made = app.schedules.backfill("daily", NEW_YEAR, NEW_YEAR + 3 * DAY)
        assert list(made) == list(items)
        assert [b.request.id for b in app.schedules.backfills()] == [backfill]
        assert len(app.schedules.backfill_jobs(backfill)) == 3
        assert app.schedules.cancel_backfill(backfill) == 3
        with pytest.raises(ScheduleNotFound):
            app.schedules.backfill("nobody", NEW_YEAR, NEW_YEAR + DAY)
        with pytest.raises(BadOption):
            app.schedules.backfill("daily", NEW_YEAR, NEW_YEAR)
    finally:
        app.close()
