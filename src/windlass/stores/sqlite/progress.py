"""How far attempts are: in a table of its own, so that no job's row is written for it."""

from collections.abc import Sequence

from windlass.model.progress import Progress, ProgressReport
from windlass.model.topics import PROGRESS
from windlass.stores.sqlite.rows import Row, instant_from
from windlass.stores.sqlite.writer import Transaction

KEEP_PROGRESS = """
INSERT INTO windlass_progress (job_id, fence, fraction, message, at)
SELECT id, fence, ?, ?, ? FROM windlass_jobs WHERE id = ? AND fence = ? AND state = 'running'
ON CONFLICT (job_id) DO UPDATE
   SET fence = excluded.fence, fraction = excluded.fraction, message = excluded.message,
       at = excluded.at
"""

FIND_PROGRESS = "SELECT job_id, fraction, message, at FROM windlass_progress WHERE job_id = ?"

DELETE_PROGRESS = "DELETE FROM windlass_progress WHERE job_id = ?"


def keep(reports: Sequence[ProgressReport], transaction: Transaction) -> list[bool]:
    """Keep what holders report; refuse what comes from anybody else."""
    kept = []
    for report in reports:
        said = (report.fraction, report.message, transaction.now)
        transaction.execute(KEEP_PROGRESS, (*said, report.job_id, report.fence))
        kept.append(bool(transaction.changes()))
    if any(kept):
        transaction.topics.add(PROGRESS)
    return kept


def progress_from_row(row: Row) -> Progress:
    """Return the progress of a row of ``FIND_PROGRESS``."""
    return Progress(row[1], row[2], instant_from(row[3]))
