"""The claim: plain in one statement, or through limits and holds under one lock."""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from windlass.core.admission import (
    LANES_LOOK_MAX,
    LOOK_ON_US,
    Admission,
    Head,
    Place,
    Shown,
    Wanted,
    batched,
    fill,
    spans,
    usage_of,
)
from windlass.core.holds import Candidate, Standing, holding, open_queues, standing_of
from windlass.model.jobs import Claim, JobId, State, WorkerId
from windlass.model.limits import Limits, PaceState, decode_limits
from windlass.stores.claims import due_after
from windlass.stores.postgres import hold_sql, sql
from windlass.stores.postgres.connection import Connection
from windlass.stores.postgres.events import write_events
from windlass.stores.postgres.rows import Row

LANES_PAGE_LEAST = 16


class Claimed(NamedTuple):
    """What a claim got.

    is_gated:   whether the next claim must look at limits or holds.
    place:      the lane that had its turn last.
    wake_in_us: when the next job may start that a pace holds back; None if none does.
    """

    claims: list[Claim]
    is_gated: bool
    place: Place
    wake_in_us: int | None = None


class Claiming:
    """One claim, in a transaction of its own.

    after: the place that had its turn last, in the claim before.
    """

    def __init__(self, worker: WorkerId, queues: Sequence[str], room: int, after: Place) -> None:
        self._worker = worker
        self._queues = list(dict.fromkeys(queues))
        self._room = room
        self._after = after

    async def plain(self, connection: Connection) -> Claimed:
        """Claim jobs without a lane."""
        single = len(self._queues) == 1
        statement = sql.CLAIM_JOBS if single else sql.CLAIM_JOBS_OF_QUEUES
        line = self._queues[0] if single else self._queues
        await connection.execute(sql.BEGIN_CLAIM)
        rows = await connection.fetch(statement, self._worker, line, self._room)
        answered_at = time.monotonic()
        if rows:
            is_gated = rows[0][-1]
        else:
            is_gated = await connection.fetchval(sql.IS_GATED, self._queues)
        await connection.execute("COMMIT")
        rows.sort(key=_claim_order)  # what an UPDATE returns has no order
        claims = [Claim(*row[2:-1]) for row in map(tuple, rows)]
        return Claimed(due_after(claims, time.monotonic() - answered_at), is_gated, self._after)

    async def gated(self, connection: Connection) -> Claimed:
        """Claim jobs as limits and holds allow, those without a lane among them."""
        await connection.execute(sql.BEGIN_GATED_CLAIM)
        holds = [standing_of(*row) for row in await connection.fetch(hold_sql.FIND_HOLDS)]
        aside = Aside(holds)
        queues = open_queues(holds, self._queues)
        now_us = await connection.fetchval(sql.NOW_US)
        running = await connection.fetch(sql.COUNT_IN_LANES)
        admission = Admission(self._room, now_us, usage_of(map(tuple, running)), ())
        has_lanes, lanes = await self._look(connection, admission, queues)
        facts = queues, self._room, aside.needs_payloads
        found = aside.without(await connection.fetch(sql.FIND_CLAIMABLE, *facts))
        plain = sorted((head for _, head in found), key=_head_order)
        steps = fill(admission, lanes, plain, self._after)
        try:
            wanted = next(steps)
            while True:
                wanted = steps.send(await _shown(connection, wanted, aside))
        except StopIteration:
            claims = await self._taken(connection, admission)
            answered_at = time.monotonic()
        if aside.jobs:
            await _set_aside(connection, aside)
            admission.look_again_in(LOOK_ON_US)  # there may be more behind them
        await connection.execute("COMMIT")
        place = admission.last_place or self._after
        claims = due_after(claims, time.monotonic() - answered_at)
        is_gated = has_lanes or not all(hold.is_whole_queue for hold in holds)
        return Claimed(claims, is_gated, place, admission.wake_in_us)

    async def _taken(self, connection: Connection, admission: Admission) -> list[Claim]:
        rows: list[Row] = []
        if admission.taken:
            rows = await connection.fetch(sql.CLAIM_ADMITTED, self._worker, admission.taken)
        if admission.paces and (rows or not admission.taken):
            names, keys, full = zip(
                *((pace.name, pace.key, pace.full_at_us) for pace in admission.paces), strict=True
            )
            await connection.execute(sql.KEEP_PACES, names, keys, full)
        claims = {row[0]: Claim(*row) for row in map(tuple, rows)}
        taken = [claims[job_id] for job_id in admission.taken if job_id in claims]
        return batched(taken, admission.batch_of) if admission.batch_of else taken

    async def _look(
        self, connection: Connection, admission: Admission, queues: Sequence[str]
    ) -> tuple[bool, dict[Place, Limits]]:
        """Return lanes with room, behind the one that had its turn last; as many as are needed."""
        lanes: dict[Place, Limits] = {}
        looked = 0
        page = self._room + LANES_PAGE_LEAST  # some of them will be closed
        for queue, lower, last in spans(queues, self._after):
            while True:
                rows = await connection.fetch(sql.FIND_LANES, queue, lower, last, page)
                found = {(queue, lane): decode_limits(encoded) for lane, encoded in rows}
                admission.learn(await paces_of(connection, found.values()))
                lanes |= {place: its for place, its in found.items() if admission.capacity(its)}
                looked += len(rows)
                if len(rows) < page:
                    break  # there are no more in this span
                if len(lanes) >= self._room:
                    return True, lanes
                lower = rows[-1][0]
                if looked >= LANES_LOOK_MAX:
                    self._after = queue, lower
                    admission.look_again_in(LOOK_ON_US)
                    return True, lanes
        return looked > 0, lanes


