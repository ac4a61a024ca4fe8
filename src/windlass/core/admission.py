"""Admission: which of the jobs that wait under limits may start now.  Pure.

A store shows what it has, under a lock that lets one claim decide at a time: the lanes with
queued jobs, how many attempts of each cap run, how far each pace is used up.  The admission
says which jobs start.  Caps are counted from running jobs, so they cannot leak.
"""

import heapq
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace as with_

from windlass.model.jobs import Claim, JobId
from windlass.model.limits import Holder, Limits, Pace, PaceState, decode_limits

NO_LIMITS = Limits()

Key = tuple[str, str]  # the name of a limit, and its key
Place = tuple[str, str]  # a queue, and the id of a lane in it
PLAIN: Place = ("", "")  # where all jobs without a lane stand, as if they were one
LANES_LOOK_MAX = 500  # lanes that one claim looks at; the next one looks on behind them
LOOK_ON_US = 5_000
HEADS_MAX = 5_000  # of one lane, looked at by one claim


class Head(msgspec.Struct, frozen=True, gc=False):
    """A job at the head of its lane.  ``due_at_us``: microseconds since 1970."""

    id: JobId
    priority: int
    due_at_us: int


class Line(msgspec.Struct, frozen=True):
    """Heads of one lane in the order in which they would start."""

    place: Place
    limits: Limits
    heads: Sequence[Head]


