"""What must never break, by number, and the tests that prove it: each of them exists."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRACT = "src/windlass/testing/contracts"

PROOFS: dict[str, tuple[str, tuple[str, ...]]] = {
    "I1": (
        "an acknowledged enqueue survives kill -9 of everything",
        (
            "tests/e2e/test_nothing_lost.py::test_workers_killed_under_load_lose_nothing",
            "tests/e2e/test_nothing_lost.py"
            "::test_postgres_killed_and_restarted_under_load_loses_nothing",
        ),
    ),
    "I2": (
        "a job enqueued in the caller's transaction exists if and only if that commits",
        (
            "tests/app/test_joining.py::test_a_job_is_there_and_runs_once_its_transaction_commits",
            "tests/app/test_joining.py::test_a_job_is_not_there_after_a_rollback",
            "tests/app/test_joining.py::test_a_savepoint_that_is_rolled_back_takes_its_jobs_along",
            "tests/app/test_joining.py"
            "::test_a_caller_killed_beside_its_commit_leaves_the_job_and_its_own_rows_or_neither",
            "tests/app/test_joining.py"
            "::test_a_caller_killed_at_any_moment_leaves_as_many_jobs_as_rows_of_its_own",
        ),
    ),
    "I3": (
        "the same enqueue again gives the same job",
        (
            f"{CONTRACT}/enqueueing.py::test_the_same_request_again_changes_nothing",
            f"{CONTRACT}/edges.py::test_the_same_requests_again_change_nothing",
            f"{CONTRACT}/once.py::test_the_same_request_again_changes_nothing",
            f"{CONTRACT}/once.py"
            "::test_an_idempotency_key_gives_the_same_job_for_as_long_as_that_is_kept",
            f"{CONTRACT}/once.py"
            "::test_an_idempotency_key_with_another_body_is_a_conflict_and_stores_nothing",
            f"{CONTRACT}/once.py::test_of_many_racing_for_an_idempotency_key_one_wins",
        ),
    ),
    "I4": (
        "a terminal state never changes",
        (f"{CONTRACT}/table.py::test_a_settle_moves_a_job_if_and_only_if_the_table_has_the_move",),
    ),
    "I5": (
        "no move outside the table",
        (
            f"{CONTRACT}/table.py::test_no_settle_from_another_state_changes_anything",
            f"{CONTRACT}/table.py::test_a_sweep_makes_only_the_moves_of_the_clock",
        ),
    ),
    "I6": (
        "each failure and each operator's act has its event",
        (
            f"{CONTRACT}/settling.py::test_each_failure_and_each_act_writes_one_event",
            f"{CONTRACT}/holds.py::test_stepping_aside_and_coming_back_stand_in_the_history",
        ),
    ),
    "I7": (
        "every write of an attempt carries the fence of its claim",
        (
            f"{CONTRACT}/settling.py::test_a_stale_attempt_cannot_finish_the_job",
            f"{CONTRACT}/table.py::test_no_settle_without_the_right_fence_changes_anything",
        ),
    ),
    "I8": (
        "one lease and one accepted result per job",
        (
            f"{CONTRACT}/claiming.py::test_two_workers_never_get_the_same_job",
            f"{CONTRACT}/settling.py::test_the_same_transition_twice_in_a_batch_counts_once",
        ),
    ),
    "I9": (
        "the store's clock alone judges expiry",
        (
            f"{CONTRACT}/sweeping.py::test_the_job_of_a_silent_worker_is_queued_again",
            "tests/unit/test_admission.py"
            "::test_a_clock_that_jumped_back_costs_a_bucket_and_not_the_whole_jump",
        ),
    ),
    "I10": (
        "rescue, cancel and pruning look again in the statement that writes",
        (
            f"{CONTRACT}/sweeping.py::test_a_job_is_lost_once_however_many_sweep",
            f"{CONTRACT}/settling.py::test_a_cancel_decided_before_the_claim_is_refused",
        ),
    ),
    "I11": (
        "a worker that cannot renew stops what it runs",
        (
            "tests/engine/test_worker.py"
            "::test_a_lost_lease_stops_the_attempts_and_the_worker_begins_again",
            "tests/executors/test_processes.py"
            "::test_a_worker_killed_with_sigkill_leaves_no_process_behind",
        ),
    ),
    "I12": (
        "every live job has a mover",
        (
            f"{CONTRACT}/holds.py::test_every_live_job_has_somebody_who_must_move_it",
            "tests/simulation/test_runs.py::test_runs_keep_every_invariant_in_each_seeded_world",
        ),
    ),
    "I13": (
        "identity is a random id",
        (f"{CONTRACT}/leases.py::test_a_worker_found_dead_begins_again_under_a_new_id",),
    ),
    "I14": (
        "what is repeated with the same fence answers the same",
        (
            f"{CONTRACT}/settling.py::test_the_same_transition_again_is_refused",
            f"{CONTRACT}/leases.py::test_leaving_is_idempotent",
        ),
    ),
    "I15": (
        "a paused leader commits nothing and cannot block its successor",
        (
            "tests/stores/test_postgres_leader.py"
            "::test_a_leader_stopped_inside_its_transaction_is_replaced_and_commits_nothing",
            "tests/stores/test_postgres_leader.py"
            "::test_whoever_stops_inside_another_write_holds_up_the_leader_for_two_seconds",
            "tests/engine/test_scheduler.py"
            "::test_a_leader_that_was_paused_past_its_lease_writes_nothing_more",
            "tests/e2e/test_schedulers.py"
            "::test_a_stopped_process_that_holds_the_lock_of_the_file_is_named"
            "_and_work_goes_on_after_it",
            f"{CONTRACT}/schedules.py::test_only_the_leader_of_the_term_fires",
        ),
    ),
    "I16": (
        "on any error or doubt a leader steps down",
        (
            "tests/engine/test_scheduler.py::test_a_write_under_a_lost_term_makes_it_step_down",
            "tests/engine/test_scheduler.py"
            "::test_a_call_that_breaks_again_and_again_is_told_and_does_not_end_it",
            "tests/engine/test_scheduler.py::test_a_killed_leader_is_followed_when_its_lease_ends",
        ),
    ),
    "I17": (
        "correct through a transaction-mode pooler",
        (
            "tests/e2e/test_schedulers.py"
            "::test_each_tick_has_one_outcome_however_the_leader_is_killed_and_paused",
            "tests/e2e/test_schedulers.py"
            "::test_a_leader_that_is_stopped_in_order_hands_over_within_half_a_second",
            "tests/stores/test_postgres_leader.py"
            "::test_a_leader_stopped_inside_its_transaction_is_replaced_and_commits_nothing",
        ),
    ),
    "I18": (
        "each tick has exactly one outcome",
        (
            "tests/e2e/test_schedulers.py"
            "::test_each_tick_has_one_outcome_however_the_leader_is_killed_and_paused",
            "tests/engine/test_scheduler.py"
            "::test_a_clock_that_is_set_on_by_a_day_is_caught_up_with_by_the_rule",
            "tests/engine/test_scheduler.py"
            "::test_a_clock_that_is_set_back_by_a_day_fires_nothing_twice",
            f"{CONTRACT}/schedules.py::test_a_tick_that_has_its_outcome_gets_no_second",
            "tests/simulation/test_schedules.py"
            "::test_each_tick_has_one_outcome_in_each_seeded_world",
        ),
    ),
    "I19": (
        "next(t) > t, in bounded time; each jump of a clock does what the table says",
        (
            "tests/unit/test_trigger_properties.py"
            "::test_the_next_tick_is_later_in_order_and_found_in_bounded_time",
            "tests/unit/test_cron_probes.py::test_each_probe_gives_what_the_table_says",
            "tests/oracle/test_oracle.py"
            "::test_each_zone_at_its_jumps_gives_the_ticks_that_its_clock_shows",
        ),
    ),
    "I20": (
        "an edit is atomic against firing",
        (
            f"{CONTRACT}/schedules.py"
            "::test_an_edit_and_a_fire_of_the_same_revision_exclude_each_other",
            f"{CONTRACT}/schedules.py::test_an_edit_stands_only_on_the_revision_it_was_made_from",
        ),
    ),
    "I21": (
        "a step starts exactly once when its rule holds",
        (
            f"{CONTRACT}/runs.py::test_many_that_end_together_start_a_waiting_job_exactly_once",
            "tests/simulation/test_runs.py::test_runs_keep_every_invariant_in_each_seeded_world",
        ),
    ),
    "I22": (
        "a run has ended if and only if its steps have",
        (
            f"{CONTRACT}/runs.py::test_a_run_goes_on_as_its_steps_until_all_are_done",
            f"{CONTRACT}/runs.py"
            "::test_a_workflow_that_loses_workers_is_left_to_who_can_end_its_steps",
            "tests/simulation/test_runs.py::test_runs_keep_every_invariant_in_each_seeded_world",
        ),
    ),
    "I23": (
        "a step has one result",
        ("tests/simulation/test_runs.py::test_runs_keep_every_invariant_in_each_seeded_world",),
    ),
    "I24": (
        "a journal comes to the same again, and to what plain code comes to",
        ("tests/simulation/test_runs.py::test_runs_keep_every_invariant_in_each_seeded_world",),
    ),
    "I28": (
        "limits are never exceeded and cannot leak",
        (
            "tests/e2e/test_limits.py"
            "::test_a_cap_holds_in_eight_processes_of_which_some_are_killed",
            f"{CONTRACT}/limits.py::test_the_slots_of_a_lost_worker_are_free_again",
            "tests/simulation/test_runs.py::test_runs_keep_every_invariant_in_each_seeded_world",
        ),
    ),
    "I29": (
        "a job that kills its workers fails as poison, and burns no retry",
        (
            f"{CONTRACT}/sweeping.py::test_a_job_that_kills_its_worker_too_often_fails_as_poison",
            f"{CONTRACT}/sweeping.py::test_a_loss_burns_no_retry",
            "tests/e2e/test_nothing_lost.py::test_a_job_that_kills_its_workers_becomes_poison",
        ),
    ),
    "I30": (
        "an unknown or undecodable task blocks nothing",
        (
            "tests/engine/test_worker.py"
            "::test_an_unknown_task_waits_for_a_worker_that_knows_it_and_blocks_nothing",
            "tests/engine/test_worker.py"
            "::test_an_undecodable_job_fails_with_the_reason_and_is_not_retried",
        ),
    ),
    "I31": (
        "what is too large is refused by a typed error",
        (
            "tests/app/test_bad_input.py"
            "::test_a_call_that_cannot_be_kept_is_refused_and_nothing_is_stored",
            f"{CONTRACT}/holds.py::test_there_are_only_so_many_holds",
        ),
    ),
    "I32": (
        "uniqueness is an index over live states",
        (f"{CONTRACT}/enqueueing.py::test_of_many_racing_for_a_unique_key_one_wins",),
    ),
    "I33": (
        "an outage of any length loses nothing, and work goes on within 5 s",
        (
            "tests/e2e/test_outage.py"
            "::test_an_idle_worker_goes_on_within_five_seconds_of_the_stores_return",
            "tests/e2e/test_outage.py"
            "::test_schedulers_fire_again_within_five_seconds_of_the_stores_return",
            "tests/engine/test_scheduler.py"
            "::test_an_outage_ends_nothing_floods_nothing_and_is_over_within_five_seconds",
        ),
    ),
    "I34": (
        "every loop has a watchdog, and polling alone keeps every promise",
        (
            "tests/engine/test_watchdog.py"
            "::test_a_loop_that_misses_its_beats_for_too_long_is_named",
            "tests/engine/test_liveness.py::test_a_loop_whose_call_does_not_come_back_is_named",
            "tests/simulation/test_simulation.py::test_a_seeded_world_keeps_every_invariant",
            "tests/engine/test_scheduler.py"
            "::test_with_every_wake_up_lost_all_still_happens_within_the_sweep",
            "tests/engine/test_scheduler.py::test_a_loop_that_only_breaks_makes_no_progress",
        ),
    ),
}


@pytest.mark.parametrize("number", PROOFS)
def test_what_must_never_break_has_tests_of_its_own(number: str) -> None:
    _, proofs = PROOFS[number]

    for proof in proofs:
        path, _, name = proof.partition("::")
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        names = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

        assert name in names, f"{number}: {proof} is gone"


def test_only_what_is_not_built_yet_has_none() -> None:
    wanted = {f"I{n}" for n in (*range(1, 21), *range(28, 35))}

    assert wanted - set(PROOFS) == set()
