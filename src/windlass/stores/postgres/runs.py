"""Runs in the database: which jobs are their steps."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from windlass.model.jobs import JobId, JobRequest, Reason, Rule, State
from windlass.model.runs import STEPS_PAGE_MAX, Step
from windlass.stores.postgres.connection import Connection, Pool
from windlass.stores.postgres.rows import Row

# Those of a request that is repeated are there.
ADD_STEPS = """
INSERT INTO windlass_steps (job_id, run_id, name, nth, print)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::text[])
ON CONFLICT (job_id) DO NOTHING
"""

# Index: windlass_steps_run, in its order.
LIST_STEPS = """
WITH mine AS MATERIALIZED (
    SELECT * FROM windlass_steps
     WHERE run_id = $1 AND ($2::text IS NULL OR job_id > $2)
     ORDER BY job_id
)
SELECT mine.run_id, mine.name, mine.nth, mine.print, job.id, job.task, job.queue, job.state,
       job.reason, job.attempt, job.started_at, job.ended_at, job.error_type, wait.rule,
       mine.turn
  FROM mine
  JOIN windlass_jobs AS job ON job.id = mine.job_id
  LEFT JOIN windlass_waits AS wait ON wait.job_id = mine.job_id
 WHERE $3::text[] IS NULL OR job.state = ANY ($3)
 ORDER BY mine.job_id
 LIMIT $4
"""

COUNT_STEPS = """
SELECT job.state, count(*)
  FROM windlass_steps AS step JOIN windlass_jobs AS job ON job.id = step.job_id
 WHERE step.run_id = $1
 GROUP BY job.state
"""


KEEP_TURNS = """
UPDATE windlass_steps AS step SET turn = seen.turn
  FROM unnest($1::text[], $2::int[]) AS seen (job_id, turn)
 WHERE step.job_id = seen.job_id AND step.turn IS NULL
"""


class PostgresRuns:
    """The ``Runs`` of one database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _fetch(self, statement: str, *values: Any) -> list[Row]:
        async def fetch(connection: Connection) -> list[Row]:
            async with connection.transaction():
                return list(await connection.fetch(statement, *values))

        return await self._pool.run(fetch)

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
        facts = run, after, None if states is None else list(states), limit
        return [_step_from(row) for row in await self._fetch(LIST_STEPS, *facts)]

    async def tally(self, run: JobId) -> Mapping[State, int]:
        """Count the steps of a run by state; nothing for a run that has none yet."""
        return {State(state): count for state, count in await self._fetch(COUNT_STEPS, run)}


async def add_steps(connection: Connection, requests: Sequence[JobRequest]) -> None:
    """Say of jobs that have just been inserted of which run they are steps, if they are."""
    rows = [(r.id, r.step.run, r.step.name, r.step.nth, r.step.print) for r in requests if r.step]
    if rows:
        await connection.execute(ADD_STEPS, *map(list, zip(*rows, strict=True)))


def _step_from(row: Row) -> Step:
    """Return the step of a row of ``LIST_STEPS``."""
    return Step(
        run=row[0],
        name=row[1],
        nth=row[2],
        print=row[3],
        job_id=row[4],
        task=row[5],
        queue=row[6],
        state=State(row[7]),
        reason=None if row[8] is None else Reason(row[8]),
        attempt=row[9],
        started_at=row[10],
        ended_at=row[11],
        error_type=row[12],
        rule=None if row[13] is None else Rule(row[13]),
        turn=row[14],
    )


async def keep_turns(connection: Connection, turns: Sequence[tuple[JobId, int]]) -> None:
    """Keep as the how-manieth a run has seen the ends of steps."""
    if turns:
        await connection.execute(KEEP_TURNS, *map(list, zip(*turns, strict=True)))
