"""The one state machine: its tables, and the moves that follow from an outcome."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from windlass.core.lifecycle import (
    CLAIM_MOVES,
    INITIAL,
    MOVES,
    REASONS,
    SETTLE_MOVES,
    SWEEP_MOVES,
    after_attempt,
    after_cancel,
    decode_error,
    encode_error,
    is_legal,
)
from windlass.model.jobs import LIVE, TERMINAL, Claim, Job, JobId, Reason, State, WorkerId
from windlass.model.outcomes import (
    Cancelled,
    Continued,
    Diverged,
    ErrorInfo,
    Failed,
    Outcome,
    Released,
    Snoozed,
    Succeeded,
    Unknown,
)

BOOM = ErrorInfo(type="builtins.ValueError", message="boom", traceback="…")
CLAIM = Claim(JobId("j"), 5, 4, 2, "shop.ship", "default", b"{}")

delays = st.floats(min_value=0, max_value=1e9)
errors = st.builds(
    ErrorInfo,
    type=st.text(min_size=1),
    message=st.text(),
    traceback=st.text(),
    details=st.text(),
)
outcomes = st.one_of(
    st.builds(Succeeded, st.none() | st.binary()),
    st.builds(
        Failed,
        error=errors,
        reason=st.sampled_from([Reason.ERROR, Reason.TIMEOUT]),
        retryable=st.booleans(),
        after_s=st.none() | delays,
    ),
    st.builds(Snoozed, delays),
    st.builds(Cancelled, st.text()),
    st.builds(Released, st.booleans()),
    st.builds(Unknown, delays),
)
claims = st.builds(
    Claim,
    job_id=st.just(JobId("j")),
    fence=st.integers(1, 2**62),
    attempt=st.integers(1, 2**31),
    failures=st.integers(0, 2**31),
    task=st.just("shop.ship"),
    queue=st.just("default"),
    payload=st.binary(),
)


def make_job(state: State, **fields: Any) -> Job:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    plain: dict[str, Any] = {
        "id": JobId("j"),
        "task": "shop.ship",
        "queue": "default",
        "state": state,
        "reason": None,
        "priority": 0,
        "attempt": 4,
        "failures": 2,
        "losses": 1,
        "fence": 5,
        "worker": WorkerId("alice") if state is State.RUNNING else None,
        "payload": b"{}",
        "result": None,
        "error": None,
        "error_type": None,
        "unique_key": None,
        "retry_of": None,
        "created_at": now,
        "due_at": now,
        "expires_at": None,
        "started_at": None,
        "ended_at": None,
        "resolved_at": None,
    }
    return Job(**(plain | fields))


# -- the tables --------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "ttl_s"),
    [(Succeeded(b"1"), 60.0), (Succeeded(None), None), (Failed(BOOM), None), (Cancelled(), None)],
)
def test_only_a_result_that_is_there_is_kept_for_a_time(
    outcome: Outcome, ttl_s: float | None
) -> None:
    assert after_attempt(CLAIM, outcome, None, 60.0).result_ttl_s == ttl_s
    assert after_attempt(CLAIM, outcome, None).result_ttl_s is None


def test_every_state_is_in_every_table() -> None:
    assert set(MOVES) == set(State) == set(REASONS)
    assert set(State) == LIVE | TERMINAL


def test_a_terminal_state_is_never_left_and_a_live_one_can_be() -> None:
    for state in State:
        assert bool(MOVES[state]) == (state in LIVE)


def test_every_state_can_be_reached_and_every_job_can_end() -> None:
    reached = set(INITIAL)
    for _ in State:
        reached |= {after for before in reached for after in MOVES[before]}

    assert reached == set(State)
    for state in LIVE:
        assert State.CANCELLED in MOVES[state]
        assert State.FAILED in MOVES[state]


def test_only_a_claim_makes_a_job_run() -> None:
    into_running = {before for before in State if State.RUNNING in MOVES[before]}

    assert into_running == {State.QUEUED, State.RUNNING}
    assert {(State.QUEUED, State.RUNNING)} == CLAIM_MOVES - SETTLE_MOVES
    assert {(State.QUEUED, State.HELD)} == CLAIM_MOVES & SETTLE_MOVES
    assert not CLAIM_MOVES & SWEEP_MOVES


def test_only_what_ran_can_succeed() -> None:
    assert [state for state in State if State.SUCCEEDED in MOVES[state]] == [State.RUNNING]


def test_the_verbs_share_out_all_moves() -> None:
    every = {(before, after) for before in State for after in MOVES[before]}

    assert every == CLAIM_MOVES | SWEEP_MOVES | SETTLE_MOVES


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_move_is_legal_if_the_table_has_it(before: State, after: State) -> None:
    assert is_legal(before, after) == (after in MOVES[before])


def test_no_reason_belongs_to_a_state_that_explains_itself() -> None:
    for state in (State.QUEUED, State.SUCCEEDED, State.CANCELLED):
        assert REASONS[state] == {None}
    for state in (State.WAITING, State.SCHEDULED, State.HELD, State.FAILED, State.SKIPPED):
        assert None not in REASONS[state]


def test_every_reason_is_some_states_reason() -> None:
    used = {reason for reasons in REASONS.values() for reason in reasons}

    assert used == {None, *Reason}


# -- after an attempt --------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "retry_s", "after", "reason", "delay_s", "attempt", "failures"),
    [
        (Succeeded(b"1"), 9.0, State.SUCCEEDED, None, 0, 4, 2),
        (Failed(BOOM), 9.0, State.SCHEDULED, Reason.RETRY, 9, 4, 3),
        (Failed(BOOM, after_s=1.5), 9.0, State.SCHEDULED, Reason.RETRY, 1.5, 4, 3),
        (Failed(BOOM, after_s=0.0), 9.0, State.SCHEDULED, Reason.RETRY, 0, 4, 3),
        (Failed(BOOM, after_s=1.5), None, State.FAILED, Reason.ERROR, 0, 4, 3),
        (Failed(BOOM), None, State.FAILED, Reason.ERROR, 0, 4, 3),
        (Failed(BOOM, retryable=False), 9.0, State.FAILED, Reason.ERROR, 0, 4, 3),
        (Failed(BOOM, Reason.TIMEOUT), None, State.FAILED, Reason.TIMEOUT, 0, 4, 3),
        (Failed(BOOM, Reason.TIMEOUT), 9.0, State.SCHEDULED, Reason.RETRY, 9, 4, 3),
        (Snoozed(60.0), None, State.SCHEDULED, Reason.SNOOZE, 60, 4, 2),
        (Cancelled(), 9.0, State.CANCELLED, None, 0, 4, 2),
        (Released(started=True), 9.0, State.QUEUED, None, 0, 4, 2),
        (Released(started=False), 9.0, State.QUEUED, None, 0, 3, 2),
        (Unknown(30.0), 9.0, State.SCHEDULED, Reason.UNKNOWN_TASK, 30, 3, 2),
        (Continued((), (JobId("a"),)), 9.0, State.WAITING, Reason.CHILDREN, 0, 4, 2),
    ],
)
def test_an_outcome_decides_the_next_move(
    outcome: Outcome,
    retry_s: float | None,
    after: State,
    reason: Reason | None,
    delay_s: float,
    attempt: int,
    failures: int,
) -> None:
    move = after_attempt(CLAIM, outcome, retry_s)

    assert (move.after, move.reason, move.delay_s) == (after, reason, delay_s)
    assert (move.attempt, move.failures) == (attempt, failures)


@given(claims, outcomes, st.none() | delays)
def test_every_outcome_gives_a_legal_move_under_the_claims_fence(
    claim: Claim, outcome: Outcome, retry_s: float | None
) -> None:
    move = after_attempt(claim, outcome, retry_s)

    assert (move.job_id, move.fence, move.before) == (claim.job_id, claim.fence, State.RUNNING)
    assert (move.before, move.after) in SETTLE_MOVES
    assert move.after is not State.RUNNING
    assert move.reason in REASONS[move.after]
    assert move.actor is None


@given(claims, outcomes, st.none() | delays)
def test_only_a_failure_counts_as_one_and_carries_an_error(
    claim: Claim, outcome: Outcome, retry_s: float | None
) -> None:
    move = after_attempt(claim, outcome, retry_s)
    failed = isinstance(outcome, Failed)

    assert move.failures - claim.failures == (1 if failed else 0)
    assert (move.error is not None) == (move.error_type is not None) == failed
    assert move.result == (outcome.result if isinstance(outcome, Succeeded) else None)


@given(claims, outcomes, st.none() | delays)
def test_an_attempt_is_uncounted_only_if_its_code_never_began(
    claim: Claim, outcome: Outcome, retry_s: float | None
) -> None:
    move = after_attempt(claim, outcome, retry_s)
    begun = not isinstance(outcome, Unknown) and outcome != Released(started=False)

    assert move.attempt == claim.attempt - (0 if begun else 1) >= 0


@given(claims, outcomes, st.none() | delays)
def test_a_delay_is_only_ever_given_to_what_waits_for_the_clock(
    claim: Claim, outcome: Outcome, retry_s: float | None
) -> None:
    move = after_attempt(claim, outcome, retry_s)

    assert move.delay_s >= 0
    assert move.delay_s == 0 or move.after is State.SCHEDULED


@given(errors)
def test_an_error_survives_the_way_into_the_store_and_back(error: ErrorInfo) -> None:
    assert decode_error(encode_error(error)) == error


def test_the_table_of_outcomes_has_every_kind() -> None:
    ended = {Succeeded, Failed, Snoozed, Cancelled, Released, Unknown}

    assert set(get_args(Outcome)) == ended | {Continued, Diverged}


# -- after a cancel request --------------------------------------------------


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_cancel_ends_what_does_not_run_and_asks_what_does(state: State) -> None:
    move = after_cancel(make_job(state), "operator")

    assert move is not None
    if state is State.RUNNING:
        assert (move.after, move.reason) == (State.RUNNING, Reason.CANCEL_REQUESTED)
    else:
        assert (move.after, move.reason) == (State.CANCELLED, None)


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_cancel_is_a_legal_move_that_keeps_the_counters_and_names_its_actor(
    state: State,
) -> None:
    move = after_cancel(make_job(state), "operator")

    assert move is not None
    assert (move.job_id, move.before, move.fence) == ("j", state, 5)
    assert (state, move.after) in SETTLE_MOVES
    assert move.reason in REASONS[move.after]
    assert (move.attempt, move.failures, move.actor) == (4, 2, "operator")


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_a_job_that_has_ended_cannot_be_cancelled(state: State) -> None:
    assert after_cancel(make_job(state), "operator") is None
