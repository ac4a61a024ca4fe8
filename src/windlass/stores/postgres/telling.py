"""Telling those that wait what has ended: they are let go, given up, or skipped."""

from collections.abc import Sequence
from typing import NamedTuple

from windlass.core.lifecycle import UPSTREAM_FAILED, encode_error, upstream_error
from windlass.core.rules import Verdict, verdict
from windlass.model.jobs import TERMINAL, JobId, Rule, State
from windlass.model.runs import Counts
from windlass.model.topics import CLOCK, DONE, queue_topic
from windlass.stores.postgres import edge_sql, sql, wait_sql
from windlass.stores.postgres.connection import Connection
from windlass.stores.postgres.events import write_events

ENDS = {
    Verdict.START: State.QUEUED,
    Verdict.SKIP: State.SKIPPED,
    Verdict.FAIL: State.FAILED,
    Verdict.CANCEL: State.CANCELLED,
}


class Ended(NamedTuple):
    """A job that has ended, as those that wait for it are told.

    error:     its own, where it was given up itself.
    has_plain: whether others may wait for its success.
    has_ruled: whether others may wait for it by a rule.
    """

    id: JobId
    task: str
    state: str
    error_type: str | None
    error: bytes | None
    has_plain: bool = False
    has_ruled: bool = False

    def told(self) -> bytes:
        """Return the error of who cannot run because of it."""
        if self.error is not None:
            return self.error  # the first that went wrong is the cause of all
        told = upstream_error(self.id, self.task, State(self.state), self.error_type)
        return encode_error(told)


class News:
    """What has happened to those that were told, to be written down and rung for."""

    def __init__(self) -> None:
        self._ended: dict[JobId, bytes | None] = {}
        self._topics: set[str] = set()

    def end(self, job_id: JobId, error: bytes | None) -> None:
        """Note that a job which waited has ended."""
        self._ended[job_id] = error
        self._topics.add(DONE)

    def let_go(self, state: str, queue: str) -> None:
        """Note that a job waits no more."""
        self._topics.add(queue_topic(queue) if state == State.QUEUED else CLOCK)

    async def write(self, connection: Connection) -> None:
        """Write the events, and ring."""
        acts = [(i, State.WAITING, None, None, error) for i, error in self._ended.items()]
        await write_events(connection, acts)
        if self._topics:
            await connection.execute(sql.NOTIFY, sorted(self._topics))


async def advance(
    connection: Connection, ids: Sequence[JobId], children: Sequence[JobId] | None = None
) -> None:
    """Tell all that waits for those of the jobs which have ended, and so on down.

    children: only these; None: all that wait.
    """
    news = News()
    ended = await _find(connection, edge_sql.FIND_ENDED_PARENTS, ids)
    if any(one.has_ruled or one.state != State.SUCCEEDED for one in ended):
        await connection.execute(edge_sql.PLAN_BY_ID)
    while ended:
        below = await _tell_plain(connection, ended, children, news)
        below += await _tell_ruled(connection, ended, children, news)
        ended = await _find(connection, edge_sql.FIND_ENDED_BELOW, below) if below else []
        children = None  # these have just ended, so all that wait for them are to be told
    await news.write(connection)


async def _find(connection: Connection, statement: str, ids: Sequence[JobId]) -> list[Ended]:
    return [Ended(*row) for row in await connection.fetch(statement, list(ids), UPSTREAM_FAILED)]


async def _tell_plain(
    connection: Connection, ended: Sequence[Ended], children: Sequence[JobId] | None, news: News
) -> list[JobId]:
    """Tell who waits for successes; return those that were given up and have others below."""
    ended = [one for one in ended if one.has_plain]
    good = sorted(one.id for one in ended if one.state == State.SUCCEEDED)
    if good:
        for state, queue in await connection.fetch(edge_sql.LET_GO, good, children):
            if state != State.WAITING:
                news.let_go(state, queue)
    bad = [one for one in ended if one.state != State.SUCCEEDED]
    if not bad:
        return []
    after = [State.CANCELLED if one.state == State.CANCELLED else State.FAILED for one in bad]
    facts = [one.id for one in bad], after, [one.told() for one in bad]
    below = []
    for job_id, error, is_parent in await connection.fetch(
        edge_sql.GIVE_UP, *facts, children, UPSTREAM_FAILED
    ):
        news.end(job_id, error)
        if is_parent:
            below.append(job_id)
    return below


async def _tell_ruled(
    connection: Connection, ended: Sequence[Ended], children: Sequence[JobId] | None, news: News
) -> list[JobId]:
    """Count the ends for who waits by a rule; return those that end by it."""
    states = {one.id: one.state for one in ended if one.has_ruled}
    if not states:
        return []
    locked = await connection.fetch(wait_sql.LOCK_WAITS, list(states), children)
    if not locked:
        return []
    facts = list(states), list(states.values()), [child for (child,) in locked]
    decided: dict[JobId, State] = {}
    for waits, job_id, rule, *counts in await connection.fetch(wait_sql.COUNT_ENDS, *facts):
        after = ENDS.get(verdict(Rule(rule), Counts(*counts))) if waits else None
        if after is not None:
            decided[job_id] = after
    return await _decide(connection, decided, news) if decided else []


async def _decide(connection: Connection, decided: dict[JobId, State], news: News) -> list[JobId]:
    errors = await _errors_of(connection, decided)
    ids = sorted(decided)
    facts = ids, [decided[i] for i in ids], [errors.get(i) for i in ids], UPSTREAM_FAILED
    below = []
    for job_id, state, queue, error in await connection.fetch(wait_sql.DECIDE_WAITING, *facts):
        if State(state) in TERMINAL:
            news.end(job_id, error)
            below.append(job_id)
        else:
            news.let_go(state, queue)
    return below


async def _errors_of(connection: Connection, decided: dict[JobId, State]) -> dict[JobId, bytes]:
    """Return the errors of those which cannot run because another ended badly."""
    bad = {i: state for i, state in decided.items() if state in (State.FAILED, State.CANCELLED)}
    if not bad:
        return {}
    facts = list(bad), list(bad.values()), UPSTREAM_FAILED
    causes = await connection.fetch(wait_sql.FIND_CAUSES, *facts)
    return {child: Ended(*cause).told() for child, *cause in causes}
