"""What one attempt in a process of its own may use of the machine."""

from dataclasses import dataclass

from windlass.core.retry import Delay, seconds_of
from windlass.core.sizes import Size, bytes_of
from windlass.errors import BadOption, BadTask


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes of memory, seconds of CPU, and the attempts that one child process serves."""

    memory_bytes: int | None = None
    cpu_s: float | None = None
    jobs: int | None = None


def budget_of(
    task: str,
    isolation: str | None,
    memory_limit: Size | None,
    cpu_limit: Delay | None,
    recycle_after_jobs: int | None,
) -> Budget:
    """Return the budget that a task's options ask for.

    Raises: BadOption; BadTask, where there is no process that could be held to it.
    """
    options = {
        "memory_limit": memory_limit,
        "cpu_limit": cpu_limit,
        "recycle_after_jobs": recycle_after_jobs,
    }
    for name, value in options.items():
        if value is not None and isolation != "process":
            raise BadTask(
                task, f'{name} needs isolation="process": only a process can be held to it'
            )
    cpu_s = None if cpu_limit is None else seconds_of("cpu_limit", cpu_limit)
    if cpu_s == 0:
        raise BadOption("cpu_limit", cpu_limit, "must be more than zero")
    return Budget(
        memory_bytes=None if memory_limit is None else bytes_of("memory_limit", memory_limit),
        cpu_s=cpu_s,
        jobs=_count_of("recycle_after_jobs", recycle_after_jobs),
    )


def _count_of(option: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadOption(option, value, "must be a whole number, at least 1")
    return value
