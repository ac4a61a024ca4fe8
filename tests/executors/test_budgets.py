"""The budget of an attempt, in real children: which one was exceeded is said, the worker lives."""

import asyncio
import time
from typing import Any

import pytest

from tests.executors.attempts import error_of, run, value_of
from tests.executors.test_processes import processes, spec
from windlass import Retry
from windlass.core.tasks import outcome_of
from windlass.errors import CpuExceeded, MemoryExceeded
from windlass.model.jobs import Reason

MEMORY = "windlass.errors.MemoryExceeded"
CPU = "windlass.errors.CpuExceeded"


async def test_within_its_memory_an_attempt_runs_as_ever() -> None:
    async with processes() as executor:
        assert value_of(await run(executor, spec("wants_memory"), megabytes=16)) == 16 * 2**20


async def test_code_that_wants_too_much_memory_fails_where_it_stands() -> None:
    async with processes() as executor:
        failed = error_of(await run(executor, spec("wants_memory"), megabytes=512))

        assert (failed.error.type, failed.reason) == (MEMORY, Reason.ERROR)
        assert "memory_limit of 134,217,728 bytes" in failed.error.message
        assert "MemoryError" in failed.error.traceback
        assert "in wants_memory" in failed.error.traceback


async def test_memory_that_is_filled_bit_by_bit_ends_the_attempt_too() -> None:
    async with processes() as executor:
        failed = error_of(await run(executor, spec("wants_memory_bit_by_bit")))

        assert failed.error.type == MEMORY


async def test_code_may_make_do_with_less() -> None:
    async with processes() as executor:
        assert value_of(await run(executor, spec("makes_do"))) == "with less"


async def test_memory_that_the_kernel_does_not_count_is_seen_by_the_worker() -> None:
    async with processes() as executor:
        begun = time.monotonic()
        failed = error_of(await run(executor, spec("takes_shared_memory")))

        assert failed.error.type == MEMORY
        assert time.monotonic() - begun < 30


async def test_code_that_burns_too_much_cpu_fails_where_it_stands() -> None:
    async with processes() as executor:
        failed = error_of(await run(executor, spec("burns"), seconds=60))

        assert (failed.error.type, failed.reason) == (CPU, Reason.ERROR)
        assert "cpu_limit of 1 s" in failed.error.message
        assert "in burns" in failed.error.traceback


@pytest.mark.parametrize("task", ["burns_async", "burns_in_c", "burns_regardless"])
async def test_no_code_burns_on(task: str) -> None:
    async with processes() as executor:
        async with asyncio.timeout(60):
            failed = error_of(await run(executor, spec(task)))

        assert failed.error.type == CPU


async def test_waiting_uses_no_cpu() -> None:
    async with processes() as executor:
        assert value_of(await run(executor, spec("sleeps_long"))) == "rested"


async def test_each_attempt_of_a_warm_child_has_the_whole_budget() -> None:
    async with processes(slots=1) as executor:
        pids = {value_of(await run(executor, spec("pid")))}
        for _ in range(4):  # more than the limit in all
            assert value_of(await run(executor, spec("burns"), seconds=0.5)) == 0.5
        pids.add(value_of(await run(executor, spec("pid"))))

        assert len(pids) == 1
        assert value_of(await run(executor, spec("soft_limits"))) == [-1, -1]


async def test_a_child_that_was_full_is_not_used_again() -> None:
    async with processes(slots=1) as executor:
        before = value_of(await run(executor, spec("pid")))
        error_of(await run(executor, spec("wants_memory"), megabytes=512))

        assert value_of(await run(executor, spec("pid"))) != before


@pytest.mark.parametrize(
    ("policy", "retryable"),
    [
        (Retry(3), True),
        (Retry(3, on=OSError), False),
        (Retry(3, on=(OSError, MemoryExceeded, CpuExceeded)), True),
        (Retry(3, never=(MemoryExceeded, CpuExceeded)), False),
    ],
)
@pytest.mark.parametrize("error", [MemoryExceeded("t", 1), CpuExceeded("t", 1.0)])
def test_it_is_a_failure_like_any_other_to_the_retry_policy(
    policy: Retry, retryable: bool, error: Any
) -> None:
    class Spec:
        name = "t"
        retry_policy = policy
        memory_limit_bytes = 1

    outcome = error_of(outcome_of(Spec(), error))  # type: ignore[arg-type]
    assert outcome.retryable is retryable
