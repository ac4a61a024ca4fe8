"""Jobs that wait for others: inserted with their edges, and let go or given up with them."""

from collections.abc import Sequence

from windlass.core.lifecycle import UPSTREAM_FAILED, encode_error, upstream_error
from windlass.errors import JobNotFound
from windlass.model.jobs import JobId, JobRequest, State
from windlass.model.outcomes import Transition
from windlass.model.topics import CLOCK, DONE, queue_topic
from windlass.stores.postgres import edge_sql, sql
from windlass.stores.postgres.connection import Connection
from windlass.stores.postgres.events import write_events
from windlass.stores.postgres.rows import Row, insert_columns


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
    return [holder for (holder,) in rows]


async def insert_linked(connection: Connection, requests: Sequence[JobRequest]) -> list[JobId]:
    """Insert jobs of which some wait for others, parents before children.

    Raises: JobNotFound, for one to wait for that does not exist.
    """
    async with connection.transaction():
        stored = await insert_keyed(connection, requests)
        stands = {request.id: job_id for request, job_id in zip(requests, stored, strict=True)}
        edges = [
            (request.id, place, stands.get(edge.parent, edge.parent), edge.slot, edge.position)
            for request in requests
            if stands[request.id] == request.id
            for place, edge in enumerate(request.after)
        ]
        await _add(connection, edges)
    return stored


async def continue_as(connection: Connection, step: Transition) -> bool:
    """Have a job that runs wait for jobs of its own, which are inserted with it."""
    async with connection.transaction():
        ends = sorted({edge.parent for edge in step.after_children})
        facts = (step.job_id, step.fence, len(ends))
        state = await connection.fetchval(edge_sql.CONTINUE_JOB, *facts)
        if state == State.CANCELLED:
            await connection.execute(sql.NOTIFY, [DONE])
            await advance(connection, [step.job_id])
        if state != State.WAITING:
            return state is not None
        stored = await insert_linked(connection, step.children)
        stands = {child.id: job_id for child, job_id in zip(step.children, stored, strict=True)}
        place = await connection.fetchval(edge_sql.NEXT_PLACE, step.job_id)
        edges = [
            (step.job_id, n, stands[edge.parent], edge.slot, edge.position)
            for n, edge in enumerate(step.after_children, place)
        ]
        await _add(connection, edges)
    return True


async def _add(connection: Connection, edges: Sequence[Row]) -> None:
    """Have jobs wait for others, or go on where those have ended already.

    edges:  child, place, parent, slot, position; one that was added before changes nothing.
    Raises: JobNotFound, for a parent that does not exist.
    """
    if not edges:
        return
    new = await connection.fetch(edge_sql.ADD_EDGES, *map(list, zip(*edges, strict=True)))
    children = {child for (child,) in new}
    parents = sorted({parent for child, _, parent, *_ in edges if child in children})
    marked = {parent for (parent,) in await connection.fetch(edge_sql.MARK_PARENTS, parents)}
    for parent in parents:
        if parent not in marked:
            raise JobNotFound(parent)
    await advance(connection, parents, sorted(children))


async def advance(
    connection: Connection, ids: Sequence[JobId], children: Sequence[JobId] | None = None
) -> None:
    """Let go, or give up, what waits for those of the jobs which have ended.

    children: only these; None: all that wait.
    """
    ended = await connection.fetch(edge_sql.FIND_ENDED_PARENTS, list(ids))
    good = sorted(row[0] for row in ended if row[2] == State.SUCCEEDED)
    topics: set[str] = set()
    if good:
        for state, queue in await connection.fetch(edge_sql.LET_GO, good, children):
            if state != State.WAITING:
                topics.add(queue_topic(queue) if state == State.QUEUED else CLOCK)
    bad = [row for row in ended if row[2] != State.SUCCEEDED]
    if bad and await _give_up(connection, bad, children):
        topics.add(DONE)
    if topics:
        await connection.execute(sql.NOTIFY, sorted(topics))


async def _give_up(
    connection: Connection, ended: Sequence[Row], children: Sequence[JobId] | None
) -> bool:
    errors = [encode_error(upstream_error(row[0], row[1], State(row[2]), row[3])) for row in ended]
    after = [State.CANCELLED if row[2] == State.CANCELLED else State.FAILED for row in ended]
    ids = [row[0] for row in ended]
    facts = (ids, after, errors, children, UPSTREAM_FAILED)
    given_up = await connection.fetch(edge_sql.GIVE_UP, *facts)
    acts = [(job_id, State.WAITING, None, None, error) for job_id, error in given_up]
    await write_events(connection, acts)
    return bool(given_up)
