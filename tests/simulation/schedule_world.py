"""A world of schedules: schedulers killed, stopped, cut off, and somebody who edits meanwhile."""

import asyncio
from collections import Counter
from datetime import datetime
from itertools import takewhile
from typing import Any, cast

from tests.simulation.faults import FlakyStore
from tests.simulation.invariants import check_end
from tests.simulation.world import LEASE_S, TROUBLE_S, World
from windlass import every
from windlass.core.occasion import occasion_of
from windlass.core.schedules import Schedule
from windlass.core.ticks import rule_of, ticks_from
from windlass.engine.client import Client
from windlass.engine.scheduler import Scheduler, SchedulerOptions
from windlass.engine.schedules import ScheduleClient
from windlass.errors import StoreUnavailable
from windlass.model.jobs import JobFilter, JobId, JobRequest
from windlass.model.schedules import CatchUp, Fire, Overlap, ScheduleDraft, Status
from windlass.ports import Store

SWEEP_S, PEACE_S = 10.0, 30.0
TASKS = ("done", "fails", "flaky", "limited")


class SimulatedScheduler:
    """One scheduler process."""

    def __init__(self, scheduler: Scheduler, store: FlakyStore) -> None:
        self.scheduler = scheduler
        self.store = store
        self.task = asyncio.ensure_future(scheduler.run())

    @property
    def is_alive(self) -> bool:
        """Whether it does something."""
        return not self.task.done() and not self.store.killed


class ScheduleWorld(World):
    """Everything that one seed decides about schedules."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._schedulers: list[SimulatedScheduler] = []
        names = [f"s{n}" for n in range(self.chance.randint(1, 5))]
        self._schedules = {name: self._schedule() for name in names}

    async def live(self) -> None:
        """Trouble, then peace, then the reckoning."""
        self._start_process(knows_all=True)
        await self._declare()
        for _ in range(self.chance.randint(1, 3)):
            self._start_scheduler()
        actors = [self._edit(), self._befall_schedulers(), self._befall()]
        await asyncio.gather(*map(asyncio.create_task, actors))
        self.faults.stop()
        self._start_process(knows_all=True)
        self._start_scheduler()
        await asyncio.sleep(PEACE_S)
        self._check_schedules()
        client = self._client()
        for name in self._schedules:
            await client.remove(name)
        jobs = Client(self._make_store(self.loop, data=self.data, amnesty=False))
        await jobs.cancel_all(JobFilter())  # they may wait for each other for long
        await self._until_idle()
        check_end(self.data, self.book)

    # -- schedules -----------------------------------------------------------

    def _schedule(self) -> Schedule:
        chance = self.chance
        return Schedule(
            every(chance.choice([0.4, 1.0, 2.5, 7.0])),
            overlap=chance.choice(list(Overlap)),
            catch_up=chance.choice(list(CatchUp)),
            jitter=chance.choice([0.0, 0.0, 1.5]),
            pause_after=chance.choice([None, None, 3]),
            pause_counts=chance.choice([False, True]),
        )

    def _draft(self, name: str) -> ScheduleDraft:
        seconds = self.chance.choice([0.0, 0.05, 0.2, 1.0])
        call = JobRequest(
            id=JobId("?"),
            task=self.chance.choice(TASKS),
            queue="default",
            payload=b'{"seconds":%g}' % seconds,
        )
        return ScheduleDraft(name=name, rule=self._schedules[name].rule, call=call, origin="sim")

    def _client(self) -> ScheduleClient:
        return ScheduleClient(self._make_store(self.loop, data=self.data, amnesty=False))

    async def _declare(self) -> None:
        for name in self._schedules:
            await self._client().put(self._draft(name))

    async def _edit(self) -> None:
        """Pause, resume, and deploy schedules, by a way that fails too."""
        client = ScheduleClient(cast(Store, self._connect()))
        while self.loop.time() < TROUBLE_S:
            await asyncio.sleep(self.chance.uniform(0.2, 4.0))
            name = self.chance.choice(sorted(self._schedules))
            try:
                match self.chance.choice(["pause", "resume", "resume", "put"]):
                    case "pause":
                        await client.pause(name)
                    case "resume":
                        await client.resume(name)
                    case "put":
                        await client.put(self._draft(name))
            except StoreUnavailable:
                continue

    # -- schedulers ----------------------------------------------------------

    def _start_scheduler(self) -> None:
        store = self._connect()
        scheduler = Scheduler(
            cast(Store, store),
            SchedulerOptions(lease_s=LEASE_S, sweep_s=SWEEP_S),
            leader=f"{self.chance.getrandbits(32):08x}",
            new_job_id=self._new_id,
            knows=self._specs.__contains__,
        )
        self._schedulers.append(SimulatedScheduler(scheduler, store))

    async def _befall_schedulers(self) -> None:
        """Kill and stop schedulers, and start others, until the trouble is over."""
        while self.loop.time() < TROUBLE_S:
            await asyncio.sleep(self.chance.uniform(0.5, 6.0))
            alive = [each for each in self._schedulers if each.is_alive]
            match self.chance.choice(["kill", "stop", "start", "pause"]):
                case "kill" if alive:
                    self.chance.choice(alive).store.kill()
                case "stop" if alive:
                    self.chance.choice(alive).scheduler.stop()
                case "pause":  # all processes of this machine stand still
                    self.loop.jump(self.chance.uniform(0.5, 2.0) * LEASE_S)
                case "start" if len(alive) < 4:
                    self._start_scheduler()

    # -- the reckoning -------------------------------------------------------

    def _check_schedules(self) -> None:
        started: dict[JobId, tuple[str, datetime]] = {}
        for name, row in self.data.schedules.items():
            fires = [fire for fire in self.data.fires.values() if fire.schedule == name]
            self._check_ticks(name, fires)
            assert row.status in (Status.ACTIVE, Status.PAUSED), f"{name} is {row.status}"
            if row.due_at is not None:
                late_s = (self.loop.now() - row.due_at).total_seconds()
                assert late_s < 1.0, f"{name} was due at {row.due_at} (I34)"
            for fire in fires:
                if fire.job_id is not None:
                    assert fire.job_id not in started, f"{fire.job_id} stands for two ticks"
                    started[fire.job_id] = name, fire.fire_at
        for job in self.data.jobs.values():
            occasion = occasion_of(job.headers)
            assert occasion is not None
            tick = started.pop(job.id, None)
            assert tick == (occasion.schedule, occasion.fire_at), f"{job.id} is no tick's (I18)"
        assert not started, f"their jobs are missing: {started} (I18)"

    def _check_ticks(self, name: str, fires: list[Fire]) -> None:
        """Each tick up to the cursor has one outcome, in whatever version (I18)."""
        row = self.data.schedules[name]
        rule, compiled = rule_of(row)
        ticks = takewhile(
            lambda tick: tick.at <= row.cursor_at, ticks_from(rule, compiled, row.anchor_at)
        )
        due = [tick.at for tick in ticks if tick.at > row.anchor_at]
        outcomes: Counter[datetime] = Counter()
        for fire in fires:
            covered = [at for at in due if fire.fire_at <= at <= fire.until]
            assert len(covered) == fire.count, f"{fire} covers {len(covered)} ticks"
            outcomes.update(covered)
        for at in due:
            assert outcomes[at] == 1, f"{name}: {at} has {outcomes[at]} outcomes (I18)"
        assert sum(outcomes.values()) == len(due)
