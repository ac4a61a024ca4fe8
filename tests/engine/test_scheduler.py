"""The scheduler, on the memory store, in virtual time: the lead, outages, faults, clock jumps."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pytest

from tests.simulation.loop import VirtualLoop
from tests.unit.test_planner import draft_of
from windlass import every
from windlass.core.ids import JobIds
from windlass.core.planner import SKIPS_MAX, plan
from windlass.core.schedules import Schedule, held
from windlass.engine import scheduler as module
from windlass.engine.client import Client
from windlass.engine.scheduler import PATIENCE_S, RESIGN_S, STANDBY_S, Scheduler, SchedulerOptions
from windlass.engine.trouble import REMIND_S
from windlass.engine.watchdog import Watchdog
from windlass.errors import StoreReadOnly, StoreUnavailable
from windlass.model.jobs import State
from windlass.model.schedules import LEADER_LEASE_S_MAX, CatchUp, Fire, SkipReason, Status
from windlass.ports import Bell
from windlass.stores.memory import MemoryStore
from windlass.stores.memory_rows import MemoryData

LEASE_S = 5.0
DAY_S = 86_400.0
OPTIONS = SchedulerOptions(lease_s=LEASE_S, sweep_s=60.0)
SECONDLY = Schedule(every(1.0), overlap="allow", catch_up="all", grace=None)
LATEST = Schedule(every(1.0), overlap="allow")
T = TypeVar("T")


class JumpingClock:
    """The virtual time, as a wall clock that can be set."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._off = timedelta()

    def now(self) -> datetime:
        """Return what the wall clock shows."""
        return self._loop.now() + self._off

    def jump(self, seconds: float) -> None:
        """Set the clock on, or back."""
        self._off += timedelta(seconds=seconds)


class Faulty:
    """Schedules of a store whose calls hang, break, take their time, or are refused."""

    def __init__(self, schedules: Any) -> None:
        self.real = schedules
        self.down: Exception | None = None
        self.hangs: set[str] = set()
        self.breaks: dict[str, Exception] = {}
        self.takes_s: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self.plans: list[Any] = []

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        work = getattr(self.real, verb)

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls[verb] += 1
            if verb in self.hangs:
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(self.takes_s.get(verb, 0.001))
            if self.down is not None:
                raise self.down
            if verb in self.breaks:
                raise self.breaks[verb]
            if verb == "fire":
                self.plans += arguments[0]
                self.refuse(arguments[0])
            return await work(*arguments, **named)

        return call

    def refuse(self, plans: Any) -> None:
        """Raise for plans that cannot be written; here: none."""


class DeafStore(MemoryStore):
    """A store whose bells never ring."""

    def listen(self, topics: Collection[str]) -> Bell:
        return super().listen([])


class Process:
    """One scheduler with a store of its own."""

    def __init__(self, world: "World", name: str, knows: Callable[[str], bool], deaf: bool) -> None:
        self.store = (DeafStore if deaf else MemoryStore)(world.clock, data=world.data)
        self.schedules = Faulty(self.store.schedules)
        self.store.schedules = self.schedules  # type: ignore[assignment]
        self.watchdog = Watchdog(stall_s=30.0, now=world.loop.time)
        self.scheduler = Scheduler(
            self.store,
            world.options,
            leader=name,
            new_job_id=world.new_id,
            knows=knows,
            watchdog=self.watchdog,
        )
        self.running = asyncio.ensure_future(self.scheduler.run())

    def kill(self) -> None:
        """Have it do nothing more, and leave what it held."""
        self.schedules.hangs = {"lead", "leader", "due", "fire", "page", "save", "resign", "prune"}

    async def stop(self) -> None:
        """Stop it in order."""
        self.scheduler.stop()
        await self.running


