"""APScheduler 4: scheduler and worker in one process, in memory or on PostgreSQL."""

import asyncio
import os
from typing import Any

import ticks
from apscheduler import AsyncScheduler
from apscheduler.triggers.interval import IntervalTrigger


async def tick() -> None:
    """Note the fire."""
    ticks.note()


def stores() -> dict[str, Any]:
    """Return where it keeps its schedules and sends its events; nothing for memory."""
    url = os.environ.get("LATENESS_POSTGRESQL")
    if url is None:
        return {}
    from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
    from apscheduler.eventbrokers.asyncpg import AsyncpgEventBroker
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    broker = AsyncpgEventBroker.from_async_sqla_engine(engine)
    return {"data_store": SQLAlchemyDataStore(engine), "event_broker": broker}


async def main() -> None:
    """Schedule until killed."""
    async with AsyncScheduler(**stores()) as scheduler:
        trigger = IntervalTrigger(seconds=1, start_time=ticks.ANCHOR)
        await scheduler.add_schedule(tick, trigger, id="tick")
        await scheduler.run_until_stopped()


if __name__ == "__main__":
    asyncio.run(main())
