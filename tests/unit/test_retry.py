"""Retry policies: delays, budgets, which errors."""

import pickle
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.core.retry import Cancel, Retry, Snooze
from windlass.errors import BadOption


def delays(policy: Retry) -> list[float | None]:
    return [policy.delay_s(failures, 0.0) for failures in range(1, 6)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Retry(5, delay=1), [1, 2, 4, 8, None]),
        (Retry(5, delay=2, backoff="linear"), [2, 4, 6, 8, None]),
        (Retry(5, delay=timedelta(seconds=3), backoff="fixed"), [3, 3, 3, 3, None]),
        (Retry(5, delay=[1, timedelta(seconds=7)]), [1, 7, 7, 7, None]),
        (Retry(5, delay=lambda n: n * 10), [10, 20, 30, 40, None]),
        (Retry(5, delay=1, cap=3), [1, 2, 3, 3, None]),
        (Retry(1), [None, None, None, None, None]),
        (Retry(), [1, 2, None, None, None]),
    ],
)
def test_a_policy_gives_a_delay_until_its_budget_is_spent(
    policy: Retry, expected: list[float | None]
) -> None:
    assert expected == delays(policy)


def test_it_covers_subclasses_and_never_what_is_excluded() -> None:
    policy = Retry(on=OSError, never=FileNotFoundError)

    assert policy.covers(ConnectionResetError())
    assert not policy.covers(FileNotFoundError())
    assert not policy.covers(ValueError())


@given(
    failures=st.integers(1, 999),
    chance=st.floats(0, 1, exclude_max=True),
    jitter=st.floats(0, 1),
    delay=st.floats(0, 1e6),
    factor=st.floats(1, 100),
)
def test_a_delay_is_never_negative_nor_above_its_cap(
    failures: int, chance: float, jitter: float, delay: float, factor: float
) -> None:
    policy = Retry(1_000, delay=delay, factor=factor, jitter=jitter, cap=60)
    got = policy.delay_s(failures, chance)

    assert got is not None
    assert 0 <= got <= 60


@pytest.mark.parametrize(
    "options",
    [
        {"attempts": 0},
        {"attempts": 100_000},
        {"delay": -1},
        {"delay": []},
        {"delay": "soon"},
        {"backoff": "quadratic"},
        {"jitter": 2},
        {"factor": 0.5},
        {"after": -1},
        {"cap": float("inf")},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadOption):
        Retry(**options)


def test_a_delay_function_is_held_to_the_same_rules() -> None:
    with pytest.raises(BadOption):
        Retry(delay=lambda n: -n).delay_s(1, 0.0)


def test_signals_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(Snooze(5))).delay_s == 5
    assert pickle.loads(pickle.dumps(Cancel("x"))).message == "x"
