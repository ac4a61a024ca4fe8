"""Job ids are UUIDs of version 7 that grow strictly."""

import itertools
import random
import uuid

from hypothesis import given
from hypothesis import strategies as st

from windlass.core.ids import JobIds, created_at, job_id_from


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_an_id_is_a_uuid_of_version_7_which_tells_its_time(ms: int, bits: int) -> None:
    job_id = job_id_from(ms, bits)
    parsed = uuid.UUID(job_id)

    assert (7, uuid.RFC_4122, job_id) == (parsed.version, parsed.variant, str(parsed))
    assert ms == parsed.int >> 80


def test_ids_grow_strictly_within_a_millisecond_and_when_the_clock_steps_back() -> None:
    times = itertools.chain([5, 5, 5, 4, 3, 6], itertools.repeat(6))
    ids = JobIds(lambda: next(times) * 1_000_000, random.Random(1).getrandbits)
    made = [ids() for _ in range(10_000)]

    assert sorted(set(made)) == made


def test_the_time_of_an_id_can_be_read() -> None:
    assert created_at(job_id_from(1_700_000_000_123, 0)).timestamp() == 1_700_000_000.123
