"""A client that has the depot do everything, and prints what came of it as JSON."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from taskiq import TaskiqResult, TaskiqResultTimeoutError, async_shared_broker, gather
from taskiq.scheduler.scheduled_task import CronSpec

from depot import tasks
from depot.brokers import broker, timetable

WAIT_S = 20.0


def plain(result: TaskiqResult[Any]) -> dict[str, Any]:
    """A result without what differs from run to run."""
    error = result.error
    return {
        "is_err": result.is_err,
        "return_value": repr(result.return_value),
        "error": None if error is None else [type(error).__name__, list(map(repr, error.args))],
        "labels": result.labels,
        "log": result.log,
        "took a moment": 0 <= result.execution_time < 5,
    }


async def ended(handle: Any) -> dict[str, Any]:
    return plain(await handle.wait_result(timeout=WAIT_S, check_interval=0.02))


async def simple() -> dict[str, Any]:
    handle = await tasks.add_one.kiq(1)
    result = await handle.wait_result(timeout=WAIT_S)
    again = await handle.get_result()
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return {
        "called": await tasks.add_one(41),
        "name": tasks.add_one.task_name,
        "packs as": tasks.pack.task_name,
        "one": plain(result),
        "ready": await handle.is_ready(),
        "again": again.return_value,
        "as text": await ended(await tasks.add_one.kiq("11")),
        "no number": await ended(await tasks.add_one.kiq("eleven")),
        "packed": await ended(
            await tasks.pack.kiq(tasks.Parcel(to="ann", grams=700, sent=now), copies=2)
        ),
        "kinds": await ended(
            await tasks.kinds.kiq(
                1, "x", now, "6f1c1f0e-9d0a-4a63-8a45-5b1a2b8a9d11", wait=timedelta(seconds=90)
            )
        ),
        "shapes": await ended(await tasks.shapes.kiq()),
        "typed": await ended(await tasks.label_for.kiq(name="bob")),
    }


async def labelled() -> dict[str, Any]:
    named = "the parcel of ann"
    kicker = tasks.message_seen.kicker().with_labels(diary="ink", weight=4, ok=False)
    handle = await kicker.with_task_id(named).kiq(5)
    seen = await handle.wait_result(timeout=WAIT_S)
    value = dict(seen.return_value)
    return {
        "id kept": value.pop("id") == handle.task_id == named,
        "seen": value,
        "result": plain(seen)["labels"],
        "doubled": await ended(await tasks.add_one.kicker().with_labels(double=1).kiq(20)),
        "rounded": await ended(await tasks.label_for.kicker().with_labels(diary="x").kiq("eve")),
        "diary": (await (await tasks.told.kiq("diary")).wait_result(timeout=WAIT_S)).return_value,
    }


async def wrong() -> dict[str, Any]:
    handle = await tasks.unpack.kicker().with_labels(diary="red").kiq("vase")
    result = await handle.wait_result(timeout=WAIT_S)
    try:
        result.raise_for_error()
        caught = None
    except tasks.Damaged as error:
        caught = [error.parcel, error.pieces, repr(error.__cause__)]
    return {
        "damaged": plain(result),
        "caught": caught,
        "same": (await ended_ok(1)).raise_for_error().return_value,
        "key": await ended(await tasks.look_up.kiq("z")),
        "timeout": await ended(await tasks.nap.kiq(5)),
        "own timeout": await ended(await tasks.nap.kicker().with_labels(timeout=3).kiq(0.2)),
        "rejected": (await ended(await tasks.turned_away.kiq()))["is_err"],
        "diary": (await (await tasks.told.kiq("diary")).wait_result(timeout=WAIT_S)).return_value,
    }


async def ended_ok(value: int) -> TaskiqResult[int]:
    return await (await tasks.add_one.kiq(value)).wait_result(timeout=WAIT_S)


async def retried() -> dict[str, Any]:
    return {
        "opens": await ended(await tasks.knock.kiq("green door", 3)),
        "stays shut": await ended(await tasks.knock.kiq("red door", 9)),
        "not asked for": await ended(await tasks.knock_once.kiq("blue door")),
        "asked for": await ended(
            await tasks.knock_once.kicker().with_labels(retry_on_error=True).kiq("white door")
        ),
        "again": await ended(await tasks.again.kiq(2)),
    }


async def needing() -> dict[str, Any]:
    return {
        "tickets": await ended(await tasks.tickets.kiq()),
        "tools": await ended(await tasks.tools.kiq("light")),
        "after light": await ended(await tasks.told.kiq("opened")),
        "heavy": await ended(await tasks.tools.kiq("heavy")),
        "after heavy": await ended(await tasks.told.kiq("opened")),
        "plain": await ended(await tasks.tools_of_a_plain_function.kiq()),
        "after plain": await ended(await tasks.told.kiq("opened")),
        "locked": await ended(await tasks.locked.kiq()),
    }


async def waiting() -> dict[str, Any]:
    handles = [await tasks.add_one.kiq(n) for n in range(5)]
    late = await tasks.nap.kicker().with_labels(timeout=9).kiq(0.5)
    try:
        await late.wait_result(timeout=0.05, check_interval=0.01)
        timed_out = False
    except TaskiqResultTimeoutError:
        timed_out = True
    nothing = await tasks.without_result.kiq()
    try:
        await nothing.wait_result(timeout=0.3)
        kept_none = False
    except TaskiqResultTimeoutError:
        kept_none = True
    return {
        "gathered": [each.return_value for each in await gather(*handles, timeout=WAIT_S)],
        "timed out": timed_out,
        "late": await ended(late),
        "kept none": kept_none,
    }


async def sharing() -> dict[str, Any]:
    by_name = await tasks.shared.kicker().with_broker(broker).kiq(1)
    first = await ended(by_name)
    async_shared_broker.default_broker(broker)
    return {"first": first, "second": await ended(await tasks.shared.kiq(2))}


async def scheduled() -> dict[str, Any]:
    now = datetime.now(UTC)
    soon = (
        await tasks.deliver.kicker()
        .with_labels(van="blue")
        .schedule_by_time(timetable, now + timedelta(seconds=1), "ann")
    )
    never = await tasks.deliver.schedule_by_time(timetable, now + timedelta(days=1), to="bob")
    await never.unschedule()
    new_year = CronSpec(minutes=0, hours=3, days=1, months=1, offset="Europe/Berlin")
    often = await tasks.deliver.schedule_by_interval(timetable, 1, "eve")
    yearly = await tasks.deliver.schedule_by_cron(timetable, new_year, "dan")
    at_once = await ended(await yearly.kiq())
    async with asyncio.timeout(WAIT_S):
        while True:
            delivered = await (await tasks.counted.kiq("delivered")).wait_result()
            stock = await (await tasks.counted.kiq("stock")).wait_result()
            names = [to for to, _ in delivered.return_value]
            if len(stock.return_value) >= 2 and {"ann", "eve"} <= set(names):
                break
            await asyncio.sleep(0.2)
    await often.unschedule()
    await timetable.delete_schedule(yearly.schedule_id)
    return {
        "soon": isinstance(soon.schedule_id, str),
        "at once": at_once,
        "stock": stock.return_value[:2],
        "delivered": sorted(map(list, {tuple(each) for each in delivered.return_value}), key=str),
    }


PARTS: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
    part.__name__: part
    for part in (simple, labelled, wrong, retried, needing, waiting, sharing, scheduled)
}


async def main(names: list[str]) -> None:
    await broker.startup()
    told: dict[str, Any] = {"office": broker.state.office}
    for name in names or list(PARTS):
        told[name] = await PARTS[name]()
    told["sent something"] = broker.state.sent > 0
    await broker.shutdown()
    told["office then"] = broker.state.office
    print(json.dumps(told, indent=1, default=repr))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
