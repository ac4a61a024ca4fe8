"""The app of the scheduler fleets: a hundred schedules of one second, four kinds of them."""

from windlass import App, Schedule, context, cron, every
from windlass.model.schedules import CatchUp
from windlass.model.triggers import Trigger

SCHEDULES = 100

app = App()


def _schedule(number: int) -> Schedule:
    trigger: Trigger = every(1.0) if number % 2 else cron("* * * * * *")
    catch_up = CatchUp.ALL if number % 4 < 2 else CatchUp.LATEST
    return Schedule(trigger, name=f"s{number:03}", overlap="allow", catch_up=catch_up)


@app.task(name="tick", schedule=[_schedule(number) for number in range(SCHEDULES)])
async def tick() -> str:
    """Tell for which tick it ran."""
    occasion = context().occasion
    assert occasion is not None
    return f"{occasion.schedule} {occasion.fire_at.isoformat()}"
