"""What becomes of a step by the table of ``docs/dags.md``, read anew: from all ends at once."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement

from windlass.model.jobs import Rule, State

OK, BAD, OFF, SKIP = State.SUCCEEDED, State.FAILED, State.CANCELLED, State.SKIPPED
ENDS = (OK, BAD, OFF, SKIP)
START = "start"
EARLY = frozenset({Rule.ONE_SUCCESS, Rule.ONE_FAILED, Rule.ONE_DONE})  # the others may still run


def outcome(rule: Rule, ends: tuple[State, ...]) -> str:
    """Return "start", or the state in which a step ends, once all its parents have ended so."""
    good = ends.count(OK)
    failed = ends.count(BAD) + ends.count(OFF)  # "all that ended badly"
    skipped = ends.count(SKIP)
    holds, else_skipped = {
        Rule.ALL_SUCCESS: (good == len(ends), False),
        Rule.ALL_FAILED: (failed == len(ends), True),
        Rule.ALL_DONE: (True, False),
        Rule.ALL_DONE_MIN_ONE_SUCCESS: (good > 0, False),
        Rule.ALL_SKIPPED: (skipped == len(ends), True),
        Rule.ONE_SUCCESS: (good > 0, False),
        Rule.ONE_FAILED: (failed > 0, True),
        Rule.ONE_DONE: (good + failed > 0, True),
        Rule.NONE_FAILED: (failed == 0, False),
        Rule.NONE_FAILED_MIN_ONE_SUCCESS: (failed == 0 and good > 0, False),
        Rule.NONE_SKIPPED: (skipped == 0, True),
        Rule.ALWAYS: (True, False),
    }[rule]
    if holds:
        return START
    if else_skipped:
        return SKIP
    return BAD if BAD in ends else OFF if OFF in ends else SKIP


@cache
def decided(rule: Rule, ends: tuple[State, ...], open_: int) -> str | None:
    """Return what must become of a step of which ``open_`` parents have not ended; None: wait.

    ends: of the others, sorted.
    """
    found = {outcome(rule, ends + rest) for rest in _rests(open_)}
    if len(found) > 1:
        return None
    [sure] = found
    return None if sure == START and open_ and rule not in EARLY else sure


def _rests(count: int) -> Iterator[tuple[State, ...]]:
    return combinations_with_replacement(ENDS, count)
