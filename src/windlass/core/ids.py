"""Job ids: UUIDs of version 7, so that ids made later sort later.  Source: RFC 9562."""

from collections.abc import Callable
from datetime import UTC, datetime

from windlass.model.jobs import JobId

_RAND_A_BITS, _RAND_B_BITS = 12, 62
_RAND_BITS = _RAND_A_BITS + _RAND_B_BITS


def job_id_from(milliseconds: int, random_74_bits: int) -> JobId:
    """Lay out a UUIDv7 from its time and its 74 free bits.  Pure."""
    rand_a = random_74_bits >> _RAND_B_BITS
    rand_b = random_74_bits & ((1 << _RAND_B_BITS) - 1)
    number = (milliseconds << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b
    text = f"{number:032x}"
    return JobId(f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def created_at(job_id: JobId) -> datetime:
    """Return the millisecond in which the id was made."""
    return datetime.fromtimestamp(int(job_id[:8] + job_id[9:13], 16) / 1000, UTC)


class JobIds:
    """Makes ids that grow strictly, even within one millisecond or if the clock steps back."""

    def __init__(self, milliseconds: Callable[[], int], random_bits: Callable[[int], int]) -> None:
        self._milliseconds = milliseconds
        self._random_bits = random_bits
        self._last_ms = -1
        self._tail = 0

    def __call__(self) -> JobId:
        """Return a new id."""
        now_ms = self._milliseconds()
        if now_ms > self._last_ms:
            self._last_ms = now_ms
            # The top bit stays free, so that counting on never overflows the field.
            self._tail = self._random_bits(_RAND_BITS - 1)
        else:
            self._tail += 1 + self._random_bits(24)
        return job_id_from(self._last_ms, self._tail)
