"""Calls that become one with earlier calls: looked up, decided and written in one transaction."""

from msgspec.structs import replace as with_

from windlass.core.once import (
    Insert,
    Keep,
    Mark,
    Replace,
    Standing,
    decide,
    refuse_other_body,
    refuse_other_call,
)
from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.topics import CLOCK
from windlass.stores.sqlite import sql
from windlass.stores.sqlite.inserting import Writing, insert_one
from windlass.stores.sqlite.rows import SECOND_US

FIND_MARK = """
SELECT mark.job_id, mark.since_us, mark.until_us, job.state, job.attempt, job.payload
  FROM windlass_marks AS mark LEFT JOIN windlass_jobs AS job ON job.id = mark.job_id
 WHERE mark.name = ? AND mark.key = ?
"""

KEEP_MARK = """
INSERT INTO windlass_marks (name, key, job_id, since_us, until_us) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (name, key) DO UPDATE
   SET job_id = excluded.job_id, since_us = excluded.since_us, until_us = excluded.until_us
"""

# Edge: none; the job keeps its state.  Its call is replaced by a newer one.
REPLACE_CALL = """
UPDATE windlass_jobs
   SET payload = :payload, headers = :headers, fingerprint = :fingerprint, lane = :lane,
       limits = :limits,
       due_at = CASE WHEN :delay IS NOT NULL AND state = 'scheduled' THEN :now + :delay
                     ELSE due_at END
 WHERE id = :id AND attempt = 0
"""

# A mark whose time is over, and whose job waits no more, decides nothing; that of an idempotency
# key stays as long as the job.
DELETE_MARKS = """
DELETE FROM windlass_marks
 WHERE until_us <= :now
   AND NOT EXISTS (SELECT 1 FROM windlass_jobs
                    WHERE id = job_id
                      AND (ended_at IS NULL OR windlass_marks.name LIKE 'key:%'))
"""


def insert_once(request: JobRequest, transaction: Writing) -> JobId:
    """Insert a job, or let an earlier one of its key stand for it."""
    once = request.once
    if once is None:
        return insert_one(request, transaction)
    for task, payload in transaction.execute(sql.FIND_CALL, (request.id,)).fetchall():
        refuse_other_call(request, task, payload)
        return request.id  # the same request again
    found = transaction.execute(FIND_MARK, (once.name, once.key)).fetchall()
    mark = standing = None
    for job_id, since_us, until_us, state, attempt, payload in found:
        mark = Mark(job_id, since_us, until_us)
        standing = None if state is None else Standing(State(state), attempt > 0, payload)
    decision = decide(once, request.id, mark, standing, transaction.now)
    refuse_other_body(request, decision, standing)
    match decision:
        case Insert(delay_us):
            delay_s = request.delay_s + delay_us / SECOND_US
            insert_one(with_(request, delay_s=delay_s), transaction)
        case Replace(delay_us, kept):
            facts = {
                "id": kept.job_id,
                "payload": request.payload,
                "headers": request.headers,
                "fingerprint": request.fingerprint,
                "lane": request.lane,
                "limits": request.limits,
                "delay": delay_us,
                "now": transaction.now,
            }
            transaction.execute(REPLACE_CALL, facts)
            transaction.topics.add(CLOCK)
        case Keep():
            pass
    mark = decision.mark
    facts_of_mark = (once.name, once.key, mark.job_id, mark.since_us, mark.until_us)
    transaction.execute(KEEP_MARK, facts_of_mark)
    return mark.job_id
