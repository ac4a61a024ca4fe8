"""What a drain has done: how many messages it took, and which it left, each with the reason."""

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from windlass.contrib.celery.brokers import Delivery

log = logging.getLogger("windlass.celery.drain")

TOLD_MAX = 100_000  # messages of which it is remembered that they were told


@dataclass(frozen=True, slots=True)
class Left:
    """A message that stays in its Celery queue.   id, task: None where they cannot be read."""

    queue: str
    id: str | None
    task: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class DrainReport:
    """What became of the messages.

    taken:      became jobs; those are durable, and the messages are gone from the broker.
    limitless:  of these, how many had a time limit of their own, which no job has.
    left:       stand in their Celery queues, as of the last look.
    reserved:   messages that others, dead or alive, have reserved in all queues of the broker;
                None where that is not known: before the first look, and on RabbitMQ always.
    """

    taken: int = 0
    limitless: int = 0
    left: tuple[Left, ...] = ()
    reserved: int | None = None

    def lines(self) -> Iterator[str]:
        """Yield the report as lines of text."""
        yield f"taken: {self.taken:,}"
        if self.limitless:
            yield f"  {self.limitless:,} of them had a time limit of their own, which is dropped"
        yield f"left: {len(self.left):,}"
        groups: dict[tuple[str, str | None, str], list[Left]] = {}
        for each in self.left:
            groups.setdefault((each.queue, each.task, each.reason), []).append(each)
        for (queue, task, reason), members in groups.items():
            sample = f"{members[0].id}" if len(members) == 1 else f"{members[0].id}, …"
            yield f"  {len(members):,} in {queue!r}, task {task}: {reason} ({sample})"
        if self.reserved:
            yield f"reserved by Celery workers, running or killed: {self.reserved:,}"


class Ledger:
    """Counts for the report, and tells each message that is left once."""

    def __init__(self) -> None:
        self._taken = self._limitless = 0
        self._told: dict[str, None] = {}
        self._limits_told: set[str] = set()
        self.left: Collection[Left] = ()
        self.reserved: int | None = None

    def report(self) -> DrainReport:
        """Return the counts as they stand."""
        return DrainReport(self._taken, self._limitless, tuple(self.left), self.reserved)

    def take(self, limitless: Counter[str], count: int) -> None:
        """Count messages that became jobs.   limitless: with a time limit, by task."""
        self._taken += count
        self._limitless += limitless.total()
        for task in limitless.keys() - self._limits_told:
            self._limits_told.add(task)
            log.warning("time limits in messages of %s are dropped: its task's own holds", task)

    def leave(self, delivery: Delivery, reason: str) -> Left:
        """Tell that a message is left, unless that was told."""
        task_id, task = delivery.headers.get("id"), delivery.headers.get("task")
        left = Left(delivery.queue, _text(task_id), _text(task), reason)
        if delivery.known_by not in self._told:
            log.warning("left in %r: %s of task %s: %s", left.queue, left.id, left.task, reason)
            self._told[delivery.known_by] = None
            if len(self._told) > TOLD_MAX:
                del self._told[next(iter(self._told))]
        return left


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
