"""Schedulers of which the leader is killed and paused again and again, and the reckoning.

``python -m tests.e2e.campaign --store postgres --kills 50 --stops 30`` is the long form of
what ``test_schedulers.py`` does in small.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import takewhile
from pathlib import Path

import msgspec
import psycopg

from tests.e2e.fleet import Fleet, eventually
from tests.e2e.scheduler_app import SCHEDULES
from tests.servers import PgBouncer, PostgresServer
from windlass import App, Job, JobFilter, State
from windlass.core.occasion import occasion_of
from windlass.core.ticks import rule_of, ticks_from
from windlass.model.jobs import JobId
from windlass.model.schedules import Fire, ScheduleRow

TARGET = "tests.e2e.scheduler_app:app"
SCHEDULERS = 3
LEASE_S = 5.0  # the default
TAKEN_WITHIN_S = 60.0
PAGE = 1_000
ACTIVITY = """
SELECT pid, state, wait_event, now() - state_change, now() - xact_start, left(query, 99)
FROM pg_stat_activity WHERE datname = current_database()
"""
Process = subprocess.Popen[bytes]
Tick = tuple[str, datetime]


@dataclass(frozen=True, slots=True)
class Place:
    """A store: how the fleet reaches it, and how its watcher does.

    stopped_writer_blocks: while a writer is stopped inside its transaction, nobody else writes.
    """

    url: str
    watch_url: str
    stopped_writer_blocks: bool = False

    def activity(self) -> str:
        """Return what each connection to the server does, for a failing campaign's message."""
        if not self.watch_url.startswith("postgresql:"):
            return ""
        with psycopg.connect(self.watch_url) as connection:
            return "\n".join(map(str, connection.execute(ACTIVITY).fetchall()))


@dataclass(slots=True)
class Report:
    """What a campaign has seen."""

    terms: int = 0
    kill_gaps_s: list[float] = field(default_factory=list)
    stop_gaps_s: list[float] = field(default_factory=list)
    seconds: float = 0.0
    ticks: int = 0
    started: int = 0
    skipped: int = 0
    spans: int = 0
    jobs: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def worst(gaps: list[float]) -> str:
            return f"{len(gaps)} (taken over in {max(gaps, default=0.0):.2f} s at most)"

        return (
            f"kills: {worst(self.kill_gaps_s)}, stops: {worst(self.stop_gaps_s)}, "
            f"terms: {self.terms}, {self.seconds:.0f} s; "
            f"{self.ticks:,} ticks: {self.started:,} started, {self.skipped:,} skipped "
            f"in {self.spans:,} rows; {self.jobs:,} jobs; faults: {len(self.faults)}"
        )


