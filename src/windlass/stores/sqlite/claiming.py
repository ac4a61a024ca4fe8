"""The claim, as an operation of one transaction: plain, or through the lanes of limits."""

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from windlass.core.admission import (
    LANES_LOOK_MAX,
    LOOK_ON_US,
    Admission,
    Head,
    Place,
    Shown,
    Wanted,
    batched,
    fill_from,
    spans,
    usage_of,
)
from windlass.core.holds import Candidate, Standing, holding, open_queues, standing_of
from windlass.model.jobs import Claim, State, WorkerId
from windlass.model.limits import Limits, PaceState, decode_limits
from windlass.stores.claims import due_from
from windlass.stores.sqlite import hold_sql, sql
from windlass.stores.sqlite.rows import SECOND_US, claim_from_row
from windlass.stores.sqlite.sweeping import write_event
from windlass.stores.sqlite.writer import Transaction

Row = tuple[Any, ...]


class Claimed(NamedTuple):
    """What a claim got.

    now:        the instant of the claim, by the store's clock.
    place:      the lane that had its turn last.
    wake_in_us: when the next job may start that a pace holds back; None if none does.
    """

    claims: list[Claim]
    now: int
    place: Place
    wake_in_us: int | None


class Claiming:
    """One claim.

    after: the place that had its turn last, in the claim before.
    """

    def __init__(self, worker: WorkerId, queues: Sequence[str], room: int, after: Place) -> None:
        self._worker = worker
        self._queues = list(dict.fromkeys(queues))
        self._room = room
        self._after = after
        self._holds: list[Standing] = []
        self._has_held = False  # whether some have stepped aside: there may be more behind

    def __call__(self, transaction: Transaction) -> Claimed:
        """Move jobs to running."""
        who = {"worker": self._worker, "now": transaction.now}
        if not transaction.execute(sql.HAS_LEASE, who).fetchall():
            return Claimed([], transaction.now, self._after, None)
        holds = transaction.execute(hold_sql.FIND_HOLDS, (transaction.now,)).fetchall()
        self._holds = [standing_of(*row) for row in holds]
        self._queues = open_queues(self._holds, self._queues)
        heads = self._plain_heads(transaction)
        if not any(self._lanes_of(transaction, queue, "") for queue in self._queues):
            wake_in_us = LOOK_ON_US if self._has_held else None
            claims = self._taken(transaction, heads)
            return Claimed(claims, transaction.now, self._after, wake_in_us)
        return self._claim_through_lanes(transaction, heads)

    def _plain_heads(self, transaction: Transaction) -> list[Row]:
        lines = [
            self._heads(transaction, sql.FIND_CLAIMABLE, (queue,), self._room)
            for queue in self._queues
        ]
        rows = lines[0] if len(lines) == 1 else heapq.merge(*lines, key=itemgetter(0, 1, 2))
        return [row for row, _ in zip(rows, range(self._room), strict=False)]

    def _heads(
        self, transaction: Transaction, statement: str, line: tuple[str, ...], count: int
    ) -> list[Row]:
        """Return heads of a line; those which a hold keeps from starting step aside."""
        facts = (*line, transaction.now, count)
        rows: list[Row] = transaction.execute(statement, facts).fetchall()
        if not self._holds:
            return rows
        free = []
        for row in rows:
            hold = holding(self._holds, Candidate(row[2], row[8], row[7], row[9], row[14]))
            if hold is None:
                free.append(row)
                continue
            self._has_held = True
            what = {"id": row[2], "reason": hold.reason, "hold": hold.id}
            transaction.execute(hold_sql.HOLD_JOB, what)
            write_event(transaction, row[2], State.QUEUED, None)
        return free

    def _taken(self, transaction: Transaction, rows: Sequence[Row]) -> list[Claim]:
        seqs = msgspec.json.encode([row[3] for row in rows]).decode()
        transaction.execute(sql.CLAIM_JOBS, (self._worker, transaction.now, seqs))
        now = transaction.now
        return [
            due_from(claim_from_row((row[2], *row[4:-1])), (row[1] - now) / SECOND_US)
            for row in rows
        ]

    # -- through lanes -------------------------------------------------------

    def _claim_through_lanes(self, transaction: Transaction, plain: Sequence[Row]) -> Claimed:
        running = transaction.execute(sql.COUNT_IN_LANES).fetchall()
        admission = Admission(self._room, transaction.now, usage_of(running), ())
        rows = {row[2]: row for row in plain}

        def show(wanted: Wanted) -> Shown:
            shown = {}
            for place, count in wanted.items():
                found = self._heads(transaction, sql.FIND_CLAIMABLE_OF_LANE, place, count)
                rows.update((row[2], row) for row in found)
                shown[place] = [_head(row) for row in found]
            return shown

        lanes = self._look(transaction, admission)
        fill_from(admission, lanes, [_head(row) for row in plain], self._after, show)
        if self._has_held:
            admission.look_again_in(LOOK_ON_US)
        claims = self._taken(transaction, [rows[job_id] for job_id in admission.taken])
        if admission.batch_of:
            claims = batched(claims, admission.batch_of)
        for pace in admission.paces:
            transaction.execute(sql.KEEP_PACE, (pace.name, pace.key, pace.full_at_us))
        place = admission.last_place or self._after
        return Claimed(claims, transaction.now, place, admission.wake_in_us)

    def _look(self, transaction: Transaction, admission: Admission) -> Mapping[Place, Limits]:
        """Return lanes with room, behind the one that had its turn last; as many as are needed."""
        lanes: dict[Place, Limits] = {}
        looked = 0
        for queue, lower, last in spans(self._queues, self._after):
            for lane, encoded in self._lanes_between(transaction, queue, lower, last):
                if len(lanes) >= self._room:
                    return lanes
                if looked >= LANES_LOOK_MAX:
                    self._after = (queue, lower)
                    admission.look_again_in(LOOK_ON_US)
                    return lanes
                looked += 1
                lower = lane
                limits = decode_limits(encoded)
                admission.learn(paces_of(transaction.execute, limits))
                if admission.capacity(limits):
                    lanes[queue, lane] = limits
        return lanes

    def _lanes_between(
        self, transaction: Transaction, queue: str, lower: str, last: str | None
    ) -> Iterator[tuple[str, str]]:
        while found := self._lanes_of(transaction, queue, lower):
            [(lower, encoded)] = found
            if last is not None and lower > last:
                return
            yield lower, encoded

    def _lanes_of(self, transaction: Transaction, queue: str, lower: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = transaction.execute(sql.FIND_LANE, (queue, lower)).fetchall()
        return found


def paces_of(execute: Callable[..., Any], limits: Limits) -> list[PaceState]:
    """Return those of the paces that were ever used."""
    return [
        PaceState(*row)
        for pace in limits.paces
        for row in execute(sql.FIND_PACE, (pace.name, pace.key)).fetchall()
    ]


def _head(row: Row) -> Head:
    return Head(row[2], -row[0], row[1])