async def paces_of(connection: Connection, limits: Iterable[Limits]) -> list[PaceState]:
    """Return those of the paces that were ever used."""
    wanted = sorted({(pace.name, pace.key) for one in limits for pace in one.paces})
    if not wanted:
        return []
    names, keys = zip(*wanted, strict=True)
    return [PaceState(*row) for row in await connection.fetch(sql.FIND_PACES, names, keys)]


class Aside:
    """Sorts out of the heads of lines what a hold keeps from starting."""

    def __init__(self, holds: Sequence[Standing]) -> None:
        self._holds = holds
        self.jobs: dict[JobId, Standing] = {}
        self.needs_payloads = any(hold.arguments is not None for hold in holds)

    def without(self, rows: Iterable[Row]) -> list[tuple[Place, Head]]:
        """Return the heads which nothing holds, with their places."""
        free = []
        for job_id, priority, due_at_us, queue, lane, task, payload, limits in rows:
            candidate = Candidate(job_id, queue, task, payload or b"", limits)
            hold = holding(self._holds, candidate)
            if hold is None:
                free.append(((queue, lane), Head(job_id, priority, due_at_us)))
            else:
                self.jobs[job_id] = hold
        return free


async def _set_aside(connection: Connection, aside: Aside) -> None:
    ids, holds = sorted(aside.jobs), [aside.jobs[job_id] for job_id in sorted(aside.jobs)]
    columns = ids, [hold.reason for hold in holds], [hold.id for hold in holds]
    rows = await connection.fetch(hold_sql.SET_ASIDE, *columns)
    await write_events(connection, [(job_id, State.QUEUED, None) for (job_id,) in rows])


async def _shown(connection: Connection, wanted: Wanted, aside: Aside) -> Shown:
    queues, lanes, counts = zip(*((*place, n) for place, n in wanted.items()), strict=True)
    facts = queues, lanes, counts, aside.needs_payloads
    shown: dict[Place, list[Head]] = {}
    for place, head in aside.without(await connection.fetch(sql.FIND_CLAIMABLE_OF_LANES, *facts)):
        shown.setdefault(place, []).append(head)
    return {place: sorted(heads, key=_head_order) for place, heads in shown.items()}


def _head_order(head: Head) -> tuple[int, int, JobId]:
    return -head.priority, head.due_at_us, head.id


def _claim_order(row: Row) -> tuple[int, object, str]:
    return -row[0], row[1], row[2]