class Campaign:
    """Three schedulers and a worker; the leader is attacked."""

    def __init__(self, place: Place, folder: Path, *, lease_s: float, seed: int = 1) -> None:
        self._place = place
        self._lease_s = lease_s
        self._chance = random.Random(seed)
        self._app = App(place.watch_url)
        self._fleet = Fleet(
            place.url,
            folder,
            WINDLASS_SCHEDULER_LEASE_S=f"{lease_s:g}",
            WINDLASS_LOG_LEVEL="info",
        )
        self.report = Report()

    def run(self, kills: int, stops: int, tell: Callable[[str], object] = lambda _: None) -> Report:
        """Attack so often, then stop all in order, and reckon.  Raises: AssertionError."""
        self._app.migrate()
        attacks = [self._kill] * kills + [self._pause] * stops
        self._chance.shuffle(attacks)
        begin = time.monotonic()
        with self._fleet:
            try:
                worker = self._fleet.start("--concurrency", "16", target=TARGET)
                for _ in range(SCHEDULERS):
                    self._start()
                for number, attack in enumerate(attacks, start=1):
                    leader = self._leader_that_fires()
                    time.sleep(self._chance.uniform(0.0, 1.3))
                    attack(leader)
                    tell(f"{number} of {len(attacks)}: {self.report}")
                self._leader_that_fires()
                time.sleep(2.0)
                codes = [self._fleet.stop(each) for each in self._schedulers()]
                assert codes == [0] * SCHEDULERS, self._fleet.logs()
                assert eventually(self._is_idle, within_s=60, every_s=0.25), self._fleet.logs()
                assert self._fleet.stop(worker) == 0
            finally:
                self.report.seconds = time.monotonic() - begin
            self._reckon()
        self._app.close()
        return self.report

    # -- attacks -------------------------------------------------------------

    def _kill(self, leader: int) -> None:
        since = time.monotonic()
        self._fleet.kill(self._fleet.workers[leader])
        self._start()
        self.report.kill_gaps_s.append(self._taken_over(leader, since))

    def _pause(self, leader: int) -> None:
        process = self._fleet.workers[leader]
        since = time.monotonic()
        process.send_signal(signal.SIGSTOP)
        try:
            if not self._place.stopped_writer_blocks:
                self.report.stop_gaps_s.append(self._taken_over(leader, since))
            left_s = self._lease_s * self._chance.uniform(1.1, 1.6) - (time.monotonic() - since)
            time.sleep(max(0.0, left_s))
        finally:
            process.send_signal(signal.SIGCONT)
        if self._place.stopped_writer_blocks:
            self.report.stop_gaps_s.append(self._taken_over(leader, since))

    def _taken_over(self, leader: int, since: float) -> float:
        """Wait until another leads; return how long that took."""

        def led_by_another() -> bool:
            found = self._leader()
            return found is not None and found != leader

        taken = eventually(led_by_another, within_s=TAKEN_WITHIN_S, every_s=0.02)
        assert taken, f"nobody took over\n{self._place.activity()}\n{self._fleet.logs()}"
        return time.monotonic() - since

    # -- who leads -----------------------------------------------------------

    def _start(self) -> Process:
        return self._fleet.start(target=TARGET, command="scheduler")

    def _schedulers(self) -> list[Process]:
        return [each for each in self._fleet.workers[1:] if each.poll() is None]

    def _leader(self) -> int | None:
        """Return the number of the process that leads under a lease; None if none does."""
        leads = self._app.schedules.leader()
        if leads is None or leads.left_s <= 0:
            return None
        self.report.terms = leads.term
        for number in range(len(self._fleet.workers) - 1, 0, -1):
            if f"scheduler {leads.leader} leads in" in self._fleet.log_of(number).read_text():
                return number
        return None

    def _leader_that_fires(self) -> int:
        """Wait until the leader has brought each schedule to now."""
        found: list[int] = []

        def fires() -> bool:
            leader = self._leader()
            if leader is None:
                return False
            found[:] = [leader]
            rows = self._app.schedules.page(limit=SCHEDULES)
            due = [row.due_at for row in rows if row.due_at is not None]
            return len(due) == SCHEDULES and min(due).timestamp() > time.time() - 0.5

        assert eventually(fires, within_s=TAKEN_WITHIN_S), f"nobody fires\n{self._fleet.logs()}"
        return found[0]

    def _is_idle(self) -> bool:
        return self._app.blocking(lambda client: client.idle())

    # -- the reckoning -------------------------------------------------------

    def _reckon(self) -> None:
        rows = self._app.schedules.page(limit=SCHEDULES)
        assert len(rows) == SCHEDULES
        started: dict[Tick, JobId] = {}
        for row in rows:
            fires = list(self._fires_of(row.name))
            self.report.faults += faults_of(row, fires)
            self.report.ticks += sum(fire.count for fire in fires)
            self.report.spans += sum(1 for fire in fires if fire.job_id is None)
            self.report.skipped += sum(fire.count for fire in fires if fire.job_id is None)
            started |= {(f.schedule, f.fire_at): f.job_id for f in fires if f.job_id is not None}
        self.report.started = len(started)
        jobs = list(self._jobs())
        self.report.jobs = len(jobs)
        self.report.faults += faults_of_jobs(started, jobs)
        assert not self.report.faults, "\n".join([str(self.report), *self.report.faults[:20]])

    def _fires_of(self, name: str) -> Iterator[Fire]:
        before: datetime | None = None
        while page := self._app.schedules.fires(name, limit=PAGE, before=before):
            yield from page
            before = page[-1].fire_at

    def _jobs(self) -> Iterator[Job]:
        where, before = JobFilter(task="tick"), None
        while page := self._app.blocking(
            partial(lambda before, client: client.jobs(where, limit=PAGE, before=before), before)
        ):
            yield from page
            before = page[-1].id