class World:
    """Schedulers on the rows of one store."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.clock = JumpingClock(loop)
        self.data = MemoryData()
        self.options = OPTIONS
        self.processes: list[Process] = []
        self.new_id = JobIds(lambda: round(loop.time() * 1e9), lambda bits: 0)
        self.client = Client(MemoryStore(self.clock, data=self.data))

    def start(
        self, name: str, *, knows: Callable[[str], bool] = lambda name: True, deaf: bool = False
    ) -> Process:
        process = Process(self, name, knows, deaf)
        self.processes.append(process)
        return process

    async def put(self, *names: str, schedule: Schedule = SECONDLY) -> None:
        for name in names:
            await self.client.schedules.put(draft_of(schedule, name))

    async def until(self, holds: Callable[[], bool], within_s: float = 60.0) -> float:
        """Let time pass until something holds; return how long that took."""
        begin = self.loop.time()
        while not holds():
            assert self.loop.time() - begin < within_s, "it does not come to hold"
            await asyncio.sleep(0.01)
        return self.loop.time() - begin

    def leader(self) -> str | None:
        """Return who leads under a lease."""
        stands = self.data.leader
        return None if stands is None or stands[2] <= self.clock.now() else stands[0]

    def term(self) -> int:
        return 0 if self.data.leader is None else self.data.leader[1]

    def fires(self, name: str) -> list[Fire]:
        return sorted(
            (fire for fire in self.data.fires.values() if fire.schedule == name),
            key=lambda fire: fire.fire_at,
        )

    def is_late(self, name: str, by_s: float = 0.1) -> bool:
        row = self.data.schedules[name]
        return row.due_at is not None and (self.clock.now() - row.due_at).total_seconds() > by_s

    def check(self, *names: str, every_s: float = 1.0) -> None:
        """Each tick of a schedule has one outcome; each started one has one job."""
        jobs = Counter(job.id for job in self.data.jobs.values())
        started = Counter(fire.job_id for fire in self.data.fires.values() if fire.job_id)
        assert started == jobs
        for name in names:
            row, fires = self.data.schedules[name], self.fires(name)
            at = row.created_at
            for fire in fires:
                assert fire.fire_at == at + timedelta(seconds=every_s), (
                    f"{name}: after {at}: {fire}"
                )
                assert fire.until == fire.fire_at + every_s * timedelta(seconds=fire.count - 1)
                at = fire.until
            assert at == row.cursor_at


def live(story: Callable[[World], Coroutine[Any, Any, T]]) -> T:
    """Run a story in virtual time; nothing of it is left behind."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(story(World(loop)))
    finally:
        while left := asyncio.all_tasks(loop):
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


