"""Windlass: one worker which schedules too; the store comes from WINDLASS_STORE."""

import ticks

from windlass import App, every

app = App()


@app.task(schedule=every(1.0, anchor=ticks.ANCHOR))
async def tick() -> None:
    """Note the fire."""
    ticks.note()
