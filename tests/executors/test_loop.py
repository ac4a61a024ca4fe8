"""Async functions in the worker's loop: limits, cancellation, and what code makes of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.executors.attempts import error_of, run, value_of
from windlass.core.signature import Signature
from windlass.core.tasks import TaskSpec
from windlass.executors.loop import LoopExecutor
from windlass.model.jobs import Reason

executor = LoopExecutor()


def spec(function: Callable[..., Any], timeout_s: float | None = None) -> TaskSpec:
    signature = Signature("t", function)
    return TaskSpec("t", function, signature, isolation="loop", is_async=True, timeout_s=timeout_s)


async def test_a_time_limit_ends_the_function_at_its_next_await() -> None:
    cleaned = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append(1)

    failed = error_of(await run(executor, spec(slow, 0.02)))

    assert (failed.reason, cleaned) == (Reason.TIMEOUT, [1])
    assert "await asyncio.sleep(60)" in failed.error.traceback  # it shows where the code was


async def test_code_that_returns_in_spite_of_its_time_limit_has_succeeded() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "saved"
        return "never"

    assert value_of(await run(executor, spec(stubborn, 0.02))) == "saved"


async def test_an_error_raised_on_the_way_out_is_a_timeout_too() -> None:
    async def breaks() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise OSError("while cleaning up")

    failed = error_of(await run(executor, spec(breaks, 0.02)))

    assert failed.reason is Reason.TIMEOUT
    assert "while cleaning up" in failed.error.traceback


async def test_the_code_s_own_timeout_error_is_an_error_like_others() -> None:
    async def impatient() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    for limited in (spec(impatient), spec(impatient, 30)):
        failed = error_of(await run(executor, limited))

        assert (failed.reason, failed.error.type) == (Reason.ERROR, "TimeoutError")


@pytest.mark.parametrize("timeout_s", [None, 30.0])
async def test_code_that_cancels_itself_has_failed(timeout_s: float | None) -> None:
    async def gives_up() -> None:
        raise asyncio.CancelledError

    failed = error_of(await run(executor, spec(gives_up, timeout_s)))

    assert failed.error.type == "asyncio.exceptions.CancelledError"


@pytest.mark.parametrize("timeout_s", [None, 30.0])
async def test_a_cancel_from_outside_passes_through(timeout_s: float | None) -> None:
    async def slow() -> None:
        await asyncio.sleep(60)

    attempt = asyncio.create_task(run(executor, spec(slow, timeout_s)))
    await asyncio.sleep(0.01)
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
async def test_not_even_an_exit_ends_the_worker(error: BaseException) -> None:
    async def fail() -> None:
        raise error

    assert error_of(await run(executor, spec(fail))).error.type == type(error).__name__
