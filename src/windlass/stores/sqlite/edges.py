"""Jobs that wait for others: inserted with their edges, and let go or given up with them."""

from collections.abc import Mapping, Sequence

from windlass.core.lifecycle import UPSTREAM_FAILED, encode_error, upstream_error
from windlass.errors import JobNotFound
from windlass.model.jobs import TERMINAL, Edge, JobId, JobRequest, Reason, State
from windlass.model.outcomes import Transition
from windlass.model.topics import DONE
from windlass.stores.sqlite import edge_sql, sql
from windlass.stores.sqlite.inserting import insert_one
from windlass.stores.sqlite.sweeping import topic_of, write_event
from windlass.stores.sqlite.writer import Transaction


def insert_linked(requests: Sequence[JobRequest], transaction: Transaction) -> list[JobId]:
    """Insert jobs of which some wait for others, parents before children.

    Raises: JobNotFound, for one to wait for that does not exist.
    """
    stored: dict[JobId, JobId] = {}
    for request in requests:
        is_new = not transaction.execute(sql.GET_JOB, {"id": request.id}).fetchall()
        stored[request.id] = insert_one(request, transaction)
        if is_new and stored[request.id] == request.id:
            _add_edges(request.id, request.after, 0, stored, transaction)
    return [stored[request.id] for request in requests]


def continue_as(step: Transition, transaction: Transaction) -> bool:
    """Have a job that runs wait for jobs of its own, which are inserted with it."""
    ends = {edge.parent for edge in step.after_children}
    facts = {"id": step.job_id, "fence": step.fence, "upstream": len(ends)}
    transaction.execute(edge_sql.CONTINUE_JOB, facts)
    if not transaction.changes():
        return False
    stored = insert_linked(step.children, transaction)
    stands = {child.id: job_id for child, job_id in zip(step.children, stored, strict=True)}
    [[place]] = transaction.execute(edge_sql.NEXT_PLACE, (step.job_id,)).fetchall()
    _add_edges(step.job_id, step.after_children, place, stands, transaction)
    return True


def _add_edges(
    child: JobId,
    edges: Sequence[Edge],
    first: int,
    stands: Mapping[JobId, JobId],
    transaction: Transaction,
) -> None:
    """Have a job wait for others, or go on where those have ended already.

    first:  the place of the first edge among those of the job.
    stands: which job stands for each that was just inserted.
    Raises: JobNotFound, for a parent that does not exist.
    """
    parents: dict[JobId, None] = {}
    for place, edge in enumerate(edges, first):
        parent = stands.get(edge.parent, edge.parent)
        parents[parent] = None
        transaction.execute(edge_sql.ADD_EDGE, (child, place, parent, edge.slot, edge.position))
    for parent in parents:
        found = transaction.execute(edge_sql.MARK_PARENT, (parent,)).fetchall()
        if not found:
            raise JobNotFound(parent)
        if found[0][0] in TERMINAL:
            _tell(transaction, parent, [child])


def advance(transaction: Transaction, parent: JobId) -> None:
    """Let go, or give up, what waits for a job that has just ended."""
    children = transaction.execute(edge_sql.FIND_CHILDREN, (parent,)).fetchall()
    _tell(transaction, parent, [child for (child,) in children])


def _tell(transaction: Transaction, parent: JobId, children: Sequence[JobId]) -> None:
    found = transaction.execute(edge_sql.FIND_ENDED_PARENT, (parent,)).fetchall()
    [[task, state, error_type]] = found
    if state == State.SUCCEEDED:
        for child in children:
            facts = {"id": child, "now": transaction.now}
            for after, queue in transaction.execute(edge_sql.LET_GO, facts).fetchall():
                transaction.topics.update(filter(None, [topic_of(after, queue, None)]))
        return
    error = encode_error(upstream_error(parent, task, State(state), error_type))
    after = State.CANCELLED if state == State.CANCELLED else State.FAILED
    doomed = list(children)
    while doomed:
        child = doomed.pop()
        facts = {
            "id": child,
            "after": after,
            "reason": None if after is State.CANCELLED else Reason.UPSTREAM,
            "now": transaction.now,
            "error": error,
            "error_type": UPSTREAM_FAILED,
        }
        for (downstream,) in transaction.execute(edge_sql.GIVE_UP, facts).fetchall():
            write_event(transaction, child, State.WAITING, None, None, error)
            transaction.topics.add(DONE)
            if downstream:
                doomed += [
                    c for (c,) in transaction.execute(edge_sql.FIND_CHILDREN, (child,)).fetchall()
                ]
