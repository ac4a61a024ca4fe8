"""How repeated calls become one: the decision, and what users may say."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass import App, BadOption, Debounce, Schedule, State, Throttle, Unique, chain, every
from windlass.core.once import Insert, Keep, Mark, Replace, Standing, decide
from windlass.errors import BadComposition
from windlass.model.jobs import JobId
from windlass.model.once import Once
from windlass.schedules import draft_of
from windlass.tasks import AnyTask

SECOND = 1_000_000
HOURLY = Schedule(every(3600), name="hourly")


def ping() -> None: ...


def keyed(app: App) -> AnyTask:
    """Return a task with an idempotency key."""
    return app.task(ping).using(idempotency_key="k")


@given(st.lists(st.integers(0, 30), min_size=1, max_size=60), st.integers(1, 20))
def test_a_throttle_starts_at_most_one_in_each_span_and_loses_no_last_call(
    gaps: list[int], per_s: int
) -> None:
    once = Once(name="t", key="", kind="throttle", wait_us=per_s * SECOND)
    now, mark, starts, last_call = 0, None, {}, {}
    for n, gap in enumerate(gaps):
        now += gap * SECOND
        standing = None
        if mark is not None:
            has_begun = starts[mark.job_id] <= now
            standing = Standing(State.SUCCEEDED if has_begun else State.SCHEDULED, has_begun)
        decision = decide(once, JobId(str(n)), mark, standing, now)
        mark = decision.mark
        if isinstance(decision, Insert):
            starts[mark.job_id] = now + decision.delay_us
        last_call[mark.job_id] = n
        assert isinstance(decision, Insert | Replace)
    ordered = sorted(starts.values())

    assert all(b - a >= per_s * SECOND for a, b in pairwise(ordered))
    assert max(last_call.values()) == len(gaps) - 1


def test_a_trailing_debounce_never_waits_past_its_most() -> None:
    once = Once(name="t", key="", kind="trailing", wait_us=10 * SECOND, most_us=25 * SECOND)
    mark = Mark(JobId("a"), 0, 10 * SECOND)
    waits = Standing(State.SCHEDULED, has_begun=False)

    assert decide(once, JobId("b"), mark, waits, 5 * SECOND) == Replace(10 * SECOND, mark)
    assert decide(once, JobId("b"), mark, waits, 20 * SECOND) == Replace(5 * SECOND, mark)
    assert decide(once, JobId("b"), mark, waits, 30 * SECOND) == Replace(0, mark)


def test_unique_until_start_counts_only_what_has_not_begun() -> None:
    once = Once(name="t", key="", kind="started")
    mark = Mark(JobId("a"), 0, 0)

    waits = decide(once, JobId("b"), mark, Standing(State.QUEUED, has_begun=False), 1)
    begun = decide(once, JobId("b"), mark, Standing(State.SCHEDULED, has_begun=True), 1)
    gone = decide(once, JobId("b"), mark, None, 1)

    assert waits == Keep(mark)
    assert isinstance(begun, Insert)
    assert isinstance(gone, Insert)


def any_text(text: str) -> Any:
    """Return what the type checker would refuse."""
    return text


def test_a_call_bears_its_rule_and_its_key() -> None:
    app = App("sqlite:///never-opened.db")

    @app.task(name="a", once=Unique("customer"))
    def one(customer: str) -> None: ...

    @app.task(name="b", once=Debounce(2.5, key="{customer}!", most=10))
    def other(customer: str) -> None: ...

    assert one.prepare("ann").unique_key == "once:ann"
    assert one.prepare("ann").once is None
    assert other.prepare("ann").once == Once(
        name="b", key="ann!", kind="trailing", wait_us=2_500_000, most_us=10 * SECOND
    )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda app: app.task(once="unique")(print), "must be a Unique"),
        (lambda app: app.task(once=Unique("nobody"))(lambda a: a), "no parameter"),
        (lambda app: app.task(once=Unique(until=any_text("now")))(lambda a: a), "until"),
        (lambda app: app.task(once=Unique(until="start", period=3))(lambda a: a), "until"),
        (lambda app: app.task(once=Debounce(0))(lambda a: a), "wait"),
        (lambda app: app.task(once=Debounce(1, edge=any_text("both")))(lambda a: a), "edge"),
        (lambda app: app.task(once=Debounce(1, edge="leading", most=2))(lambda a: a), "edge"),
        (lambda app: app.task(once=Throttle(-1))(lambda a: a), "per"),
        (lambda app: app.task(once=Throttle(1))(lambda a: a).using(delay=1).prepare(1), "delay"),
        (lambda app: app.task(once=Unique())(lambda a: a).using(unique_key="k").prepare(1), "once"),
        (lambda app: app.task(once=Throttle(1))(ping).using(idempotency_key="k").prepare(), "once"),
        (lambda app: app.task(ping).using(idempotency_key="k", unique_key="k"), "give either"),
        (lambda app: app.task(ping).using(idempotency_key=""), "1 to"),
        (
            lambda app: draft_of("s", app.task(ping).using(idempotency_key="k"), HOURLY, "code"),
            "tick",
        ),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(make: Callable[[App], object], told: str) -> None:
    with pytest.raises(BadOption, match=told):
        make(App("sqlite:///never-opened.db"))


def test_a_call_with_an_idempotency_key_cannot_wait_for_others() -> None:
    app = App("sqlite:///never-opened.db")
    task = app.task(name="a")(ping).using(idempotency_key="k")

    with pytest.raises(BadComposition, match="no idempotency key"):
        chain(task.bind(), task.bind()).enqueue()
    with pytest.raises(BadComposition, match="no idempotency key"):
        task.bind().continued()


def test_a_task_with_a_rule_cannot_wait_for_others() -> None:
    app = App("sqlite:///never-opened.db")
    task = app.task(name="a", once=Throttle(1))(lambda: None)

    with pytest.raises(BadComposition, match="cannot wait"):
        chain(task.bind(), task.bind()).enqueue()
