"""Rules: the verdict on a job that waits, whatever the order in which the others end (I21)."""

from collections import Counter
from itertools import combinations_with_replacement, permutations

import pytest

from windlass.core.rules import Verdict, verdict
from windlass.model.jobs import Rule, State
from windlass.model.runs import Counts

OK, BAD, OFF, SKIP = "succeeded", "failed", "cancelled", "skipped"
ENDS = (OK, BAD, OFF, SKIP)
START, SKIPS, FAILS, CANCELS = Verdict.START, Verdict.SKIP, Verdict.FAIL, Verdict.CANCEL


def counts(parents: int, *ends: str) -> Counts:
    """Return the counts after some of the parents have ended."""
    return Counts(parents, **Counter(ends))


def final(rule: Rule, *ends: str) -> Verdict:
    """Return the verdict once all have ended so."""
    return verdict(rule, counts(len(ends), *ends))


def first(rule: Rule, parents: int, ends: tuple[str, ...]) -> Verdict:
    """Return the first verdict that is none to wait, as the ends come in."""
    for seen in range(len(ends) + 1):
        found = verdict(rule, counts(parents, *ends[:seen]))
        if found is not Verdict.WAIT:
            return found
    return Verdict.WAIT


@pytest.mark.parametrize("rule", Rule)
def test_the_order_in_which_others_end_does_not_matter(rule: Rule) -> None:
    """Every order of every mixture of up to five ends: 12 rules, 4,368 orders and more."""
    for parents in range(1, 6):
        for mixture in combinations_with_replacement(ENDS, parents):
            verdicts = {first(rule, parents, order) for order in set(permutations(mixture))}
            assert len(verdicts) == 1, (rule, mixture, verdicts)
            assert verdicts != {Verdict.WAIT}


@pytest.mark.parametrize("rule", Rule)
def test_a_verdict_stands_whatever_ends_after_it(rule: Rule) -> None:
    for mixture in combinations_with_replacement(ENDS, 4):
        for order in set(permutations(mixture)):
            found = [verdict(rule, counts(4, *order[:seen])) for seen in range(5)]
            decided = [one for one in found if one is not Verdict.WAIT]
            if rule is Rule.ALWAYS or decided[0] is not START:
                assert len(set(decided)) == 1, (rule, order, found)


@pytest.mark.parametrize(
    ("rule", "ends", "expected"),
    [
        (Rule.ALL_SUCCESS, (OK, OK), START),
        (Rule.ALL_SUCCESS, (OK, SKIP), SKIPS),
        (Rule.ALL_SUCCESS, (OFF, SKIP), CANCELS),
        (Rule.ALL_SUCCESS, (BAD, OFF, SKIP), FAILS),
        (Rule.ALL_FAILED, (BAD, OFF), START),
        (Rule.ALL_FAILED, (BAD, SKIP), SKIPS),
        (Rule.ALL_DONE, (BAD, SKIP, OFF), START),
        (Rule.ALL_DONE_MIN_ONE_SUCCESS, (OK, BAD), START),
        (Rule.ALL_DONE_MIN_ONE_SUCCESS, (SKIP, BAD), FAILS),
        (Rule.ALL_DONE_MIN_ONE_SUCCESS, (SKIP, SKIP), SKIPS),
        (Rule.ALL_SKIPPED, (SKIP, SKIP), START),
        (Rule.ALL_SKIPPED, (SKIP, OK), SKIPS),
        (Rule.ONE_SUCCESS, (BAD, OK), START),
        (Rule.ONE_SUCCESS, (BAD, OFF), FAILS),
        (Rule.ONE_SUCCESS, (SKIP, OFF), CANCELS),
        (Rule.ONE_SUCCESS, (SKIP, SKIP), SKIPS),
        (Rule.ONE_FAILED, (OK, BAD), START),
        (Rule.ONE_FAILED, (OK, SKIP), SKIPS),
        (Rule.ONE_DONE, (SKIP, OK), START),
        (Rule.ONE_DONE, (SKIP, SKIP), SKIPS),
        (Rule.NONE_FAILED, (OK, SKIP), START),
        (Rule.NONE_FAILED, (SKIP, SKIP), START),
        (Rule.NONE_FAILED, (SKIP, BAD), FAILS),
        (Rule.NONE_FAILED_MIN_ONE_SUCCESS, (OK, SKIP), START),
        (Rule.NONE_FAILED_MIN_ONE_SUCCESS, (SKIP, SKIP), SKIPS),
        (Rule.NONE_FAILED_MIN_ONE_SUCCESS, (OK, OFF), CANCELS),
        (Rule.NONE_SKIPPED, (OK, BAD), START),
        (Rule.NONE_SKIPPED, (OK, SKIP), SKIPS),
        (Rule.ALWAYS, (), START),
    ],
    ids=str,
)
def test_what_a_rule_means(rule: Rule, ends: tuple[str, ...], expected: Verdict) -> None:
    assert final(rule, *ends) is expected


@pytest.mark.parametrize(
    ("rule", "ends", "expected"),
    [
        (Rule.ALL_SUCCESS, (BAD,), FAILS),
        (Rule.ALL_SUCCESS, (SKIP,), Verdict.WAIT),
        (Rule.ALL_SUCCESS, (OFF,), Verdict.WAIT),
        (Rule.ONE_SUCCESS, (OK,), START),
        (Rule.ONE_FAILED, (OFF,), START),
        (Rule.ALL_DONE, (OK, OK), Verdict.WAIT),
        (Rule.NONE_SKIPPED, (SKIP,), SKIPS),
        (Rule.ALWAYS, (), START),
    ],
    ids=str,
)
def test_what_is_decided_before_all_have_ended(
    rule: Rule, ends: tuple[str, ...], expected: Verdict
) -> None:
    assert verdict(rule, counts(3, *ends)) is expected


def test_the_names_of_the_ends_are_those_of_the_states() -> None:
    """The stores count by them."""
    assert set(ENDS) == {str(state) for state in State if state in ENDS}
    assert set(Counts.__struct_fields__) == {"parents", *ENDS}
