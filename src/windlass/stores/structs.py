"""Structs of the model as rows, where the columns stand in the order of the fields."""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import astuple

from windlass.model.schedules import ScheduleRow

S = TypeVar("S", bound=msgspec.Struct)

# What a fire changes of a schedule.
MOVED = (
    "revision",
    "status",
    "why",
    "cursor_at",
    "skip_until",
    "next_at",
    "due_at",
    "started",
    "misfires",
    "last_fire_at",
    "last_job_id",
    "last_late_s",
)

values_of = astuple


def moved_of(row: ScheduleRow) -> tuple[Any, ...]:
    """Return the values of ``MOVED``."""
    return tuple(getattr(row, name) for name in MOVED)


def struct_from(kind: type[S], values: Sequence[Any]) -> S:
    """Return the struct of a row; texts become members of enumerations where the fields say so."""
    facts = dict(zip(kind.__struct_fields__, values, strict=True))
    return msgspec.convert(facts, kind)
