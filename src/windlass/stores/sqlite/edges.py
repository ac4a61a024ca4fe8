"""Jobs that wait for others: inserted with their edges, and let go or given up with them."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace as with_

from windlass.errors import JobNotFound
from windlass.model.jobs import TERMINAL, Edge, JobId, JobRequest, Rule, State
from windlass.model.outcomes import Transition
from windlass.stores.sqlite import edge_sql, sql, waits
from windlass.stores.sqlite.marks import insert_once
from windlass.stores.sqlite.runs import add_step, keep_turn
from windlass.stores.sqlite.sweeping import topic_of
from windlass.stores.sqlite.waits import Ended
from windlass.stores.sqlite.writer import Transaction


def is_linked(request: JobRequest) -> bool:
    """Tell whether more than its own row is to be written for a job."""
    return bool(request.after) or request.step is not None


def insert_linked(requests: Sequence[JobRequest], transaction: Transaction) -> list[JobId]:
    """Insert jobs of which some wait for others or are steps, parents before children.

    Raises: JobNotFound, for one to wait for that does not exist.
    """
    stored: dict[JobId, JobId] = {}
    for request in requests:
        is_new = not transaction.execute(sql.GET_JOB, {"id": request.id}).fetchall()
        stored[request.id] = insert_once(request, transaction)
        if is_new and stored[request.id] == request.id:
            if request.step is not None:
                add_step(request.id, request.step, transaction)
            edges = [
                with_(edge, parent=stored.get(edge.parent, edge.parent)) for edge in request.after
            ]
            if edges:
                _wait(request.id, edges, request.rule, 0, transaction)
    return [stored[request.id] for request in requests]


def continue_as(step: Transition, transaction: Transaction) -> bool:
    """Have a job that runs wait for others, some of which may be inserted with it."""
    facts = {
        "id": step.job_id,
        "fence": step.fence,
        "attempt": step.attempt,
        "failures": step.failures,
    }
    transaction.execute(edge_sql.CONTINUE_JOB, facts)
    if not transaction.changes():
        return False
    stored = insert_linked(step.children, transaction)
    stands = {child.id: job_id for child, job_id in zip(step.children, stored, strict=True)}
    edges = [
        with_(edge, parent=stands.get(edge.parent, edge.parent)) for edge in step.after_children
    ]
    if step.rule is None:
        parents = {edge.parent for edge in edges}
        transaction.execute(edge_sql.EXPECT_PARENTS, (len(parents), step.job_id))
    for job_id, turn in step.turns:
        keep_turn(job_id, turn, transaction)
    [[place]] = transaction.execute(edge_sql.NEXT_PLACE, (step.job_id,)).fetchall()
    transaction.execute(edge_sql.END_AWAITING, (step.job_id,))
    _wait(step.job_id, edges, step.rule, place, transaction)
    return True


def _wait(
    child: JobId, edges: Sequence[Edge], rule: Rule | None, first: int, transaction: Transaction
) -> None:
    """Have a job wait for others, or go on where those have ended already.

    first:  the place of the first edge among those of the job.
    Raises: JobNotFound, for a parent that does not exist.
    """
    if rule is not None:
        waits.begin(child, rule, edges, transaction)
    added = [edge for edge in edges if not (first and _awaits_again(child, edge, transaction))]
    transaction.executemany(
        edge_sql.ADD_EDGE,
        [
            (child, place, edge.parent, edge.slot, edge.position)
            for place, edge in enumerate(added, first)
        ],
    )
    for parent in dict.fromkeys(edge.parent for edge in edges):
        found = transaction.execute(edge_sql.MARK_PARENT, (parent,)).fetchall()
        if not found:
            raise JobNotFound(parent)
        if found[0][0] in TERMINAL:
            _tell(transaction, parent, [child])


def _awaits_again(child: JobId, edge: Edge, transaction: Transaction) -> bool:
    """Await what a job has awaited before; False if it has not."""
    facts = (child, edge.parent, edge.slot, edge.position)
    return bool(transaction.execute(edge_sql.AWAIT_AGAIN, facts).fetchall())


def advance(transaction: Transaction, parent: JobId) -> None:
    """Let go, give up or skip what waits for a job that has just ended."""
    _tell(transaction, parent, _children_of(transaction, parent))


def _children_of(transaction: Transaction, parent: JobId) -> list[JobId]:
    found = transaction.execute(edge_sql.FIND_CHILDREN, (parent,)).fetchall()
    return [child for (child,) in found]


def _tell(transaction: Transaction, parent: JobId, children: Sequence[JobId]) -> None:
    """Tell an end, and those that it brings about, each before the next child is told.

    A list of what is still to be told, and no recursion: a chain may be long.
    """
    [facts] = transaction.execute(edge_sql.FIND_ENDED_PARENT, (parent,)).fetchall()
    telling: list[tuple[Ended, Iterator[JobId]]] = [(Ended(parent, *facts), iter(children))]
    while telling:
        ended, rest = telling[-1]
        child = next(rest, None)
        if child is None:
            telling.pop()
            continue
        ends = _tell_one(transaction, ended, child)
        if ends is not None and ends.downstream:
            telling.append((ends, iter(_children_of(transaction, ends.id))))


def _tell_one(transaction: Transaction, ended: Ended, child: JobId) -> Ended | None:
    """Tell a job that one has ended for which it waits, or waited; return it if it ends by that."""
    if ended.state == State.SUCCEEDED:
        facts = {"id": child, "now": transaction.now}
        let_go = transaction.execute(edge_sql.LET_GO, facts).fetchall()
        for after, queue in let_go:
            transaction.topics.update(filter(None, [topic_of(after, queue, None)]))
        if let_go:
            return None
    else:
        after = State.CANCELLED if ended.state == State.CANCELLED else State.FAILED
        given_up = waits.end(transaction, edge_sql.GIVE_UP, child, after, ended.told())
        if given_up is not None:
            return given_up
    return waits.count(transaction, ended, child)
