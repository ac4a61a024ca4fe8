"""Writing into the history of jobs what has just been done to their rows."""

from collections.abc import Sequence
from typing import Any

from windlass.stores.postgres import sql
from windlass.stores.postgres.connection import Connection


async def write_events(connection: Connection, acts: Sequence[tuple[Any, ...]]) -> None:
    """Write an event for each ``(id, before, worker, actor, error)``; the last two may lack."""
    if acts:
        filled = [(*act, None, None)[:5] for act in acts]
        await connection.execute(sql.WRITE_EVENTS, *map(list, zip(*filled, strict=True)))
