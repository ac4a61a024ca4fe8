"""What schedules promise: one outcome for each tick, edits against fires, one term at a time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace as with_

from windlass.errors import LeaderLost
from windlass.model.backfills import BackfillId, BackfillJob, BackfillRequest, Order, Reprocess
from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.outcomes import Succeeded
from windlass.model.schedules import (
    Fire,
    RecentJob,
    SchedulePlan,
    ScheduleRow,
    SkipReason,
    Status,
)
from windlass.model.topics import SCHEDULES, queue_topic
from windlass.ports import Store
from windlass.testing.contracts.world import (
    RING_S,
    StoreWorld,
    claim_all,
    finish,
    make_request,
    nth_id,
    opened,
    row,
)

LEADER_LEASE_S = 5.0
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def make_row(now: datetime, name: str = "nightly", **fields: Any) -> ScheduleRow:
    """Return the first revision of a schedule that is due at ``now``."""
    plain: dict[str, Any] = {
        "name": name,
        "version": 1,
        "revision": 1,
        "status": Status.ACTIVE,
        "why": "",
        "origin": "code",
        "rule": "{}",
        "call": "{}",
        "declared": "print",
        "task": "shop.ship",
        "created_at": now,
        "anchor_at": now,
        "cursor_at": now,
        "next_at": now,
        "due_at": now,
    }
    return ScheduleRow(**(plain | fields))


def make_fire(row: ScheduleRow, tick: datetime, job_id: JobId | None, **fields: Any) -> Fire:
    """Return the outcome of one tick."""
    plain: dict[str, Any] = {
        "schedule": row.name,
        "version": row.version,
        "fire_at": tick,
        "until": tick,
        "decided_at": tick,
        "job_id": job_id,
        "reason": None if job_id else SkipReason.OVERLAP,
    }
    return Fire(**(plain | fields))


def make_plan(row: ScheduleRow, tick: datetime, n: int = 1, **fields: Any) -> SchedulePlan:
    """Return what starts the ``n``-th job for a tick, and moves the schedule on by an hour."""
    request = make_request(n)
    moved = with_(
        row,
        revision=row.revision + 1,
        cursor_at=tick,
        next_at=tick + timedelta(hours=1),
        due_at=tick + timedelta(hours=1),
        started=row.started + 1,
        last_fire_at=tick,
        last_job_id=request.id,
        last_late_s=0.25,
    )
    return SchedulePlan(with_(moved, **fields), (make_fire(row, tick, request.id),), (request,))


async def now_of(store: Store) -> datetime:
    """Return the instant of the store's clock."""
    return (await store.schedules.find([])).now


async def added(store: Store, *names: str, **fields: Any) -> list[ScheduleRow]:
    """Add schedules that are due now."""
    now = await now_of(store)
    rows = [make_row(now, name, **fields) for name in names]
    assert all(await store.schedules.save([SchedulePlan(row) for row in rows]))
    return list((await store.schedules.find(names)).rows)


async def led(store: Store, leader: str = "one") -> int:
    """Lead; return the term."""
    leadership = await store.schedules.lead(leader, LEADER_LEASE_S)
    assert leadership.is_led
    return leadership.term


async def fire_as(store: Store, leader: str, term: int, *plans: SchedulePlan) -> list[bool]:
    """Fire plans under a term."""
    return await store.schedules.fire(plans, leader=leader, term=term)


