"""Job ids: UUIDs of version 7, so that ids made later sort later.  Source: RFC 9562."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from windlass.model.jobs import JobId

_RAND_B_BITS = 62
_RAND_BITS = 12 + _RAND_B_BITS
_RAND_B_MASK = (1 << _RAND_B_BITS) - 1
_NODE_MASK = (1 << 48) - 1


def job_id_from(milliseconds: int, random_74_bits: int) -> JobId:
    """Lay out a UUIDv7 from its time and its 74 free bits.  Pure."""
    return _with_tail(_head(milliseconds), random_74_bits)


def _head(milliseconds: int) -> str:
    text = f"{milliseconds:012x}"
    return f"{text[:8]}-{text[8:]}-7"


def _with_tail(head: str, tail: int) -> JobId:
    rand_b = tail & _RAND_B_MASK
    return JobId(
        f"{head}{tail >> _RAND_B_BITS:03x}-{0x8000 | rand_b >> 48:04x}-{rand_b & _NODE_MASK:012x}"
    )


def created_at(job_id: JobId) -> datetime:
    """Return the millisecond in which the id was made."""
    return datetime.fromtimestamp(int(job_id[:8] + job_id[9:13], 16) / 1000, UTC)


class JobIds:
    """Makes ids that grow strictly, even within one millisecond or if the clock steps back.

    Threads may share one.  Processes may not: after a fork the child needs its own.
    """

    def __init__(self, milliseconds: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        self._milliseconds = milliseconds
        self._random_bits = random_bits
        self._last_ms = -1
        self._head = ""
        self._tail = 0
        self._lock = threading.Lock()

    def __call__(self) -> JobId:
        """Return a new id."""
        with self._lock:
            now_ms = self._milliseconds()
            if now_ms > self._last_ms:
                self._last_ms = now_ms
                self._head = _head(now_ms)
                # The top bit stays free, so that counting on never overflows the field.
                self._tail = self._random_bits(_RAND_BITS - 1)
            else:
                self._tail += 1
            head, tail = self._head, self._tail
        return _with_tail(head, tail)
