"""Rules: what becomes of a job once those for which it waits have ended, each in its way.  Pure.

The order in which they end must not matter: where one end could still be overruled by another,
the verdict waits until it cannot.  So a failed one may decide at once; a cancelled or a skipped
one only when all have ended.
"""

from enum import StrEnum
from typing import assert_never

from windlass.model.jobs import Rule
from windlass.model.runs import Counts


class Verdict(StrEnum):
    """What becomes of a job that waits."""

    WAIT = "wait"  # not known yet
    START = "start"
    SKIP = "skip"  # its rule will not hold
    FAIL = "fail"  # one that it needed failed
    CANCEL = "cancel"  # one that it needed was cancelled


def verdict(rule: Rule, counts: Counts) -> Verdict:
    """Decide what becomes of a job that waits by a rule, of how many ended how so far."""
    bad = counts.failed + counts.cancelled
    is_over = counts.ended == counts.parents
    match rule:
        case Rule.ALWAYS:
            return Verdict.START
        case Rule.ALL_DONE:
            return _once(is_over)
        case Rule.ALL_SUCCESS:
            return _unless_failed(counts, is_over, counts.succeeded == counts.parents)
        case Rule.NONE_FAILED:
            return _unless_failed(counts, is_over, holds=True)
        case Rule.NONE_FAILED_MIN_ONE_SUCCESS:
            return _unless_failed(counts, is_over, counts.succeeded > 0)
        case Rule.ONE_SUCCESS:
            return Verdict.START if counts.succeeded else _lacking(counts, is_over)
        case Rule.ALL_DONE_MIN_ONE_SUCCESS:
            is_good = is_over and counts.succeeded > 0
            return Verdict.START if is_good else _lacking(counts, is_over)
        case Rule.ONE_FAILED:
            return Verdict.START if bad else _skipped_once(is_over)
        case Rule.ONE_DONE:
            return Verdict.START if bad or counts.succeeded else _skipped_once(is_over)
        case Rule.ALL_FAILED:
            return _all(bad, counts, is_over)
        case Rule.ALL_SKIPPED:
            return _all(counts.skipped, counts, is_over)
        case Rule.NONE_SKIPPED:
            return Verdict.SKIP if counts.skipped else _once(is_over)
    assert_never(rule)


def _once(is_over: bool) -> Verdict:
    return Verdict.START if is_over else Verdict.WAIT


def _skipped_once(is_over: bool) -> Verdict:
    return Verdict.SKIP if is_over else Verdict.WAIT


def _all(alike: int, counts: Counts, is_over: bool) -> Verdict:
    return Verdict.SKIP if alike < counts.ended else _once(is_over)


def _unless_failed(counts: Counts, is_over: bool, holds: bool) -> Verdict:
    if counts.failed:
        return Verdict.FAIL
    if not is_over:
        return Verdict.WAIT
    if counts.cancelled:
        return Verdict.CANCEL
    return Verdict.START if holds else Verdict.SKIP


def _lacking(counts: Counts, is_over: bool) -> Verdict:
    """Decide on a job that needs one that has succeeded, and has none so far."""
    if not is_over:
        return Verdict.WAIT
    if counts.failed:
        return Verdict.FAIL
    return Verdict.CANCEL if counts.cancelled else Verdict.SKIP
