"""How a task ended, as its sender is told."""

from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

R = TypeVar("R")


@dataclass(kw_only=True)
class TaskiqResult(Generic[R]):
    """What a task returned or raised.

    execution_time: in seconds.   log: always None.
    again_s:        in a middleware's hands: the seconds after which the task is run again.
    """

    is_err: bool
    return_value: R
    execution_time: float
    labels: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    log: str | None = None
    again_s: float | None = field(default=None, repr=False, compare=False)

    def raise_for_error(self) -> Self:
        """Raise what the task raised; return this result, if that is nothing."""
        if self.error is not None:
            raise self.error
        return self
