"""What holds for every trigger there is (I19)."""

import time
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.oracle.cases import zone_names
from windlass import all_of, any_of, business_days, cron, every, excluding
from windlass.core.triggers import anchored, compile_trigger, decode_trigger, encode_trigger
from windlass.core.zones import zone_info
from windlass.errors import BadTrigger
from windlass.model.triggers import WEEKDAYS, Cron, TickCase, Trigger, Weekday

CALL_MAX_S = 0.010
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

instants = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


def items(low: int, high: int, *extra: str) -> st.SearchStrategy[str]:
    """Return items of a field with these values."""
    number = st.integers(low, high)
    step = st.integers(1, high - low + 1)
    return st.one_of(
        st.sampled_from(["*", "H", *extra]),
        number.map(str),
        st.tuples(number, number).map(lambda pair: f"{pair[0]}-{pair[1]}"),
        step.map(lambda n: f"*/{n}"),
        st.tuples(number, step).map(lambda pair: f"{pair[0]}/{pair[1]}"),
        st.tuples(number, number, step).map(lambda parts: f"{parts[0]}-{parts[1]}/{parts[2]}"),
    )


def fields(low: int, high: int, *extra: str) -> st.SearchStrategy[str]:
    """Return fields: lists of items."""
    return st.lists(items(low, high, *extra), min_size=1, max_size=3).map(",".join)


expressions = st.tuples(
    st.just("") | fields(0, 59),
    fields(0, 59),
    fields(0, 23),
    st.just("?") | fields(1, 31, "L", "LW", "15W", "31W", "H(1-7)"),
    fields(1, 12, "feb", "oct-mar"),
    fields(0, 7, "5L", "mon#2", "sun#5", "fri-mon").filter(lambda text: "/8" not in text),
).map(lambda parts: " ".join(parts).strip())
rules = st.builds(
    Cron,
    expressions,
    st.sampled_from(zone_names()),
    st.sampled_from(["first", "shift", "skip"]),
    st.sampled_from(["first", "second", "both"]),
    st.sampled_from(["either", "both"]),
)


@settings(max_examples=400, deadline=None)
@given(rules, st.lists(instants, min_size=2, max_size=4), st.text("abc", max_size=5))
def test_the_next_tick_is_later_in_order_and_found_in_bounded_time(
    rule: Cron, moments: list[datetime], name: str
) -> None:
    compiled = compile_trigger(rule, name)
    last = EPOCH
    for moment in sorted(moments):
        start = time.thread_time()
        tick = compiled.next(moment)
        took = time.thread_time() - start
        if took > CALL_MAX_S:  # once more: the machine may have been busy
            start = time.thread_time()
            compiled.next(moment)
            took = time.thread_time() - start

        assert took <= CALL_MAX_S
        if tick is None:
            continue
        assert tick.at > moment
        assert tick.at >= last
        assert tick.at.utcoffset() == timedelta()
        last = tick.at


@settings(max_examples=200, deadline=None)
@given(rules, instants)
def test_asking_from_any_moment_before_a_tick_gives_that_tick(rule: Cron, moment: datetime) -> None:
    first = compile_trigger(rule, "name").next(moment)
    assume(first is not None)
    assert first is not None

    just_before = first.at - timedelta(microseconds=1)
    between = min(moment + (first.at - moment) * 0.7, just_before)  # it is rounded

    assert compile_trigger(rule, "name").next(between) == first
    assert compile_trigger(rule, "name").next(just_before) == first


@settings(max_examples=200, deadline=None)
@given(rules, instants)
def test_the_clock_of_a_tick_leads_back_to_its_instant(rule: Cron, moment: datetime) -> None:
    tick = compile_trigger(rule, "name").next(moment)
    assume(tick is not None and tick.case is not TickCase.NONEXISTENT)
    assert tick is not None

    local = tick.at.astimezone(zone_info(rule.zone))
    assert local.astimezone(UTC) == tick.at


def combined(parts: st.SearchStrategy[Trigger]) -> st.SearchStrategy[Trigger]:
    """Return triggers made of others."""
    some = st.lists(parts, min_size=1, max_size=3)
    return st.one_of(
        some.map(lambda chosen: any_of(*chosen)),
        st.builds(without, parts, st.sampled_from(WEEKDAYS)),
    )


def without(trigger: Trigger, weekday: Weekday) -> Trigger:
    """Return a trigger without a weekday, if something is left of it."""
    try:
        return excluding(trigger, weekdays=[weekday])
    except BadTrigger:
        return trigger


simple = st.one_of(
    st.sampled_from([cron("30 2 * * *", tz="Europe/Berlin"), cron("*/7 * * * *"), cron("@weekly")]),
    st.floats(1, 1e7).map(lambda seconds: every(seconds, anchor=EPOCH)),
    st.sampled_from([business_days(), business_days(which="first"), business_days(which=-2)]),
)


@settings(max_examples=150, deadline=None)
@given(st.recursive(simple, combined, max_leaves=5), instants)
def test_combined_triggers_keep_order_and_survive_being_stored(
    trigger: Trigger, moment: datetime
) -> None:
    back = anchored(decode_trigger(encode_trigger(trigger)), moment)
    compiled = compile_trigger(back, "name")

    assert back == trigger
    for _ in range(5):
        tick = compiled.next(moment)
        if tick is None:
            break
        assert tick.at > moment
        moment = tick.at


@settings(max_examples=300, deadline=None)
@given(st.text("0123456789*/-,LWH#?() @abcfijmnoprstuy", max_size=30))
def test_any_text_is_a_rule_or_refused_by_a_field(text: str) -> None:
    read = rule_or_error(text)

    if isinstance(read, BadTrigger):
        assert read.field
        assert read.why
    else:
        assert compile_trigger(read, "name").next(EPOCH) is not None


def rule_or_error(text: str) -> Cron | BadTrigger:
    """Return the rule of an expression, or why it has none."""
    try:
        return cron(text)
    except BadTrigger as error:
        return error


@settings(max_examples=100, deadline=None)
@given(rules, instants)
def test_all_of_a_rule_with_itself_is_the_rule(rule: Cron, moment: datetime) -> None:
    tick = compile_trigger(rule, "name").next(moment)
    assume(tick is not None)
    try:
        both = all_of(rule, rule)
    except BadTrigger:  # it never matches
        return

    assert compile_trigger(both, "name").next(moment) == tick