class ScheduleContract:
    """What every store promises of schedules."""

    async def test_a_schedule_is_kept_as_it_was_saved(self, world: StoreWorld) -> None:
        instant = datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)
        every_field = make_row(
            instant,
            version=3,
            why="because",
            origin="operator",
            rule='{"trigger":"x"}',
            call='{"task":"é"}',
            skip_until=instant + timedelta(seconds=1),
            next_at=instant + timedelta(seconds=2),
            due_at=instant + timedelta(seconds=3),
            look_back=7,
            started=5,
            misfires=6,
            last_fire_at=instant,
            last_job_id=nth_id(9),
            last_late_s=0.125,
        )
        bare = make_row(instant, "bare", status=Status.PAUSED, next_at=None, due_at=None)
        async with opened(world) as store:
            saved = await store.schedules.save([SchedulePlan(every_field), SchedulePlan(bare)])
            found = await store.schedules.find(["nightly", "nobody", "bare"])

        assert saved == [True, True]
        assert {row.name: row for row in found.rows} == {"nightly": every_field, "bare": bare}
        assert found.now.tzinfo is not None

    async def test_a_new_schedule_does_not_write_over_one_of_its_name(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            [again] = await store.schedules.save([SchedulePlan(with_(stored, why="mine"))])

            assert not again
            assert (await store.schedules.find(["nightly"])).rows == (stored,)

    async def test_an_edit_stands_only_on_the_revision_it_was_made_from(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            first = with_(stored, revision=2, why="first")
            second = with_(stored, revision=2, why="second")

            assert await store.schedules.save([SchedulePlan(first)]) == [True]
            assert await store.schedules.save([SchedulePlan(second)]) == [False]
            assert (await store.schedules.find(["nightly"])).rows == (first,)

    async def test_an_edit_and_a_fire_of_the_same_revision_exclude_each_other(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            term = await led(store)
            edit = SchedulePlan(with_(stored, revision=2, version=2))
            assert await store.schedules.save([edit]) == [True]

            assert await fire_as(store, "one", term, make_plan(stored, stored.cursor_at)) == [False]
            assert await store.get(nth_id(1)) is None
            assert await store.schedules.fires("nightly", limit=9) == []

    async def test_schedules_are_listed_by_name_in_pages_without_removed_ones(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            rows = await added(store, "a", "b", "c", "d")
            gone = next(row for row in rows if row.name == "b")
            dead = with_(gone, revision=2, status=Status.REMOVED, next_at=None, due_at=None)
            assert await store.schedules.save([SchedulePlan(dead)]) == [True]
            first = await store.schedules.page(limit=2)
            second = await store.schedules.page(limit=2, after="c")

            assert [row.name for row in first.rows] == ["a", "c"]
            assert [row.name for row in second.rows] == ["d"]
            gone_ones = await store.schedules.page(limit=9, status=Status.REMOVED)
            assert list(gone_ones.rows) == [dead]

    async def test_what_is_due_comes_longest_due_first(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            now = await now_of(store)
            await added(store, "later", due_at=now + timedelta(seconds=60))
            await added(store, "b", due_at=now - timedelta(seconds=1))
            await added(store, "a", due_at=now - timedelta(seconds=1))
            await added(store, "first", due_at=now - timedelta(seconds=9))
            await added(store, "paused", status=Status.PAUSED, due_at=None)
            due = await store.schedules.due(10)
            two = await store.schedules.due(2)

            assert [each.row.name for each in due.schedules] == ["first", "a", "b"]
            assert [each.row.name for each in two.schedules] == ["first", "a"]
            assert due.next_due_s is None
            await world.advance(61.0)
            assert len((await store.schedules.due(10)).schedules) == 4

    async def test_where_nothing_is_due_it_is_known_when_something_will_be(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            assert (await store.schedules.due(10)).next_due_s is None
            now = await now_of(store)
            await added(store, "later", due_at=now + timedelta(seconds=60))
            due = await store.schedules.due(10)

            assert due.schedules == ()
            assert due.next_due_s is not None
            assert 50.0 < due.next_due_s <= 60.0

    async def test_a_fire_starts_its_job_and_moves_the_schedule_on_in_one(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            plan = make_plan(stored, stored.cursor_at)
            fired = await fire_as(store, "one", await led(store), plan)

            assert fired == [True]
            assert (await store.schedules.find(["nightly"])).rows == (plan.row,)
            assert await store.schedules.fires("nightly", limit=9) == list(plan.fires)
            assert (await row(store, nth_id(1))).state is State.QUEUED
            assert (await store.schedules.due(10)).schedules == ()

    async def test_a_fire_twice_starts_one_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            term = await led(store)
            plan = make_plan(stored, stored.cursor_at)
            assert await fire_as(store, "one", term, plan) == [True]
            other = make_plan(stored, stored.cursor_at, n=2)

            assert await fire_as(store, "one", term, other) == [False]
            assert await store.get(nth_id(2)) is None

    async def test_a_tick_that_has_its_outcome_gets_no_second(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            term = await led(store)
            plan = make_plan(stored, stored.cursor_at)
            assert await fire_as(store, "one", term, plan) == [True]
            # Somebody planned the same tick once more, from the newest row.
            again = make_plan(plan.row, stored.cursor_at, n=2)

            assert await fire_as(store, "one", term, again) == [True]
            assert await store.get(nth_id(2)) is None
            assert await store.schedules.fires("nightly", limit=9) == list(plan.fires)

    async def test_only_the_leader_of_the_term_fires(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            plan = make_plan(stored, stored.cursor_at)
            with pytest.raises(LeaderLost):
                await fire_as(store, "one", 1, plan)
            term = await led(store, "one")
            for leader, wrong in (("two", term), ("one", term - 1), ("one", term + 1)):
                with pytest.raises(LeaderLost):
                    await fire_as(store, leader, wrong, plan)
            await world.advance(LEADER_LEASE_S + 1)
            with pytest.raises(LeaderLost):
                await fire_as(store, "one", term, plan)

            assert await store.get(nth_id(1)) is None
            assert (await store.schedules.find(["nightly"])).rows[0].revision == 1

    async def test_a_lease_is_respected_renewed_and_taken_over(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            schedules = store.schedules
            assert await schedules.leader() is None
            one = await schedules.lead("one", LEADER_LEASE_S)
            two = await schedules.lead("two", LEADER_LEASE_S)
            assert (one.is_led, two.is_led, two.leader) == (True, False, "one")
            assert 0 < two.left_s <= LEADER_LEASE_S
            await world.advance(LEADER_LEASE_S - 1)
            renewed = await schedules.lead("one", LEADER_LEASE_S)
            assert (renewed.is_led, renewed.term) == (True, one.term)
            await world.advance(LEADER_LEASE_S - 1)
            assert not (await schedules.lead("two", LEADER_LEASE_S)).is_led
            await world.advance(2)
            taken = await schedules.lead("two", LEADER_LEASE_S)

            assert (taken.is_led, taken.term) == (True, one.term + 1)
            assert not (await schedules.lead("one", LEADER_LEASE_S)).is_led
            known = await schedules.leader()
            assert known is not None
            assert (known.leader, known.term) == ("two", taken.term)

    async def test_who_resigns_hands_over_at_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            term = await led(store, "one")
            await store.schedules.resign("two")
            assert not (await store.schedules.lead("two", LEADER_LEASE_S)).is_led
            await store.schedules.resign("one")
            await store.schedules.resign("one")

            taken = await store.schedules.lead("two", LEADER_LEASE_S)
            assert (taken.is_led, taken.term) == (True, term + 1)

    async def test_a_lease_that_ends_later_than_any_can_is_nobodys(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            term = await led(store, "one")
            await world.advance(-86_400.0)  # the clock is set back, and the leader is gone

            taken = await store.schedules.lead("two", LEADER_LEASE_S)
            assert (taken.is_led, taken.term) == (True, term + 1)

    async def test_a_schedule_says_what_became_of_its_last_jobs(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly", look_back=2)
            term, newest = await led(store), stored
            ticks = [stored.cursor_at - timedelta(hours=hours) for hours in (3, 2, 1)]
            for n, tick in enumerate(ticks, start=1):
                plan = make_plan(newest, tick, n, due_at=stored.due_at)
                assert await fire_as(store, "one", term, plan) == [True]
                newest = plan.row
            claims = await claim_all(store)
            assert await finish(store, claims[1], Succeeded(None))
            [due] = (await store.schedules.due(9)).schedules

            assert due.row == newest
            assert due.recent == (
                RecentJob(nth_id(3), ticks[2], State.RUNNING),
                RecentJob(nth_id(2), ticks[1], State.SUCCEEDED),
            )
            assert await store.delete([nth_id(2)]) == 1
            [due] = (await store.schedules.due(9)).schedules
            assert due.recent[1] == RecentJob(nth_id(2), ticks[1], None)

    async def test_who_does_not_ask_to_look_back_sees_nothing(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly", look_back=0)
            plan = make_plan(stored, stored.cursor_at, due_at=stored.due_at)
            await fire_as(store, "one", await led(store), plan)
            [due] = (await store.schedules.due(9)).schedules

            assert due.recent == ()

    async def test_a_live_job_with_the_unique_key_stands_for_the_started_one(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            await store.enqueue([make_request(7, unique_key="k")])
            plan = make_plan(stored, stored.cursor_at)
            request = JobRequest(
                id=nth_id(1), task="shop.ship", queue="default", payload=b"{}", unique_key="k"
            )
            keyed = SchedulePlan(plan.row, plan.fires, (request,))
            assert await fire_as(store, "one", await led(store), keyed) == [True]

            [fire] = await store.schedules.fires("nightly", limit=9)
            assert fire.job_id == nth_id(7)
            assert await store.get(nth_id(1)) is None

    async def test_outcomes_are_listed_newest_first_and_pruned_oldest_first(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            now = stored.cursor_at
            ticks = [now - timedelta(days=days) for days in (3, 2, 1)]
            skips = tuple(make_fire(stored, tick, None) for tick in ticks)
            span = make_fire(stored, now, None, until=now + timedelta(hours=2), count=120)
            moved = with_(stored, revision=2)
            assert await store.schedules.save([SchedulePlan(moved, (*skips, span))]) == [True]
            listed = await store.schedules.fires("nightly", limit=9)

            assert listed == [span, *reversed(skips)]
            assert await store.schedules.fires("nightly", limit=2, before=ticks[2]) == [
                skips[1],
                skips[0],
            ]
            assert await store.schedules.prune(86_400.0 * 1.5, 1) == 1
            assert await store.schedules.prune(86_400.0 * 1.5, 9) == 1
            assert await store.schedules.fires("nightly", limit=9) == [span, skips[2]]

    async def test_a_removed_schedule_is_forgotten_with_its_last_outcome(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            tick = stored.cursor_at - timedelta(days=2)
            fires = (make_fire(stored, tick, None),)
            dead = with_(stored, revision=2, status=Status.REMOVED, next_at=None, due_at=None)
            assert await store.schedules.save([SchedulePlan(dead, fires)]) == [True]
            await store.schedules.prune(86_400.0 * 3, 9)
            assert (await store.schedules.find(["nightly"])).rows == (dead,)
            await store.schedules.prune(86_400.0, 9)

            assert (await store.schedules.find(["nightly"])).rows == ()

    async def test_many_are_fired_in_one(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            rows = await added(store, *(f"s{n:04}" for n in range(300)), look_back=1)
            plans = [make_plan(row, row.cursor_at, n + 1) for n, row in enumerate(rows)]
            fired = await fire_as(store, "one", await led(store), *plans)

            assert fired == [True] * 300
            assert len(await claim_all(store)) == 300
            assert (await store.schedules.due(9)).schedules == ()


class ScheduleBellContract:
    """Which bells schedules ring."""

    async def test_edits_fires_and_resigning_ring(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            bell = store.listen([SCHEDULES])
            [stored] = await added(store, "nightly")
            assert await bell.wait(RING_S)
            term = await led(store)
            queue = store.listen([queue_topic("default")])
            await fire_as(store, "one", term, make_plan(stored, stored.cursor_at))
            assert await queue.wait(RING_S)
            await store.schedules.resign("one")

            assert await bell.wait(RING_S)
            bell.close()
            queue.close()


def make_backfill(n: int = 1, schedule: str = "nightly", **fields: Any) -> BackfillRequest:
    """Return the ``n``-th backfill."""
    plain: dict[str, Any] = {
        "id": BackfillId(f"backfill-{n}"),
        "schedule": schedule,
        "version": 1,
        "since": DAY,
        "until": DAY + timedelta(days=9),
        "order": Order.NEWEST,
        "reprocess": Reprocess.FAILED,
        "parallelism": 3,
        "priority": -1,
        "actor": "operator",
    }
    return BackfillRequest(**(plain | fields))


def make_items(*numbers: int) -> list[tuple[datetime, JobRequest]]:
    """Return jobs for the days of these numbers."""
    return [(DAY + timedelta(days=n), make_request(n)) for n in numbers]


class BackfillContract:
    """What every store promises of backfills."""

    async def test_a_backfill_is_kept_with_its_jobs(self, world: StoreWorld) -> None:
        request = make_backfill()
        async with opened(world) as store:
            await store.schedules.add_backfill(request, make_items(2, 1))
            [claim] = [c for c in await claim_all(store) if c.job_id == nth_id(1)]
            assert await finish(store, claim, Succeeded(None))
            [kept] = await store.schedules.backfills(limit=9)
            jobs = await store.schedules.backfill_jobs(request.id)

        assert (kept.request, kept.cancelled_at) == (request, None)
        assert dict(kept.jobs) == {State.SUCCEEDED: 1, State.RUNNING: 1}
        assert jobs == [
            BackfillJob(DAY + timedelta(days=1), nth_id(1), State.SUCCEEDED),
            BackfillJob(DAY + timedelta(days=2), nth_id(2), State.RUNNING),
        ]

    async def test_what_is_added_twice_is_there_once(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.schedules.add_backfill(make_backfill(), make_items(1))
            again = [(DAY + timedelta(days=1), make_request(7)), *make_items(2)]
            await store.schedules.add_backfill(make_backfill(), again)

            jobs = await store.schedules.backfill_jobs(make_backfill().id)
            assert [job.job_id for job in jobs] == [nth_id(1), nth_id(2)]
            assert await store.get(nth_id(7)) is None

    async def test_to_a_cancelled_backfill_nothing_is_added(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            assert not await store.schedules.end_backfill(make_backfill().id)
            await store.schedules.add_backfill(make_backfill(), make_items(1))
            assert await store.schedules.end_backfill(make_backfill().id)
            assert await store.schedules.end_backfill(make_backfill().id)
            await store.schedules.add_backfill(make_backfill(), make_items(2))
            [kept] = await store.schedules.backfills(limit=9)

            assert kept.cancelled_at is not None
            assert dict(kept.jobs) == {State.QUEUED: 1}

    async def test_backfills_are_listed_newest_first_and_by_schedule(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            for n, schedule in ((1, "a"), (2, "b"), (3, "a")):
                await store.schedules.add_backfill(make_backfill(n, schedule), [])
                await world.advance(1.0)

            listed = [b.request.id for b in await store.schedules.backfills(limit=2)]
            of_a = await store.schedules.backfills(limit=9, schedule="a")
            assert listed == ["backfill-3", "backfill-2"]
            assert [b.request.id for b in of_a] == ["backfill-3", "backfill-1"]

    async def test_it_is_known_what_the_ticks_of_a_range_have_started(
        self, world: StoreWorld
    ) -> None:
        async with opened(world) as store:
            [stored] = await added(store, "nightly")
            days = [DAY + timedelta(days=n) for n in range(5)]
            fires = (
                make_fire(stored, days[0], nth_id(10)),
                make_fire(stored, days[1], nth_id(11)),
                make_fire(stored, days[2], None),
            )
            requests = (make_request(10), make_request(11))
            plan = SchedulePlan(with_(stored, revision=2), fires, requests)
            assert await store.schedules.save([plan]) == [True]
            await store.schedules.add_backfill(make_backfill(1), make_items(2))
            await store.schedules.add_backfill(make_backfill(2, "other"), make_items(3))
            started = await store.schedules.started("nightly", days[1], days[4], 9)
            first = await store.schedules.started("nightly", days[0], days[4], 1)

            assert started == [
                RecentJob(nth_id(11), days[1], State.QUEUED),
                RecentJob(nth_id(2), days[2], State.QUEUED),
            ]
            assert first == [RecentJob(nth_id(10), days[0], State.QUEUED)]

    async def test_a_backfill_is_forgotten_with_its_last_job(self, world: StoreWorld) -> None:
        async with opened(world) as store:
            await store.schedules.add_backfill(make_backfill(), make_items(1))
            [claim] = await claim_all(store)
            assert await finish(store, claim, Succeeded(None))
            await world.advance(20.0)
            await store.schedules.prune(10.0, 9)
            assert len(await store.schedules.backfills(limit=9)) == 1
            assert await store.delete([nth_id(1)]) == 1
            await store.schedules.prune(10.0, 9)

            assert await store.schedules.backfills(limit=9) == []
            assert await store.schedules.backfill_jobs(make_backfill().id) == []
