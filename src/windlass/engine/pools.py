"""Pools: how much may be claimed of which queue, where threads or processes are few."""

from collections.abc import Iterable, Mapping, Sequence

from windlass.core.tasks import Isolation, TaskSpec

STOCK = 2  # jobs held for each place of a pool: one that runs, one that waits


class Pools:
    """Keeps the jobs that wait in a worker for a thread or a process from filling its slots.

    A pool is narrow if it has fewer places than the worker has slots.  A queue whose tasks run
    in a narrow pool is claimed from apart, and only for as many jobs as the pool may hold; the
    jobs of the other queues do not notice.  Which queue leads to which pool is known from the
    tasks, and learnt from jobs that were sent elsewhere.

    places: of each pool; None where there are as many as slots.
    Falsy where no pool is narrow.
    """

    def __init__(
        self,
        specs: Iterable[TaskSpec],
        slots: int,
        places: Mapping[Isolation, int | None],
    ) -> None:
        self._places = {pool: n for pool, n in places.items() if n is not None and n < slots}
        self._held = dict.fromkeys(self._places, 0)
        self._pools_of: dict[str, set[Isolation]] = {}
        self._turns = 0
        for spec in specs:
            self._learn(spec.queue, spec.isolation)

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def are_narrow(self) -> bool:
        """Whether any is narrower than the worker; else nothing has to be counted."""
        return bool(self._places)

    def enter(self, queue: str, isolation: Isolation) -> None:
        """Count a job that runs in a pool, or waits for it."""
        if isolation in self._places:
            self._held[isolation] += 1
            self._learn(queue, isolation)

    def leave(self, isolation: Isolation) -> bool:
        """Take a job out of the count; tell whether it was in a narrow pool."""
        if isolation not in self._places:
            return False
        self._held[isolation] -= 1
        return True

    def room(self, queues: Sequence[str]) -> list[tuple[Sequence[str], int | None]]:
        """Return which queues may be claimed from together, and for how many jobs.

        None is no limit; a queue without room is left out.  Each group goes first in turn.
        """
        if not self._places:
            return [(queues, None)]
        groups: dict[frozenset[Isolation], list[str]] = {}
        for queue in queues:
            groups.setdefault(frozenset(self._pools_of.get(queue, ())), []).append(queue)
        rooms = [(names, self._room_of(pools)) for pools, names in groups.items()]
        self._turns = (self._turns + 1) % len(rooms)
        rooms = rooms[self._turns :] + rooms[: self._turns]
        return [(names, room) for names, room in rooms if room is None or room > 0]

    def _room_of(self, pools: frozenset[Isolation]) -> int | None:
        if not pools:
            return None
        return min(STOCK * self._places[pool] - self._held[pool] for pool in pools)

    def _learn(self, queue: str, isolation: Isolation) -> None:
        if isolation in self._places:
            self._pools_of.setdefault(queue, set()).add(isolation)
