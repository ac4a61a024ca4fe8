"""How far attempts are: in a table of its own, so that no job's row is written for it."""

from collections.abc import Sequence
from typing import Any

from windlass.model.jobs import State
from windlass.model.progress import Progress, ProgressReport
from windlass.stores.postgres.rows import Row

# Index: the primary keys, and nothing else: that the state is compared with a column keeps the
# planner from reading all that runs.  A late report never takes a newer holder's place.
KEEP_PROGRESS = """
WITH kept AS (
    INSERT INTO windlass_progress AS progress (job_id, fence, fraction, message, at)
    SELECT job.id, job.fence, report.fraction, report.message, now()
      FROM unnest($1::text[], $2::bigint[], $3::float8[], $4::text[], $5::text[])
        AS report (job_id, fence, fraction, message, state)
      JOIN windlass_jobs AS job
        ON job.id = report.job_id AND job.fence = report.fence AND job.state = report.state
     ORDER BY job.id
    ON CONFLICT (job_id) DO UPDATE
       SET fence = excluded.fence, fraction = excluded.fraction, message = excluded.message,
           at = excluded.at
     WHERE progress.fence <= excluded.fence
    RETURNING job_id, fence
), told AS (
    SELECT pg_notify('windlass', 'progress') WHERE EXISTS (SELECT 1 FROM kept)
)
SELECT job_id, fence, (SELECT count(*) FROM told) FROM kept
"""

FIND_PROGRESS = """
SELECT job_id, fraction, message, at FROM windlass_progress WHERE job_id = ANY ($1::text[])
"""


def report_columns(reports: Sequence[ProgressReport]) -> list[list[Any]]:
    """Return the values of ``KEEP_PROGRESS``."""
    return [
        [report.job_id for report in reports],
        [report.fence for report in reports],
        [report.fraction for report in reports],
        [report.message for report in reports],
        [State.RUNNING] * len(reports),
    ]


def kept_of(rows: Sequence[Row], reports: Sequence[ProgressReport]) -> list[bool]:
    """Say of each report whether ``KEEP_PROGRESS`` kept it."""
    kept = {(row[0], row[1]) for row in rows}
    return [(report.job_id, report.fence) in kept for report in reports]


def progress_from_row(row: Row) -> Progress:
    """Return the progress of a row of ``FIND_PROGRESS``."""
    return Progress(row[1], row[2], row[3])
