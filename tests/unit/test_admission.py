"""Which jobs under limits may start: the decision, without a store."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from windlass.core.admission import (
    PLAIN,
    Admission,
    Head,
    Place,
    Shown,
    Wanted,
    batched,
    fill_from,
    in_turn,
    spans,
    usage_of,
)
from windlass.model.jobs import Claim, JobId
from windlass.model.limits import Cap, Limits, Pace, PaceState, Together, lane_of

SECOND_US = 1_000_000
NOW_US = 1_900_000_000 * SECOND_US

lanes_of_jobs = st.dictionaries(
    st.integers(0, 20),
    st.tuples(st.integers(1, 5), st.integers(0, 30), st.integers(-1, 1)),
    min_size=1,
    max_size=12,
)


def heads(name: str, count: int, priority: int = 0) -> list[Head]:
    return [Head(JobId(f"{name}-{n:03}"), priority, NOW_US + n) for n in range(count)]


def admitted(
    admission: Admission, waiting: dict[Place, tuple[Limits, list[Head]]], after: Place = PLAIN
) -> Counter[str]:
    """Return how many of each lane were taken; lanes are named by their second part."""

    def show(wanted: Wanted) -> Shown:
        return {place: waiting[place][1][:count] for place, count in wanted.items()}

    lanes = {place: limits for place, (limits, _) in waiting.items() if place != PLAIN}
    plain = waiting.get(PLAIN, (Limits(), []))[1]
    fill_from(admission, lanes, plain, after, show)
    return Counter(job_id.rpartition("-")[0] for job_id in admission.taken)


@given(lanes_of_jobs, st.integers(1, 60), st.integers(0, 20))
def test_no_cap_is_exceeded_and_no_room_is_left_that_a_job_could_use(
    lanes: dict[int, tuple[int, int, int]], room: int, after: int
) -> None:
    waiting = {
        ("q", f"{n:02}"): (Limits(caps=(Cap("cap", str(n), most),)), heads(f"{n:02}", jobs, prio))
        for n, (most, jobs, prio) in lanes.items()
    }
    admission = Admission(room, NOW_US, {}, ())
    taken = admitted(admission, waiting, ("q", f"{after:02}"))
    could = sum(min(most, jobs) for most, jobs, _ in lanes.values())

    assert all(taken[f"{n:02}"] <= most for n, (most, _, _) in lanes.items())
    assert sum(taken.values()) == min(room, could)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=8), st.integers(1, 100))
def test_turns_differ_by_one_at_most_among_lanes_that_have_more(
    counts: list[int], room: int
) -> None:
    waiting = {("q", f"l{n}"): (Limits(), heads(f"l{n}", jobs)) for n, jobs in enumerate(counts)}
    taken = admitted(Admission(room, NOW_US, {}, ()), waiting)
    unfinished = [taken[f"l{n}"] for n, jobs in enumerate(counts) if taken[f"l{n}"] < jobs]

    assert not unfinished or max(taken.values()) - min(unfinished) <= 1


@given(st.integers(1, 5), st.integers(1, 20), st.integers(0, 2**32))
def test_a_pace_never_lets_more_start_than_its_bucket_and_its_flow(
    burst: int, interval_s: int, seed: int
) -> None:
    chance = random.Random(seed)
    limits = Limits(paces=(Pace("pace", "", interval_s * SECOND_US, burst),))
    now_us = NOW_US
    states: list[PaceState] = []
    starts: list[int] = []
    for _ in range(60):
        admission = Admission(chance.randint(1, 4), now_us, {}, states)
        starts += [now_us] * admitted(admission, {("q", "l"): (limits, heads("l", 9))}).total()
        states = admission.paces or states
        now_us += round(chance.uniform(0, 3 * interval_s) * SECOND_US)

    for n, began in enumerate(starts):
        span_us = interval_s * 10 * SECOND_US
        within = [at for at in starts[n:] if at < began + span_us]
        assert len(within) <= 10 + burst - 1


def test_a_closed_pace_says_when_to_look_again() -> None:
    limits = Limits(paces=(Pace("pace", "", 10 * SECOND_US, 1),))
    used = [PaceState("pace", "", NOW_US + 4 * SECOND_US)]
    admission = Admission(5, NOW_US, {}, used)

    assert admitted(admission, {("q", "l"): (limits, heads("l", 3))}) == {}
    assert admission.wake_in_us == 4 * SECOND_US
    assert admission.paces == []


def test_a_clock_that_jumped_back_costs_a_bucket_and_not_the_whole_jump() -> None:
    limits = Limits(paces=(Pace("pace", "", 10 * SECOND_US, 2),))
    far = [PaceState("pace", "", NOW_US + 86_400 * SECOND_US)]
    admission = Admission(5, NOW_US, {}, far)

    assert admitted(admission, {("q", "l"): (limits, heads("l", 3))}) == {}
    [state] = admission.paces
    later = Admission(5, NOW_US + 10 * SECOND_US, {}, [state])
    assert admitted(later, {("q", "l"): (limits, heads("l", 3))}) == {"l": 1}


def test_a_batch_waits_until_it_is_full_or_its_time_is_over() -> None:
    limits = Limits(shares=("t",), together=Together(4, 10 * SECOND_US))
    waiting: dict[Place, tuple[Limits, list[Head]]] = {("q", "l"): (limits, heads("l", 10))}
    early = Admission(5, NOW_US + 2 * SECOND_US, {}, ())
    late = Admission(5, NOW_US + 11 * SECOND_US, {}, ())

    assert admitted(early, waiting) == {"l": 8}
    assert (early.room, len(set(early.batch_of.values()))) == (3, 2)
    assert early.wake_in_us == 8 * SECOND_US + 8
    assert admitted(late, waiting) == {"l": 10}
    assert sorted(Counter(late.batch_of.values()).values()) == [2, 4, 4]


def test_batches_take_one_slot_each_and_turns_with_others() -> None:
    limits = Limits(shares=("t",), together=Together(4, 0))
    waiting: dict[Place, tuple[Limits, list[Head]]] = {
        ("q", "b"): (limits, heads("b", 40)),
        ("q", "c"): (Limits(shares=("c",)), heads("c", 40)),
    }
    admission = Admission(6, NOW_US + SECOND_US, {}, ())

    assert admitted(admission, waiting) == {"b": 12, "c": 3}


def test_a_batch_is_named_by_the_first_that_was_really_claimed() -> None:
    claims = [Claim(JobId(n), 1, 1, 0, "t", "q", b"") for n in "bcd"]
    batch_of = {JobId(n): JobId("a") for n in "abc"}

    assert [claim.batch for claim in batched(claims, batch_of)] == ["b", "b", None]


def test_a_cap_counts_what_runs_in_every_lane_that_names_it() -> None:
    one = lane_of(Limits(caps=(Cap("all", "", 5), Cap("own", "a", 2))))
    other = lane_of(Limits(caps=(Cap("all", "", 5),)))

    assert usage_of([(one.limits, 2), (other.limits, 1)]) == {("all", ""): 3, ("own", "a"): 2}


def test_equal_limits_give_the_same_lane_and_others_another() -> None:
    cap = Cap("all", "k", 5)
    lanes = {lane_of(Limits(caps=(cap,))), lane_of(Limits(caps=(cap,)))}
    others = {lane_of(Limits(caps=(Cap("all", "k", 6),))), lane_of(Limits(shares=("k",)))}

    assert len(lanes) == 1
    assert len(lanes | others) == 3


def test_the_ring_begins_behind_the_last_turn_and_meets_every_place_once() -> None:
    places: list[Place] = [("q", "b"), PLAIN, ("q", "a"), ("p", "z")]

    assert in_turn(places, ("q", "a")) == [("q", "b"), PLAIN, ("p", "z"), ("q", "a")]
    assert in_turn(places, ("q", "aa")) == [("q", "b"), PLAIN, ("p", "z"), ("q", "a")]


def test_the_spans_of_a_look_cover_every_lane_once() -> None:
    assert spans(["b", "a", "c"], ("b", "l")) == [
        ("b", "l", None),
        ("c", "", None),
        ("a", "", None),
        ("b", "", "l"),
    ]
    assert spans(["b", "a"], PLAIN) == [("a", "", None), ("b", "", None)]
