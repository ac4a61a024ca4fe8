"""Job ids: UUIDs of version 7, so that ids made later sort later.  Source: RFC 9562."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from windlass.model.jobs import JobId

_RAND_BITS = 74  # of which 12 stand in the third group, 14 in the fourth, 48 in the last
_LAST_BITS = 48
_LAST_MASK = (1 << _LAST_BITS) - 1
_FOURTH_MASK = (1 << 14) - 1


def job_id_from(milliseconds: int, random_74_bits: int) -> JobId:
    """Lay out a UUIDv7 from its time and its 74 free bits.  Pure."""
    head = _head(milliseconds, random_74_bits >> _LAST_BITS)
    return JobId(f"{head}{random_74_bits & _LAST_MASK:012x}")


def _head(milliseconds: int, random_26_bits: int) -> str:
    """Return all of an id but its last group."""
    time = f"{milliseconds:012x}"
    third, fourth = random_26_bits >> 14, 0x8000 | random_26_bits & _FOURTH_MASK
    return f"{time[:8]}-{time[8:]}-7{third:03x}-{fourth:04x}-"


def created_at(job_id: JobId) -> datetime:
    """Return the millisecond in which the id was made."""
    return datetime.fromtimestamp(int(job_id[:8] + job_id[9:13], 16) / 1000, UTC)


class JobIds:
    """Makes ids that grow strictly, even within one millisecond or if the clock steps back.

    Threads may share one.  Processes may not: after a fork the child needs its own.
    """

    def __init__(self, nanoseconds: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        self._nanoseconds = nanoseconds
        self._random_bits = random_bits
        self._head_ms = -1
        self._head = ""
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> JobId:
        """Return a new id."""
        with self._lock:
            now_ms = self._nanoseconds() // 1_000_000
            if now_ms > self._head_ms:
                self._head_ms = now_ms
                # The top bit of the last group stays free: counting on never overflows it.
                bits = self._random_bits(_RAND_BITS - 1)
                self._head = _head(now_ms, bits >> _LAST_BITS - 1)
                self._last = bits & _LAST_MASK >> 1
            else:
                self._last += 1
            head, last = self._head, self._last
        return JobId(f"{head}{last:012x}")