class Admission:
    """Takes jobs, each under all of its limits, until the room is full.

    room:   how many may start.
    usage:  attempts that run now, by the name and key of each cap.
    paces:  of the paces that stand in the lanes, those which were ever used.
    now_us: microseconds since 1970, by the store's clock.

    Order: higher priority first; of equal priority each lane in turn, so that a lane with many
    jobs does not hold up a lane with few; within a lane as the store gives them.
    """

    def __init__(
        self, room: int, now_us: int, usage: Mapping[Key, int], paces: Iterable[PaceState]
    ) -> None:
        assert room > 0
        self.room = room
        self.taken: list[JobId] = []
        self.batch_of: dict[JobId, JobId] = {}  # the first job of those that run with it
        self.last_place: Place | None = None
        self.wake_in_us: int | None = None
        self._now_us = now_us
        self._usage = dict(usage)
        self._full_at_us = {(pace.name, pace.key): pace.full_at_us for pace in paces}
        self._paced: set[Key] = set()
        self._turns: dict[Place, int] = {}

    def learn(self, paces: Iterable[PaceState]) -> None:
        """Take note of paces that stand in further lanes; what is known already stays."""
        for pace in paces:
            self._full_at_us.setdefault((pace.name, pace.key), pace.full_at_us)

    @property
    def paces(self) -> list[PaceState]:
        """The paces that this admission has used, as they are now."""
        return [PaceState(*key, self._full_at_us[key]) for key in sorted(self._paced)]

    def capacity(self, limits: Limits) -> int:
        """Return how many attempts of a lane could start now; notes when a pace lets one go."""
        free = self.room
        for cap in limits.caps:
            free = min(free, cap.most - self._usage.get((cap.name, cap.key), 0))
        for pace in limits.paces:
            spare_us = self.spare_us(pace)
            free = min(free, spare_us // pace.interval_us)
            if spare_us < pace.interval_us:
                self.look_again_in(pace.interval_us - spare_us)
        return max(0, free)

    def look_again_in(self, delay_us: int) -> None:
        """Note that a later look will find more; the earliest counts."""
        if self.wake_in_us is None or delay_us < self.wake_in_us:
            self.wake_in_us = delay_us

    def take(self, lines: Sequence[Line]) -> None:
        """Take from the heads of these lanes what may start, each lane in turn."""
        turn = {line.place: n for n, line in enumerate(lines)}
        rest = {line.place: self._units(line) for line in lines}
        limits = {line.place: line.limits for line in lines}
        ready: list[tuple[int, int, int, int, Place, tuple[JobId, ...]]] = []

        def show_next(place: Place) -> None:
            unit = next(rest[place], None)
            if unit is not None:
                turns = self._turns.get(place, 0)
                first, ids = unit[0], tuple(head.id for head in unit)
                due = first.due_at_us
                heapq.heappush(ready, (-first.priority, turns, turn[place], due, place, ids))

        for line in lines:
            show_next(line.place)
        while ready and self.room:
            *_, place, ids = heapq.heappop(ready)
            if not self.capacity(limits[place]):
                continue  # its lane is closed: the rest of it is not looked at
            self._use(limits[place])
            self.taken += ids
            if limits[place].together is not None:
                self.batch_of |= dict.fromkeys(ids, ids[0])
            self.room -= 1
            self.last_place = place
            self._turns[place] = self._turns.get(place, 0) + 1
            show_next(place)

    def _units(self, line: Line) -> Iterator[Sequence[Head]]:
        """Yield what one attempt takes: a job, or as many as run together once they are enough."""
        together = line.limits.together
        if together is None:
            yield from ((head,) for head in line.heads)
            return
        for start in range(0, len(line.heads), together.size):
            unit = line.heads[start : start + together.size]
            ends_at_us = min(head.due_at_us for head in unit) + together.wait_us
            if len(unit) == together.size or ends_at_us <= self._now_us:
                yield unit
            else:
                self.look_again_in(ends_at_us - self._now_us)

    def _use(self, limits: Limits) -> None:
        for cap in limits.caps:
            key = (cap.name, cap.key)
            self._usage[key] = self._usage.get(key, 0) + 1
        for pace in limits.paces:
            key = (pace.name, pace.key)
            self._full_at_us[key] = max(self._full_at_us.get(key, 0), self._now_us) + (
                pace.interval_us
            )
            self._paced.add(key)

    def spare_us(self, pace: Pace) -> int:
        """Return how much of the bucket is left, as time."""
        key = (pace.name, pace.key)
        size_us = pace.interval_us * pace.burst
        used_us = max(0, self._full_at_us.get(key, 0) - self._now_us)
        if used_us > size_us:  # the clock jumped back: the bucket is empty, and fills from now
            used_us = size_us
            self._full_at_us[key] = self._now_us + size_us
            self._paced.add(key)
        return size_us - used_us


Wanted = dict[Place, int]  # how many heads of each lane are to be shown
Shown = Mapping[Place, Sequence[Head]]


def fill(
    admission: Admission, lanes: Mapping[Place, Limits], plain: Sequence[Head], after: Place
) -> Generator[Wanted, Shown, None]:
    """Take what may start; asks for the heads of lanes where it yields.

    lanes: with queued jobs, and their limits.   plain: heads of jobs without a lane.
    after: the place that had its turn last, in the claim before.
    """
    free = {place: limits for place, limits in lanes.items() if admission.capacity(limits)}
    if plain:
        free[PLAIN] = NO_LIMITS
    if not free:
        return
    each = math.ceil(admission.room / len(free))
    wanted = {
        place: _heads(limits, min(each, admission.capacity(limits)))
        for place, limits in free.items()
        if place != PLAIN
    }
    shown = dict((yield wanted) if wanted else {})
    order = in_turn(list(free), after)
    admission.take([Line(p, free[p], plain if p == PLAIN else shown.get(p, ())) for p in order])
    # Where all that was shown was taken there may be more, for what room is left.
    taken = set(admission.taken)
    more = {
        place: count + _heads(free[place], admission.room)
        for place, count in wanted.items()
        if len(heads := shown.get(place, ())) == count and taken.issuperset(h.id for h in heads)
    }
    if not more or not admission.room:
        return
    shown = dict((yield more))
    admission.take(
        [
            Line(p, free[p], [head for head in shown.get(p, ()) if head.id not in taken])
            for p in order
            if p in more
        ]
    )


def _heads(limits: Limits, attempts: int) -> int:
    """Return how many heads so many attempts of a lane may take; at least those of one."""
    return limits.size * max(1, min(attempts, HEADS_MAX // limits.size))


def fill_from(
    admission: Admission,
    lanes: Mapping[Place, Limits],
    plain: Sequence[Head],
    after: Place,
    show: Callable[[Wanted], Shown],
) -> None:
    """Run :func:`fill` where the heads can be shown at once."""
    steps = fill(admission, lanes, plain, after)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(show(wanted))
    except StopIteration:
        return


def batched(claims: Iterable[Claim], batch_of: Mapping[JobId, JobId]) -> list[Claim]:
    """Return the claims with the batches to which they belong, each named by its first claim."""
    first: dict[JobId, JobId] = {}
    told = []
    for claim in claims:
        batch = batch_of.get(claim.job_id)
        if batch is not None:
            claim = with_(claim, batch=first.setdefault(batch, claim.job_id))
        told.append(claim)
    return told


def holders_of(
    limits: Limits, running: Iterable[tuple[JobId, str]], paces: Iterable[PaceState], now_us: int
) -> list[Holder]:
    """Say of each limit what it lets through, and who has it now.  Pure."""
    holders: dict[Key, list[JobId]] = {(cap.name, cap.key): [] for cap in limits.caps}
    for job_id, encoded in running:
        for cap in decode_limits(encoded).caps:
            if (cap.name, cap.key) in holders:
                holders[cap.name, cap.key].append(job_id)
    told = [
        Holder(cap.name, cap.key, cap.most, tuple(sorted(holders[cap.name, cap.key])))
        for cap in limits.caps
    ]
    admission = Admission(1, now_us, {}, paces)
    for pace in limits.paces:
        wait_us = max(0, pace.interval_us - admission.spare_us(pace))
        told.append(Holder(pace.name, pace.key, None, wait_s=wait_us / 1e6))
    return told


def in_turn(places: Sequence[Place], after: Place) -> list[Place]:
    """Return the places as a ring that begins behind ``after``.  Pure."""
    ordered = sorted(places)
    return [p for p in ordered if p > after] + [p for p in ordered if p <= after]


def spans(queues: Iterable[str], after: Place) -> list[tuple[str, str, str | None]]:
    """Return where to look for lanes, in turn: queue, the lane before, the last lane or None."""
    queue, lane = after
    known = sorted(set(queues))
    later = [(name, "", None) for name in known if name > queue]
    earlier = [(name, "", None) for name in known if name < queue]
    if queue not in known:
        return [*later, *earlier]
    return [(queue, lane, None), *later, *earlier, (queue, "", lane)]


def usage_of(running: Iterable[tuple[str, int]]) -> dict[Key, int]:
    """Count the attempts of each cap, from the limits of running jobs and how many have them."""
    usage: dict[Key, int] = {}
    for encoded, count in running:
        for cap in decode_limits(encoded).caps:
            key = (cap.name, cap.key)
            usage[key] = usage.get(key, 0) + count
    return usage
