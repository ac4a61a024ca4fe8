"""Jobs that wait by a rule: ends are counted, and the rule decides what becomes of them."""

from collections.abc import Sequence
from typing import NamedTuple

from windlass.core.lifecycle import UPSTREAM_FAILED, encode_error, upstream_error
from windlass.core.rules import Verdict, verdict
from windlass.model.jobs import Edge, JobId, Reason, Rule, State
from windlass.model.runs import Counts
from windlass.model.topics import DONE
from windlass.stores.sqlite import wait_sql
from windlass.stores.sqlite.sweeping import topic_of, write_event
from windlass.stores.sqlite.writer import Transaction


class Ended(NamedTuple):
    """A job that has ended, as those that wait for it are told.

    downstream: whether there are any.
    """

    id: JobId
    downstream: int | None
    task: str
    state: str
    error_type: str | None
    error: bytes | None

    def told(self) -> bytes:
        """Return the error of who could not run because of it."""
        if self.error_type == UPSTREAM_FAILED and self.error is not None:
            return self.error  # the first that went wrong is the cause of all
        told = upstream_error(self.id, self.task, State(self.state), self.error_type)
        return encode_error(told)


def begin(child: JobId, rule: Rule, edges: Sequence[Edge], transaction: Transaction) -> None:
    """Have a job wait by a rule, anew if it did before."""
    parents = {edge.parent for edge in edges}
    transaction.execute(wait_sql.KEEP_WAIT, (child, rule, len(parents)))


def count(transaction: Transaction, ended: Ended, child: JobId) -> Ended | None:
    """Count the end of a job for one that waits by a rule; return that one if it ends by it."""
    facts = {"id": child, "how": ended.state}
    for rule, *counts, waits in transaction.execute(wait_sql.COUNT_END, facts).fetchall():
        if waits:
            return _decide(transaction, child, verdict(Rule(rule), Counts(*counts)))
    return None


def _decide(transaction: Transaction, child: JobId, decided: Verdict) -> Ended | None:
    match decided:
        case Verdict.WAIT:
            return None
        case Verdict.START:
            facts = {"id": child, "now": transaction.now}
            for after, queue in transaction.execute(wait_sql.START_WAITING, facts).fetchall():
                transaction.topics.update(filter(None, [topic_of(after, queue, None)]))
            return None
        case Verdict.SKIP:
            return end(transaction, wait_sql.END_WAITING, child, State.SKIPPED, None)
        case Verdict.FAIL | Verdict.CANCEL:
            after = State.FAILED if decided is Verdict.FAIL else State.CANCELLED
            [cause] = transaction.execute(wait_sql.FIND_CAUSE, (child, after)).fetchall()
            return end(transaction, wait_sql.END_WAITING, child, after, Ended(*cause).told())


_REASONS = {State.FAILED: Reason.UPSTREAM, State.SKIPPED: Reason.RULE}


def end(
    transaction: Transaction, statement: str, child: JobId, after: State, error: bytes | None
) -> Ended | None:
    """End a job that waits, if it still does.  statement: which kind of wait it must be."""
    facts = {
        "id": child,
        "after": after,
        "reason": _REASONS.get(after),
        "now": transaction.now,
        "error": error,
        "error_type": None if error is None else UPSTREAM_FAILED,
    }
    for row in transaction.execute(statement, facts).fetchall():
        write_event(transaction, child, State.WAITING, None, None, error)
        transaction.topics.add(DONE)
        return Ended(child, *row)
    return None
