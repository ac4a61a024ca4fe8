"""Seeded worlds of runs keep every invariant; and the checks find what is planted."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import pytest
from msgspec.structs import replace as with_

from tests.simulation import run_world
from tests.simulation.run_plans import Node
from tests.simulation.run_rules import ENDS, START, decided, outcome
from tests.simulation.run_world import RunWorld
from tests.simulation.world import simulate_in
from windlass.core.rules import Verdict, verdict
from windlass.engine import cancelling, inputs
from windlass.model.jobs import Input, Job, JobId, JobRequest, Rule, State
from windlass.model.outcomes import Transition
from windlass.model.runs import Counts
from windlass.stores.memory import MemoryStore
from windlass.stores.memory_edges import MemoryEdges
from windlass.stores.memory_rows import MemoryData

SEEDS, GROUP = 16, 8
PLANTED_SEEDS = 40


@pytest.mark.parametrize("first", range(0, SEEDS, GROUP))
def test_runs_keep_every_invariant_in_each_seeded_world(first: int) -> None:
    checked = compared = 0
    for seed in range(first, first + GROUP):
        world = simulate_in(RunWorld, seed)
        checked += world.reckoning.dags_checked
        compared += world.reckoning.compared

    assert checked > GROUP
    assert compared > GROUP


def test_the_same_seed_gives_the_same_history() -> None:
    one, two = (simulate_in(RunWorld, 3).digest() for _ in range(2))

    assert one == two


# -- planted faults: a check that cannot fail proves nothing ------------------

Patch = pytest.MonkeyPatch
real_count = MemoryEdges._count


def takes_a_cancelled_one_for_skipped(patch: Patch) -> None:
    """A parent that was cancelled counts as one that was skipped."""

    def faulty(self: MemoryEdges, parent: Job, child: Job, now: datetime) -> None:
        if parent.state is State.CANCELLED:
            parent = with_(parent, state=State.SKIPPED)
        real_count(self, parent, child, now)

    patch.setattr(MemoryEdges, "_count", faulty)


def starts_before_all_have_ended(patch: Patch) -> None:
    """The default rule takes one success for all."""

    def faulty(rule: Rule, counts: Counts) -> Verdict:
        is_early = rule is Rule.ALL_SUCCESS and counts.succeeded
        return Verdict.START if is_early else verdict(rule, counts)

    patch.setattr("windlass.stores.memory_edges.verdict", faulty)


def fails_late(patch: Patch) -> None:
    """The default rule gives nobody up before all have ended."""

    def faulty(rule: Rule, counts: Counts) -> Verdict:
        is_over = counts.ended == counts.parents
        return verdict(rule, counts) if is_over else Verdict.WAIT

    patch.setattr("windlass.stores.memory_edges.verdict", faulty)


def tells_nobody_of_a_skip(patch: Patch) -> None:
    """Who waits for a step that is skipped waits for ever."""
    real = MemoryEdges.advance

    def faulty(self: MemoryEdges, job: Job, now: datetime) -> None:
        if job.state is not State.SKIPPED:
            real(self, job, now)

    patch.setattr(MemoryEdges, "advance", faulty)


def forgets_that_a_run_counts(patch: Patch) -> None:
    """A run that waits for its steps leaves room for another one."""

    def faulty(self: MemoryData) -> list[Job]:
        return self.in_state(State.RUNNING)

    patch.setattr(MemoryData, "in_lanes", faulty)


def leaves_steps_behind(patch: Patch) -> None:
    """A workflow that fails or is cancelled ends, and its steps go on."""

    async def faulty(*arguments: Any) -> bool:
        return False

    patch.setattr(inputs, "cancel_steps", faulty)
    patch.setattr(cancelling, "cancel_steps", faulty)


def makes_steps_twice(patch: Patch) -> None:
    """A stale attempt of a run makes its steps all the same."""
    real = MemoryStore._apply

    def faulty(self: MemoryStore, transition: Transition, now: datetime) -> bool:
        if transition.children and not real(self, transition, now):
            self._insert_all(transition.children, now)
            return False
        return True if transition.children else real(self, transition, now)

    patch.setattr(MemoryStore, "_apply", faulty)


def mixes_up_what_it_gives(patch: Patch) -> None:
    """The results of the parents come in another order."""
    real = MemoryStore.inputs

    async def faulty(self: MemoryStore, job_id: JobId) -> list[Input]:
        return list(reversed(await real(self, job_id)))

    patch.setattr(MemoryStore, "inputs", faulty)


def forgets_the_order_of_ends(patch: Patch) -> None:
    """Which end a workflow saw first is not kept."""
    real = MemoryStore._apply

    def faulty(self: MemoryStore, transition: Transition, now: datetime) -> bool:
        return real(self, with_(transition, turns=()), now)

    patch.setattr(MemoryStore, "_apply", faulty)
    runners = Node("gather", inner=(Node("step", 1, 0.4, "sure"), Node("step", 2, 0.4, "flaky")))
    race = Node("race", inner=(runners, *runners.inner, Node("step", 3, 0.4, "sure")))
    patch.setattr(RunWorld, "lags_s", (2.0,))
    patch.setattr(run_world, "SMALL_FLOW", Node("seq", inner=(race, race, race)))


def swaps_two_steps(patch: Patch) -> None:
    """What the steps of a workflow are called is not what they are."""
    real = MemoryStore._insert_all

    def faulty(self: MemoryStore, requests: Sequence[JobRequest], now: datetime) -> list[JobId]:
        steps = [request.step for request in requests]
        swapped = zip(requests, reversed(steps), strict=True)
        return real(self, [with_(one, step=step) for one, step in swapped], now)

    patch.setattr(MemoryStore, "_insert_all", faulty)


PLANTED = [
    takes_a_cancelled_one_for_skipped,
    starts_before_all_have_ended,
    fails_late,
    tells_nobody_of_a_skip,
    forgets_that_a_run_counts,
    leaves_steps_behind,
    makes_steps_twice,
    mixes_up_what_it_gives,
    forgets_the_order_of_ends,
    swaps_two_steps,
]


@pytest.mark.parametrize("plant", PLANTED)
def test_the_simulation_finds_a_fault_that_is_planted(
    plant: Callable[[Patch], None], monkeypatch: Patch
) -> None:
    plant(monkeypatch)

    def live_through_some() -> None:
        for seed in range(PLANTED_SEEDS):
            simulate_in(RunWorld, seed)

    with pytest.raises(AssertionError, match=r"\(I\d+\)|another result|was given"):
        live_through_some()


# -- the second reading of the rules ------------------------------------------


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule is not Rule.ALWAYS])
def test_both_readings_of_a_rule_agree_at_each_moment(rule: Rule) -> None:
    names = {
        Verdict.START: START,
        Verdict.SKIP: State.SKIPPED,
        Verdict.FAIL: State.FAILED,
        Verdict.CANCEL: State.CANCELLED,
        Verdict.WAIT: None,
    }
    for parents in range(1, 5):
        for ends in _mixtures(parents):
            counts = Counts(
                parents, *(ends.count(end) for end in (ENDS[0], ENDS[1], ENDS[2], ENDS[3]))
            )
            told = decided(rule, ends, parents - len(ends))
            assert names[verdict(rule, counts)] == told, f"{rule} of {ends}, {parents} parents"
            if len(ends) == parents:
                assert told == outcome(rule, ends)


def _mixtures(parents: int) -> list[tuple[State, ...]]:
    found: list[tuple[State, ...]] = [()]
    for _ in range(parents):
        found += [(*ends, end) for ends in found for end in ENDS]
    return sorted({tuple(sorted(ends)) for ends in found if len(ends) <= parents})