def faults_of(row: ScheduleRow, fires: list[Fire]) -> list[str]:
    """Compare the outcomes of a schedule with the ticks of its trigger (I18)."""
    rule, compiled = rule_of(row)
    ticks = [
        tick.at
        for tick in takewhile(
            lambda tick: tick.at <= row.cursor_at, ticks_from(rule, compiled, row.created_at)
        )
        if tick.at > row.created_at
    ]
    outcomes: Counter[datetime] = Counter()
    faults = []
    for fire in fires:
        covered = ticks[bisect_left(ticks, fire.fire_at) : bisect_right(ticks, fire.until)]
        outcomes.update(covered)
        if len(covered) != fire.count or (fire.job_id is not None and fire.count != 1):
            faults.append(f"{row.name}: {fire} covers {len(covered)} ticks")
    faults += [f"{row.name}: {at} has {outcomes[at]} outcomes" for at in ticks if outcomes[at] != 1]
    # The trigger itself is not trusted alone: a tick for each second that has passed.
    seconds = int(row.cursor_at.timestamp()) - int(row.created_at.timestamp())
    if abs(len(ticks) - seconds) > 1:
        faults.append(f"{row.name}: {len(ticks)} ticks in {seconds} s")
    if row.version != 1:
        faults.append(f"{row.name}: has version {row.version}")
    return faults


def faults_of_jobs(started: dict[Tick, JobId], jobs: list[Job]) -> list[str]:
    """Compare the jobs that there are with the ticks that say they started one."""
    faults = []
    owed = dict(started)
    for job in jobs:
        occasion = occasion_of(job.headers)
        assert occasion is not None
        tick = (occasion.schedule, occasion.fire_at)
        if owed.pop(tick, None) != job.id:
            faults.append(f"{tick}: job {job.id} is not the one that it started")
        said = None if job.result is None else msgspec.json.decode(job.result)
        if job.state is not State.SUCCEEDED or said != f"{tick[0]} {tick[1].isoformat()}":
            faults.append(f"{tick}: job {job.id} is {job.state} and said {said!r}")
    return faults + [f"{tick}: its job {job_id} does not exist" for tick, job_id in owed.items()]


@contextmanager
def placed(store: str, folder: Path) -> Iterator[Place]:
    """Make an empty store of a kind, with its servers."""
    if store == "sqlite":
        url = f"sqlite:///{folder}/schedules.db"
        yield Place(url, url, stopped_writer_blocks=True)
        return
    with PostgresServer() as server:
        url = server.create_database("schedules")
        if store == "postgres":
            yield Place(url, url)
            return
        bouncer = PgBouncer(server)
        try:
            yield Place(bouncer.url("schedules"), url)
        finally:
            bouncer.close()


def main() -> int:
    """Run a long campaign, and print what it has seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.campaign", description=__doc__)
    parser.add_argument("--store", choices=["postgres", "pooled", "sqlite"], default="postgres")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=30)
    parser.add_argument("--lease", type=float, default=LEASE_S, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, placed(asked.store, Path(name)) as place:
        campaign = Campaign(place, Path(name), lease_s=asked.lease, seed=asked.seed)
        report = campaign.run(asked.kills, asked.stops, partial(print, flush=True))
    print(f"{asked.store}: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
