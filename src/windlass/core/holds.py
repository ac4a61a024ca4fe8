"""Which jobs a hold keeps from starting.  Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from windlass.core.serializers import decode_plain
from windlass.errors import WindlassError
from windlass.model.holds import HoldId
from windlass.model.jobs import JobId, Reason
from windlass.model.limits import decode_limits

_MISSING = object()


class Standing(NamedTuple):
    """A hold that is in force, as a claim looks at it."""

    id: HoldId
    reason: Reason
    queue: str | None
    task: str | None
    key: str | None
    arguments: Mapping[str, Any] | None

    @property
    def is_whole_queue(self) -> bool:
        """Whether it holds a queue as such."""
        narrowed = (self.task, self.key, self.arguments)
        return self.queue is not None and all(field is None for field in narrowed)


def standing_of(
    hold_id: HoldId,
    reason: str,
    queue: str | None,
    task: str | None,
    key: str | None,
    arguments: str | None,
) -> Standing:
    """Return a hold of the columns in which a store keeps it."""
    wanted = None if arguments is None else msgspec.json.decode(arguments)
    return Standing(hold_id, Reason(reason), queue, task, key, wanted)


class Candidate(NamedTuple):
    """A queued job that a claim would take."""

    id: JobId
    queue: str
    task: str
    payload: bytes
    limits: str | None


def holding(holds: Sequence[Standing], job: Candidate) -> Standing | None:
    """Return the first hold that keeps a job from starting."""
    return next((hold for hold in holds if _fits(hold, job)), None)


def open_queues(holds: Sequence[Standing], queues: Sequence[str]) -> list[str]:
    """Return the queues which are not held as a whole, each once."""
    closed = {hold.queue for hold in holds if hold.is_whole_queue}
    return [queue for queue in dict.fromkeys(queues) if queue not in closed]


def _fits(hold: Standing, job: Candidate) -> bool:
    return (
        (hold.queue is None or hold.queue == job.queue)
        and (hold.task is None or hold.task == job.task)
        and (hold.key is None or hold.key in _keys(job.limits))
        and (hold.arguments is None or _has(job.payload, hold.arguments))
    )


def _keys(encoded: str | None) -> set[str]:
    if encoded is None:
        return set()
    limits = decode_limits(encoded)
    keys = {cap.key for cap in limits.caps} | {pace.key for pace in limits.paces}
    return keys.union(limits.shares)


def _has(payload: bytes, wanted: Mapping[str, Any]) -> bool:
    try:
        arguments = decode_plain(payload)
    except (ValueError, msgspec.DecodeError, WindlassError):  # it will fail when it runs
        return False
    return all(_at(arguments, path) == value for path, value in wanted.items())


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value.get(step, _MISSING) if isinstance(value, Mapping) else _MISSING
    return value
