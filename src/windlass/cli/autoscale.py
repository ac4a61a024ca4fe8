"""How many worker processes there should be: decided from what they say of themselves."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from windlass.errors import BadOption
from windlass.model.health import Report

PROCESSES_MAX = 1_000
IDLE_SHARE = 0.75  # of the slots that would remain


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most processes."""

    least: int
    most: int


def bounds_of(option: str, text: str) -> Bounds:
    """Return the bounds of ``N`` or ``MIN:MAX``.  Raises: BadOption."""
    match = re.fullmatch(r"(\d{1,4})(?::(\d{1,4}))?", text.strip(), re.ASCII)
    if match is None:
        raise BadOption(option, text, "must be a number, or MIN:MAX such as 1:8")
    least = int(match[1])
    most = int(match[2] or least)
    if not 1 <= least <= most <= PROCESSES_MAX:
        raise BadOption(option, text, f"must be 1 to {PROCESSES_MAX:,}, the smaller number first")
    return Bounds(least, most)


@dataclass(frozen=True, slots=True)
class Rules:
    """When to change the number of processes.

    up_after_s:   for how long all of them must have more work than slots.
    down_after_s: for how long one of them must have been too many.
    """

    bounds: Bounds
    up_after_s: float
    down_after_s: float


@dataclass(frozen=True, slots=True)
class Trend:
    """Since when the processes are full, or one of them is too many; None if they are not."""

    full_since: float | None = None
    idle_since: float | None = None


def decide(
    trend: Trend, reports: Sequence[Report | None], now: float, rules: Rules
) -> tuple[Trend, int]:
    """Return the trend, and 1 to add a process, -1 to stop one, 0 to leave it.  Pure.

    reports: the latest of each process; None for one that starts or has fallen silent.
    now:     monotonic seconds.
    Nothing is decided, and patience begins anew, while a process cannot take jobs: it starts,
    it stands still, or the store is away.
    """
    told = [report for report in reports if report is not None and report.health.ready]
    if len(told) < len(reports) or not told:
        return Trend(), 0
    now_full = now if _are_full(told) else None
    now_idle = now if _is_one_too_many(told) else None
    trend = Trend(_since(trend.full_since, now_full), _since(trend.idle_since, now_idle))
    if len(told) < rules.bounds.most and _is_over(trend.full_since, now, rules.up_after_s):
        return Trend(), 1
    if len(told) > rules.bounds.least and _is_over(trend.idle_since, now, rules.down_after_s):
        return Trend(), -1
    return trend, 0


def _are_full(reports: Sequence[Report]) -> bool:
    """Tell whether each of them took, at its last claim, as many jobs as it had room for."""
    return all(report.backlog for report in reports)


def _is_one_too_many(reports: Sequence[Report]) -> bool:
    """Tell whether one process less would still have slots to spare."""
    if any(report.backlog for report in reports):
        return False
    running = sum(report.running for report in reports)
    slots = sum(report.slots for report in reports)
    return running <= IDLE_SHARE * slots * (len(reports) - 1) / len(reports)


def _since(before: float | None, now: float | None) -> float | None:
    return before if now is not None and before is not None else now


def _is_over(since: float | None, now: float, patience_s: float) -> bool:
    return since is not None and now - since >= patience_s
