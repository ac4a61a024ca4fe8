"""Sizes of memory, and the budgets of a task's attempts."""

from datetime import timedelta
from typing import Any

import pytest

from windlass import App, BadOption, BadTask
from windlass.core.sizes import bytes_of, size_text

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        ("4096", 4096),
        ("512MB", 512 * MIB),
        ("512 MiB", 512 * MIB),
        ("512m", 512 * MIB),
        ("1.5G", 1536 * MIB),
        ("2k", 2048),
    ],
)
def test_a_size_is_a_number_of_bytes_or_a_text_with_a_unit(value: Any, size: int) -> None:
    assert bytes_of("memory_limit", value) == size


@pytest.mark.parametrize(
    "value", [0, -1, True, 1.5, None, "", "MB", "12 XB", "-5MB", "1e3", "9999999T"]
)
def test_what_is_no_size_is_refused(value: Any) -> None:
    with pytest.raises(BadOption, match="memory_limit"):
        bytes_of("memory_limit", value)


def test_a_size_is_told_in_megabytes() -> None:
    assert (size_text(512 * MIB), size_text(1000)) == ("512 MB", "1,000 bytes")


def test_the_budget_of_a_task_is_kept_in_its_definition() -> None:
    app = App()

    @app.task(
        name="t",
        isolation="process",
        memory_limit="64MB",
        cpu_limit=timedelta(minutes=1),
        recycle_after_jobs=10,
    )
    def task() -> None: ...

    spec = app.specs["t"]
    assert (spec.memory_limit_bytes, spec.cpu_limit_s, spec.recycle_after_jobs) == (
        64 * MIB,
        60.0,
        10,
    )


@pytest.mark.parametrize(
    "option", [{"memory_limit": "64MB"}, {"cpu_limit": 1}, {"recycle_after_jobs": 1}]
)
def test_a_budget_without_a_process_of_its_own_is_refused(option: dict[str, Any]) -> None:
    async def task() -> None: ...

    with pytest.raises(BadTask, match='isolation="process"'):
        App().task(**option)(task)


@pytest.mark.parametrize(
    "option",
    [{"memory_limit": "much"}, {"cpu_limit": 0}, {"cpu_limit": -1}, {"recycle_after_jobs": 0}],
)
def test_a_budget_that_makes_no_sense_is_refused(option: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        App().task(isolation="process", **option)(lambda: None)
