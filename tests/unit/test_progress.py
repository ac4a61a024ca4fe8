"""What an attempt may say of its progress, and how its context keeps it."""

import math
import threading
from typing import Any

import pytest

from windlass import BadOption, Context
from windlass.model.jobs import Claim, JobId

CLAIM = Claim(JobId("j"), 1, 1, 0, "t", "default", b"{}")


@pytest.mark.parametrize(("fraction", "kept"), [(0, 0.0), (1, 1.0), (0.5, 0.5)])
def test_a_fraction_is_from_0_to_1(fraction: float, kept: float) -> None:
    context = Context(CLAIM)
    context.progress(fraction, "so far")

    assert context.last_progress == (kept, "so far")


@pytest.mark.parametrize("fraction", [-0.01, 1.01, math.nan, math.inf, True, "0.5", None, 40])
def test_what_is_no_fraction_is_refused(fraction: Any) -> None:
    context = Context(CLAIM)
    with pytest.raises(BadOption, match="fraction"):
        context.progress(fraction)

    assert context.last_progress is None
    assert not context.has_news


@pytest.mark.parametrize("message", ["two\nlines", "nul \0", "half \ud800", "x" * 501, None, b"x"])
def test_what_no_store_keeps_is_no_message(message: Any) -> None:
    with pytest.raises(BadOption, match="message"):
        Context(CLAIM).progress(0.5, message)


def test_news_are_told_once_until_they_are_taken() -> None:
    told: list[Context] = []
    context = Context(CLAIM, on_news=told.append)
    for n in range(10):
        context.progress(n / 10)
    assert told == [context]
    assert context.take_news() == (0.9, "")
    assert not context.has_news
    context.progress(1)

    assert told == [context, context]


def test_no_news_are_missed_between_threads() -> None:
    context = Context(CLAIM)
    over = threading.Event()
    taken = []

    def take() -> None:
        while not over.is_set() or context.has_news:
            if context.has_news:
                taken.append(context.take_news()[0])

    reader = threading.Thread(target=take)
    reader.start()
    for n in range(20_001):
        context.progress(n / 20_000)
    over.set()
    reader.join(10)

    assert taken[-1] == 1.0
    assert taken == sorted(taken)
