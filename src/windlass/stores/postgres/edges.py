"""Jobs that wait for others: inserted with their edges, and let go or given up with them."""

from collections.abc import Collection, Sequence

from msgspec.structs import replace as with_

from windlass.errors import JobNotFound
from windlass.model.jobs import Edge, JobId, JobRequest, Rule, State
from windlass.model.outcomes import Transition
from windlass.model.topics import DONE
from windlass.stores.postgres import edge_sql, sql, wait_sql
from windlass.stores.postgres.connection import Connection
from windlass.stores.postgres.rows import Row, insert_columns
from windlass.stores.postgres.runs import add_steps, keep_turns
from windlass.stores.postgres.telling import advance


async def insert_keyed(connection: Connection, requests: Sequence[JobRequest]) -> list[JobId]:
    """Insert jobs of which some may meet a live one with their key; return who stands for each."""
    async with connection.transaction():
        missing = requests
        while missing:
            await connection.fetch(sql.INSERT_JOBS, *insert_columns(missing))
            ids, tasks, keys = zip(*((r.id, r.task, r.unique_key) for r in requests), strict=True)
            rows = await connection.fetch(sql.FIND_HOLDERS, list(ids), list(tasks), list(keys))
            # A holder may end between the insert and the look: then there is room.
            missing = [r for r, [holder] in zip(requests, rows, strict=True) if holder is None]
        new = [r for r, [holder] in zip(requests, rows, strict=True) if holder == r.id]
        await add_steps(connection, new)
    return [holder for (holder,) in rows]


async def insert_linked(connection: Connection, requests: Sequence[JobRequest]) -> list[JobId]:
    """Insert jobs of which some wait for others, parents before children.

    Raises: JobNotFound, for one to wait for that does not exist.
    """
    async with connection.transaction():
        stored = await insert_keyed(connection, requests)
        stands = {request.id: job_id for request, job_id in zip(requests, stored, strict=True)}
        after = {
            request.id: [with_(e, parent=stands.get(e.parent, e.parent)) for e in request.after]
            for request in requests
            if stands[request.id] == request.id
        }
        rows = [row for child, edges in after.items() for row in _rows_of(child, edges)]
        ruled = {request.id for request in requests if request.rule is not None}
        new, parents = await _add(connection, rows, ruled)
        rules = {request.id: request.rule for request in requests if request.id in new}
        await _keep_waits(
            connection,
            [
                (child, rule, len({edge.parent for edge in after[child]}))
                for child, rule in sorted(rules.items())
                if rule is not None
            ],
        )
        if parents:
            await advance(connection, parents, sorted(new))
    return stored


async def continue_as(connection: Connection, step: Transition) -> bool:
    """Have a job that runs wait for others, some of which may be inserted with it."""
    async with connection.transaction():
        ends = {edge.parent for edge in step.after_children}
        upstream = 0 if step.rule is not None else len(ends)
        facts = step.job_id, step.fence, upstream, step.attempt, step.failures
        state = await connection.fetchval(edge_sql.CONTINUE_JOB, *facts)
        if state == State.CANCELLED:
            await connection.execute(sql.NOTIFY, [DONE])
            await advance(connection, [step.job_id])
        if state != State.WAITING:
            return state is not None
        await keep_turns(connection, step.turns)
        stored = await insert_linked(connection, step.children) if step.children else []
        stands = {child.id: job_id for child, job_id in zip(step.children, stored, strict=True)}
        edges = [with_(e, parent=stands.get(e.parent, e.parent)) for e in step.after_children]
        parents = sorted({edge.parent for edge in edges})
        if step.rule is not None:
            await _wait_by(connection, step.job_id, step.rule, edges, parents)
        else:
            if len(parents) != upstream:
                await connection.execute(edge_sql.EXPECT_PARENTS, step.job_id, len(parents))
            [[_, place]] = await connection.fetch(edge_sql.TURN_EDGES, step.job_id, [])
            await _add(connection, _rows_of(step.job_id, edges, place), ())
        await advance(connection, parents, [step.job_id])
    return True


async def _wait_by(
    connection: Connection, child: JobId, rule: Rule, edges: Sequence[Edge], parents: list[JobId]
) -> None:
    """Have a job wait by a rule, anew if it did before, for jobs new to it and for others."""
    [[known, place]] = await connection.fetch(edge_sql.TURN_EDGES, child, parents)
    added = edges
    if known:
        found = await connection.fetch(edge_sql.FIND_EDGES, child, known)
        kept = {Edge(*row) for row in map(tuple, found)}
        added = [edge for edge in edges if edge not in kept]
    await _add(connection, _rows_of(child, added, place), [child])
    await _keep_waits(connection, [(child, rule, len(parents))])


def _rows_of(child: JobId, edges: Sequence[Edge], first: int = 0) -> list[Row]:
    """Return edges as ``ADD_EDGES`` takes them.  first: the place of the first of them."""
    return [(child, n, e.parent, e.slot, e.position) for n, e in enumerate(edges, first)]


async def _add(
    connection: Connection, edges: Sequence[Row], ruled: Collection[JobId]
) -> tuple[set[JobId], list[JobId]]:
    """Have jobs wait for others; return which of the jobs are new, and for whom these wait.

    edges:  child, place, parent, slot, position; one that was added before changes nothing.
    ruled:  those of the children that wait by a rule.
    Raises: JobNotFound, for a parent that does not exist.
    """
    if not edges:
        return set(), []
    new = await connection.fetch(edge_sql.ADD_EDGES, *map(list, zip(*edges, strict=True)))
    children = {child for (child,) in new}
    awaited = {parent for child, _, parent, *_ in edges if child in children}
    by_rule = {parent for child, _, parent, *_ in edges if child in ruled}
    parents = sorted(awaited)
    facts = parents, [parent in by_rule for parent in parents]
    marked = {parent for (parent,) in await connection.fetch(edge_sql.MARK_PARENTS, *facts)}
    for parent in parents:
        if parent not in marked:
            raise JobNotFound(parent)
    return children, parents


async def _keep_waits(connection: Connection, waits: Sequence[Row]) -> None:
    """Keep how jobs wait by a rule: job, rule, how many it waits for."""
    if waits:
        await connection.execute(wait_sql.KEEP_WAITS, *map(list, zip(*waits, strict=True)))
