"""APScheduler 3: its asyncio scheduler and memory store; the job runs in the scheduler's loop."""

import asyncio

import ticks
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger


async def tick() -> None:
    """Note the fire."""
    ticks.note()


async def main() -> None:
    """Schedule until killed."""
    scheduler = AsyncIOScheduler()
    scheduler.add_job(tick, IntervalTrigger(seconds=1, start_date=ticks.ANCHOR))
    scheduler.start()
    await asyncio.Event().wait()


asyncio.run(main())
