"""Runs in the file: which jobs are their steps."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import msgspec

from windlass.model.jobs import JobId, State, StepOf
from windlass.model.runs import STEPS_PAGE_MAX, Step
from windlass.stores.sqlite.rows import struct_of
from windlass.stores.sqlite.writer import Transaction

ADD_STEP = """
INSERT INTO windlass_steps (job_id, run_id, name, nth, print) VALUES (?, ?, ?, ?, ?)
"""

# Index: windlass_steps_run, in its order.
LIST_STEPS = """
SELECT step.run_id, step.name, step.nth, step.print, step.job_id, job.task, job.queue, job.state,
       job.reason, job.attempt, job.started_at, job.ended_at, job.error_type, wait.rule, step.turn
  FROM windlass_steps AS step
  JOIN windlass_jobs AS job ON job.id = step.job_id
  LEFT JOIN windlass_waits AS wait ON wait.job_id = step.job_id
 WHERE step.run_id = :run
   AND (:after IS NULL OR step.job_id > :after)
   AND (:states IS NULL OR job.state IN (SELECT value FROM json_each(:states)))
 ORDER BY step.job_id
 LIMIT :limit
"""

# Index: as for LIST_STEPS.
COUNT_STEPS = """
SELECT job.state, count(*)
  FROM windlass_steps AS step JOIN windlass_jobs AS job ON job.id = step.job_id
 WHERE step.run_id = :run
 GROUP BY job.state
"""

KEEP_TURN = "UPDATE windlass_steps SET turn = ? WHERE job_id = ? AND turn IS NULL"

DELETE_STEP = "DELETE FROM windlass_steps WHERE job_id = ?"

Scan = Callable[..., Awaitable[list[tuple[Any, ...]]]]


class SqliteRuns:
    """``Runs`` of one file.  scan: reads of the store that they are part of."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan

    async def steps(
        self,
        run: JobId,
        *,
        limit: int,
        after: JobId | None = None,
        states: Collection[State] | None = None,
    ) -> list[Step]:
        """List the steps of a run, the oldest id first; ``after`` pages on."""
        assert 1 <= limit <= STEPS_PAGE_MAX
        named = None if states is None else msgspec.json.encode(list(states)).decode()
        rows = await self._scan(LIST_STEPS, run=run, after=after, states=named, limit=limit)
        return [struct_of(Step, row) for row in rows]

    async def tally(self, run: JobId) -> Mapping[State, int]:
        """Count the steps of a run by state; nothing for a run that has none yet."""
        return {State(state): count for state, count in await self._scan(COUNT_STEPS, run=run)}


def add_step(job_id: JobId, step: StepOf, transaction: Transaction) -> None:
    """List a new job as a step of a run."""
    transaction.execute(ADD_STEP, (job_id, step.run, step.name, step.nth, step.print))


def keep_turn(job_id: JobId, turn: int, transaction: Transaction) -> None:
    """Keep as the how-manieth a run has seen the end of a step."""
    transaction.execute(KEEP_TURN, (turn, job_id))
