"""What a child sends of an attempt: the newest in time, the last before its end, nothing after."""

import threading
import time

import pytest

from windlass.core.context import Context
from windlass.executors import frames
from windlass.executors.telling import Teller
from windlass.model.jobs import Claim, JobId
from windlass.model.outcomes import Succeeded

CLAIM = Claim(JobId("j"), 1, 1, 0, "t", "default", b"{}")
ENDED = frames.Ended(Succeeded(None))


class Sent:
    """The frames that were sent."""

    def __init__(self) -> None:
        self.frames: list[frames.FromChild] = []

    def __call__(self, packed: bytes) -> None:
        """Take one frame."""
        self.frames.append(frames.from_child.decode(packed[frames.HEAD.size :]))


def test_what_is_said_is_sent_while_the_code_goes_on() -> None:
    sent = Sent()
    teller = Teller(sent)
    context = Context(CLAIM, on_news=teller.note)
    teller.begin(context)
    context.progress(0.5, "half")
    until = time.monotonic() + 10
    while not sent.frames and time.monotonic() < until:
        time.sleep(0.001)

    assert sent.frames == [frames.Progressed(0.5, "half")]


def test_the_last_word_comes_before_the_end_and_nothing_after_it() -> None:
    sent = Sent()
    teller = Teller(sent)
    context = Context(CLAIM, on_news=teller.note)
    teller.begin(context)
    for n in range(1_000):
        context.progress(n / 1_000)
    teller.end(ENDED.outcome)
    context.progress(1.0, "from a thread that was left behind")
    time.sleep(0.3)  # longer than the pause between two frames

    assert sent.frames[-2:] == [frames.Progressed(0.999, ""), ENDED]


def test_without_memory_for_a_thread_progress_is_told_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    sent = Sent()
    teller = Teller(sent)
    context = Context(CLAIM, on_news=teller.note)
    teller.begin(context)
    context.progress(0.1)
    context.progress(0.2)
    teller.end(ENDED.outcome)

    assert sent.frames == [frames.Progressed(0.2, ""), ENDED]