def lines(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


# -- the lead ----------------------------------------------------------------


@pytest.mark.parametrize("deaf", [False, True])
def test_a_killed_leader_is_followed_when_its_lease_ends(deaf: bool) -> None:
    async def story(world: World) -> float:
        await world.put("a", "b")
        first = world.start("first", deaf=deaf)
        await world.until(lambda: world.leader() == "first")
        for name in ("second", "third"):
            world.start(name, deaf=deaf)
        await asyncio.sleep(20)
        first.kill()
        gap_s = await world.until(lambda: world.leader() not in (None, "first"))
        await asyncio.sleep(20)

        world.check("a", "b")
        assert len(world.fires("a")) > 40
        assert world.term() == 2
        return gap_s

    assert live(story) <= LEASE_S + STANDBY_S


@pytest.mark.parametrize("deaf", [False, True])
def test_a_clean_stop_hands_over_within_half_a_second_heard_or_not(deaf: bool) -> None:
    async def story(world: World) -> float:
        await world.put("a")
        first = world.start("first", deaf=deaf)
        await world.until(lambda: world.leader() == "first")
        world.start("second", deaf=deaf)
        await asyncio.sleep(20.123)
        first.scheduler.stop()
        gap_s = await world.until(lambda: world.leader() == "second")
        await asyncio.sleep(5)

        world.check("a")
        assert {fire.reason for fire in world.fires("a")} == {None}
        assert first.running.done()
        return gap_s

    assert live(story) <= 0.5


def test_a_leader_that_was_paused_past_its_lease_writes_nothing_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """I15, I16: paused between its plan and its write, while another took over."""

    async def story(world: World) -> None:
        await world.put("a", schedule=Schedule(every(1.0), overlap="cancel_old", catch_up="all"))
        first = world.start("first")
        await world.until(lambda: len(world.fires("a")) == 2)
        second = world.start("second")
        settles = _count_settles(monkeypatch, first.store)

        def paused(*arguments: Any) -> Any:
            if asyncio.current_task() is not first.running:
                return plan(*arguments)
            made = plan(*arguments)
            world.loop.jump(2 * LEASE_S)  # SIGSTOP, SIGCONT
            lead = second.schedules.real.lead("second", LEASE_S)
            assert _now(lead).is_led
            return made

        await asyncio.sleep(0.5)
        written = len(first.schedules.plans)
        monkeypatch.setattr(module, "plan", paused)
        await world.until(lambda: len(world.fires("a")) > 14)

        assert len(first.schedules.plans) == written
        assert settles == []  # and it cancelled nothing
        assert not first.scheduler.leads
        world.check("a")

    caplog.set_level(logging.INFO, "windlass.scheduler")
    live(story)
    told = lines(caplog, logging.INFO)

    assert sum("no longer leads" in line for line in told) == 1
    assert sum("second leads in term 2" in line for line in told) == 1


def _count_settles(monkeypatch: pytest.MonkeyPatch, store: MemoryStore) -> list[Any]:
    settles: list[Any] = []
    settle = store.settle

    async def counted(transitions: Any) -> Any:
        settles.append(transitions)
        return await settle(transitions)

    monkeypatch.setattr(store, "settle", counted)
    settles.clear()
    return settles


def _now(call: Awaitable[T]) -> T:
    """Run to its end, within a loop, what suspends only to let time pass."""
    stepping = call.__await__()
    while True:
        try:
            next(stepping)
        except StopIteration as end:
            result: T = end.value
            return result


def test_a_write_under_a_lost_term_makes_it_step_down() -> None:
    async def story(world: World) -> None:
        await world.put("a")
        first = world.start("first")
        await world.until(lambda: len(world.fires("a")) == 2)
        until = world.clock.now() + timedelta(seconds=3)
        world.data.leader = ("ghost", 7, until)  # unseen by the one that leads
        await asyncio.sleep(2)
        assert not first.scheduler.leads
        assert len(world.fires("a")) == 2
        await world.until(lambda: world.leader() == "first", within_s=3)
        await asyncio.sleep(2)

        assert world.term() == 8
        world.check("a")

    live(story)


def test_a_standby_asks_for_the_lease_only_when_it_is_free() -> None:
    async def story(world: World) -> None:
        world.start("first")
        await world.until(lambda: world.leader() == "first")
        second = world.start("second")
        await asyncio.sleep(60)

        assert second.schedules.calls["lead"] == 0
        assert second.schedules.calls["leader"] <= 60 / STANDBY_S + 2

    live(story)


def test_a_change_of_leadership_is_one_line_in_each_log(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        await world.put("a")
        first = world.start("first")
        await world.until(lambda: world.leader() == "first")
        world.start("second")
        await asyncio.sleep(30)
        await first.stop()
        await asyncio.sleep(30)

    caplog.set_level(logging.INFO, "windlass.scheduler")
    live(story)

    assert lines(caplog, logging.INFO) == [
        "scheduler first leads in term 1",
        "stands by: scheduler first has the lead in term 1",
        "scheduler second leads in term 2",
    ]


# -- outages and faults ------------------------------------------------------


@pytest.mark.parametrize("how", ["refused", "hanging", "read-only"])
def test_an_outage_ends_nothing_floods_nothing_and_is_over_within_five_seconds(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """I33."""
    outage_s = 600.0

    async def story(world: World) -> float:
        await world.put("a", schedule=LATEST)
        one, two = world.start("one"), world.start("two")
        await world.until(lambda: len(world.fires("a")) == 3)
        for each in (one, two):
            if how == "hanging":
                each.kill()
            else:
                away = StoreUnavailable("memory://", "refused")
                each.schedules.down = StoreReadOnly("m", "x") if how == "read-only" else away
        for _ in range(int(outage_s)):
            await asyncio.sleep(1)
            assert one.watchdog.health().live
            assert not one.running.done()
        assert not one.watchdog.health().ready
        rows = len(world.fires("a"))
        for each in (one, two):
            each.schedules.down = None
            each.schedules.hangs = set()
        back_s = await world.until(lambda: len(world.fires("a")) > rows)
        await asyncio.sleep(5)
        world.check("a")
        return back_s

    caplog.set_level(logging.INFO, "windlass.scheduler")
    # A call that hangs is given up in time; here that call is never answered.
    assert live(story) <= 5.0 + (PATIENCE_S if how == "hanging" else 0)
    told = lines(caplog)

    assert 2 <= len(told) <= 2 * (outage_s / REMIND_S + 1)
    assert not any(line.endswith(": ") for line in told), "each line says what the matter is"
    goes_on = [line for line in lines(caplog, logging.INFO) if "goes on after" in line]
    assert len(goes_on) == 2


@pytest.mark.parametrize("verb", ["leader", "lead", "due", "fire", "page", "save", "prune"])
def test_a_call_that_breaks_again_and_again_is_told_and_does_not_end_it(
    verb: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(world: World) -> None:
        await world.put("a", schedule=LATEST)
        await world.client.schedules.put(draft_of(LATEST, "b"))
        world.options = SchedulerOptions(lease_s=LEASE_S, retention_s=DAY_S)
        one = world.start("one", knows=lambda name: world.loop.time() > 5)
        await asyncio.sleep(5)  # "a" and "b" are held
        one.schedules.breaks = {verb: ValueError("planted")}
        await one.store.schedules.resign("one")
        await asyncio.sleep(30)
        assert not one.running.done()
        one.schedules.breaks = {}
        await asyncio.sleep(10)
        if verb in ("fire", "page", "save"):  # what was held is looked at by a new leader
            await one.stop()
            world.start("two")
            await asyncio.sleep(10)

        assert not world.is_late("a")
        world.check("a", "b")

    live(story)

    assert len(lines(caplog)) <= 40


def test_a_loop_that_only_breaks_makes_no_progress() -> None:
    async def story(world: World) -> None:
        one = world.start("one")
        await asyncio.sleep(5)
        one.schedules.breaks = {"due": ValueError("planted")}
        await asyncio.sleep(120)
        assert [stall.split(" has")[0] for stall in one.watchdog.health().stalls] == ["schedules"]
        one.schedules.breaks = {}
        await asyncio.sleep(10)

        assert one.watchdog.health().live
        await one.stop()
        await asyncio.sleep(120)
        assert one.watchdog.health().live  # what has ended need not move

    live(story)


def test_a_schedule_that_cannot_be_planned_for_is_held_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(due: Any, *rest: Any) -> Any:
        if due.row.name == "bad":
            raise ZeroDivisionError("planted\0")
        return plan(due, *rest)

    async def story(world: World) -> None:
        await world.put("bad", "good")
        world.start("one")
        await asyncio.sleep(10)
        bad = world.data.schedules["bad"]

        assert (bad.status, bad.why) == (Status.HELD, "ZeroDivisionError: planted\ufffd")
        assert len(world.fires("good")) >= 9
        world.check("bad", "good")

    monkeypatch.setattr(module, "plan", breaks)
    live(story)


def test_a_schedule_that_cannot_be_written_is_held_and_others_go_on() -> None:
    def refuse(plans: Any) -> None:
        if any(plan.row.name == "bad" and plan.fires for plan in plans):
            raise ValueError("invalid byte sequence")

    async def story(world: World) -> None:
        await world.put("a", "bad", "c")
        one = world.start("one")
        one.schedules.refuse = refuse  # type: ignore[method-assign]
        await asyncio.sleep(10)
        bad = world.data.schedules["bad"]

        assert (bad.status, bad.why) == (Status.HELD, "ValueError: invalid byte sequence")
        assert bad.cursor_at == bad.created_at  # no tick is lost: none has got an outcome
        assert len(world.fires("a")) == len(world.fires("c")) >= 9
        world.check("a", "bad", "c")

    live(story)


def test_what_was_held_is_looked_at_again_by_a_new_leader() -> None:
    async def story(world: World) -> None:
        await world.put("a", "b")
        first = world.start("first", knows=lambda name: False)
        await asyncio.sleep(3)
        assert {row.status for row in world.data.schedules.values()} == {Status.HELD}
        world.start("second")
        await asyncio.sleep(3)
        await first.stop()
        await asyncio.sleep(3)

        assert {row.status for row in world.data.schedules.values()} == {Status.ACTIVE}
        assert not world.is_late("a")
        world.check("a", "b")

    live(story)


# -- much to do --------------------------------------------------------------


def test_plans_that_take_longer_than_the_lease_are_written_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"s{n:03}" for n in range(150)]

    async def story(world: World) -> None:
        def slow(*arguments: Any) -> Any:
            world.loop.jump(0.1)  # 15 s for all
            return plan(*arguments)

        monkeypatch.setattr(module, "plan", slow)
        await world.put(*names, schedule=Schedule(every(60.0), overlap="allow"))
        world.start("one")
        world.start("two")
        await asyncio.sleep(59)
        await asyncio.sleep(30)

        assert all(len(world.fires(name)) == 1 for name in names)
        assert world.term() == 1

    live(story)


def test_a_stop_ends_long_work_between_two_writes() -> None:
    async def story(world: World) -> float:
        await world.put(*(f"s{n:02}" for n in range(40)))
        world.clock.jump(100)  # 40 schedules of 100 jobs: 4 transactions and more
        one = world.start("one")
        one.schedules.takes_s["fire"] = 0.3
        await world.until(lambda: one.schedules.calls["fire"] == 1)
        begin = world.loop.time()
        await one.stop()

        assert one.schedules.calls["fire"] == 1
        return world.loop.time() - begin

    assert live(story) < 0.5


def test_a_million_missed_ticks_are_worked_off_in_small_steps_beside_others() -> None:
    async def story(world: World) -> None:
        await world.put("old", schedule=LATEST)
        world.clock.jump(1_000_000)
        await world.put("new")
        one = world.start("one")
        one.schedules.takes_s["fire"] = 0.004
        late_s = []
        async with asyncio.timeout(60):
            while world.is_late("old", by_s=1.5):
                await asyncio.sleep(0.05)
                if world.data.schedules["new"].last_late_s is not None:
                    late_s.append(world.data.schedules["new"].last_late_s)
        fires = world.fires("old")
        await asyncio.sleep(2)

        assert sum(fire.count for fire in fires) >= 1_000_000
        assert [fire.reason for fire in fires if fire.job_id is not None] == [None]
        assert {fire.reason for fire in fires} == {None, SkipReason.TOO_LATE, SkipReason.COALESCED}
        assert max(len(each.fires) for each in one.schedules.plans) <= 3
        assert (
            max(sum(f.count for f in each.fires) for each in one.schedules.plans) <= SKIPS_MAX + 1
        )
        assert len(late_s) > 50
        assert max(late_s) < 0.05
        world.check("old", "new")

    live(story)


# -- stopping ----------------------------------------------------------------


@pytest.mark.parametrize(
    "verb", ["leader", "lead", "page", "save", "due", "fire", "prune", "resign", "nothing"]
)
def test_a_stop_ends_it_whatever_it_waits_for(verb: str) -> None:
    async def story(world: World) -> float:
        world.options = SchedulerOptions(lease_s=LEASE_S, retention_s=DAY_S)
        await world.put("a")
        if verb in ("page", "save"):
            row = world.data.schedules["a"]
            world.data.schedules["a"] = held(row, "planted")
        one = world.start("one")
        one.schedules.hangs = {verb}
        await asyncio.sleep(2.0 if verb != "resign" else 1.7)
        begin = world.loop.time()
        await one.stop()
        return world.loop.time() - begin

    assert live(story) <= PATIENCE_S + RESIGN_S + 0.1


def test_a_cancelled_scheduler_hands_over_too() -> None:
    async def story(world: World) -> None:
        first = world.start("first")
        await asyncio.sleep(3)
        first.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first.running

        assert world.leader() is None

    live(story)


def test_who_stepped_down_in_doubt_still_hands_over_when_it_stops() -> None:
    async def story(world: World) -> None:
        first = world.start("first")
        await asyncio.sleep(3)
        first.schedules.breaks = {"due": StoreUnavailable("memory://", "planted")}
        await asyncio.sleep(2)
        first.scheduler.stop()
        await first.running

        assert world.leader() is None

    live(story)


# -- without wake-ups --------------------------------------------------------


def test_with_every_wake_up_lost_all_still_happens_within_the_sweep() -> None:
    """I34: what others write is found by looking."""
    sweep_s = 2.0

    async def story(world: World) -> None:
        world.options = SchedulerOptions(lease_s=60.0, sweep_s=sweep_s)
        world.start("one", deaf=True)
        await asyncio.sleep(10)
        await world.put("a")
        await asyncio.sleep(1 + sweep_s)
        assert world.fires("a")
        await world.client.schedules.pause("a")
        await asyncio.sleep(10)
        await world.client.schedules.resume("a")
        await asyncio.sleep(1 + sweep_s)
        assert {fire.reason for fire in world.fires("a")} == {None, SkipReason.PAUSED}
        await asyncio.sleep(10)

        assert not world.is_late("a")
        world.check("a")

    live(story)


# -- clock jumps -------------------------------------------------------------


@pytest.mark.parametrize(
    ("catch_up", "started"),
    [(CatchUp.LATEST, 11), (CatchUp.ALL, DAY_S / 30 + 10), (CatchUp.NONE, 11)],
)
def test_a_clock_that_is_set_on_by_a_day_is_caught_up_with_by_the_rule(
    catch_up: CatchUp, started: float
) -> None:
    async def story(world: World) -> list[Fire]:
        schedule = Schedule(every(30.0), overlap="allow", catch_up=catch_up, grace=None)
        await world.put("a", schedule=schedule)
        world.start("one")
        world.start("two")
        await asyncio.sleep(300)
        before = len(world.fires("a"))
        world.clock.jump(DAY_S)
        await asyncio.sleep(300)

        assert not world.is_late("a")
        world.check("a", every_s=30.0)
        return world.fires("a")[before:]

    fires = live(story)

    assert sum(fire.count for fire in fires) == DAY_S / 30 + 10
    # What is at most a minute late counts as in time.
    assert sum(1 for fire in fires if fire.job_id is not None) == pytest.approx(started, abs=1)


@pytest.mark.parametrize("killed", [False, True])
def test_a_clock_that_is_set_back_by_a_day_fires_nothing_twice(killed: bool) -> None:
    async def story(world: World) -> None:
        await world.put("a", schedule=LATEST)
        first = world.start("first")
        await world.until(lambda: world.leader() == "first")
        second = world.start("second")
        await asyncio.sleep(10)
        before = world.fires("a")
        if killed:
            first.kill()
        world.clock.jump(-DAY_S)
        # The lease ends a day from now, as the store has it: longer than any lease can.
        assert world.data.leader is not None
        left = world.data.leader[2] - world.clock.now()
        assert left.total_seconds() > LEADER_LEASE_S_MAX
        await world.until(lambda: world.leader() == "second", within_s=LEASE_S)
        await asyncio.sleep(10)
        assert not second.running.done()
        assert world.fires("a") == before
        assert world.is_late("a") is False

        world.clock.jump(DAY_S)  # set right again
        await asyncio.sleep(10)
        assert len(world.fires("a")) > len(before)
        assert not world.is_late("a")
        world.check("a")
        assert all(job.state is State.QUEUED for job in world.data.jobs.values())

    live(story)
