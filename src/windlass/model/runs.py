"""Runs and their steps.

A run is a job: the request to run a DAG or a workflow.  Its steps are jobs too, and these rows
say which is which.  Instants are aware, in UTC.
"""

from datetime import datetime

import msgspec

from windlass.model.jobs import Finished, JobId, Reason, Rule, State

STEPS_PAGE_MAX = 1_000


class Counts(msgspec.Struct, frozen=True):
    """How those ended so far for which a job waits by a rule."""

    parents: int
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0

    @property
    def ended(self) -> int:
        """How many of them have ended."""
        return self.succeeded + self.failed + self.cancelled + self.skipped


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a run, with what its job is at this moment.

    print: of the call that made it; "" if none is kept.
    rule:  by which it waits, or waited; None for a step that waited for none.
    turn:  of a workflow: its end was the how-manieth that the run saw; None: not seen yet.
    """

    run: JobId
    name: str
    nth: int
    print: str
    job_id: JobId
    task: str
    queue: str
    state: State
    reason: Reason | None
    attempt: int
    started_at: datetime | None
    ended_at: datetime | None
    error_type: str | None
    rule: Rule | None = None
    turn: int | None = None


class RecordedStep(msgspec.Struct, frozen=True):
    """A step that a workflow has made.  finished: how it ended; None: it has not."""

    step: Step
    finished: Finished | None = None


class History(msgspec.Struct, frozen=True):
    """What an attempt of a workflow goes on from.

    started_at: when its run was enqueued.
    """

    started_at: datetime
    steps: tuple[RecordedStep, ...] = ()
