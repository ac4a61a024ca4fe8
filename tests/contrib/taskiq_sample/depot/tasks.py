"""What the depot has done in the background."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel
from taskiq import Context, NoResultError, TaskiqDepends, TaskiqState, async_shared_broker

from depot import needs
from depot.brokers import broker


class Parcel(BaseModel):
    to: str
    grams: int
    sent: datetime


@dataclass
class Label:
    to: str
    weight: float


class Damaged(Exception):
    """A parcel arrived in pieces."""

    def __init__(self, parcel: str, pieces: int) -> None:
        super().__init__(parcel, pieces)
        self.parcel = parcel
        self.pieces = pieces


@broker.task
async def add_one(value: int) -> int:
    """Add one."""
    return value + 1


@broker.task(task_name="depot.pack", fragile=True, shelf=3, price=2.5, note="upside up")
def pack(parcel: Parcel, copies: int = 1) -> list[Label]:
    time.sleep(0.01)
    return [Label(parcel.to, parcel.grams / 1000) for _ in range(copies)]


@broker.task
async def kinds(number, text: str, when: datetime, key: UUID, *, wait: timedelta) -> list[Any]:  # type: ignore[no-untyped-def]
    return [type(each).__name__ for each in (number, text, when, key, wait)]


@broker.task
async def shapes() -> dict[str, Any]:
    return {"pair": (1, 2), "at": datetime(2026, 3, 1, 12, tzinfo=UTC), "label": Label("ann", 1.5)}


@broker.task
async def label_for(name: str) -> Label:
    return Label(name, 0.5)


@broker.task
async def message_seen(value: int, context: Context = TaskiqDepends()) -> dict[str, Any]:
    message = context.message
    return {
        "name": message.task_name,
        "args": message.args,
        "kwargs": message.kwargs,
        "labels": message.labels,
        "id": message.task_id,
    }


@broker.task
async def unpack(parcel: str) -> None:
    try:
        raise OSError("the knife is blunt")
    except OSError as error:
        raise Damaged(parcel, 3) from error


@broker.task
def look_up(key: str) -> str:
    return {"a": "b"}[key]


@broker.task(retry_on_error=True, max_retries=3)
async def knock(door: str, opens_at: int, ledger: needs.Ledger = TaskiqDepends()) -> int:
    times = ledger.count(door)
    if times < opens_at:
        raise ConnectionError(f"nobody at {door}")
    return times


@broker.task
async def knock_once(door: str, ledger: needs.Ledger = TaskiqDepends()) -> int:
    if ledger.count(door) < 2:
        raise ConnectionError(f"nobody at {door}")
    return 2


@broker.task
async def tickets(
    a: int = TaskiqDepends(needs.left),
    b: int = TaskiqDepends(needs.right),
    c: int = TaskiqDepends(needs.own),
) -> list[bool]:
    return [a == b, a == c]


@broker.task
async def tools(
    parcel: str,
    ledger: Annotated[needs.Ledger, TaskiqDepends()],
    crane: Annotated[str, TaskiqDepends(needs.crane)],
    ladder: str = TaskiqDepends(needs.ladder),
    lift: str = TaskiqDepends(needs.lift),
    shelf: needs.Shelf = TaskiqDepends(needs.Shelf, kwargs={"boards": 4}),
    rack: needs.Rack[needs.Shelf] = TaskiqDepends(),
) -> list[Any]:
    if parcel == "heavy":
        raise ValueError("too heavy")
    return [ledger.door, crane, ladder, lift, shelf.boards, rack.content.boards]


@broker.task
def tools_of_a_plain_function(crane: str = TaskiqDepends(needs.crane)) -> str:
    return crane


@broker.task
async def locked(key: str = TaskiqDepends(needs.broken)) -> str:
    return key


@broker.task(timeout=0.1)
async def nap(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "awake"


@broker.task
async def without_result() -> None:
    raise NoResultError


@broker.task
async def again(limit: int, context: Context = TaskiqDepends()) -> str:
    turns = context.message.labels.get("X-Taskiq-requeue", "0")
    if int(turns) < limit:
        await context.requeue()
    return f"after {turns}"


@broker.task
async def turned_away(context: Context = TaskiqDepends()) -> None:
    context.reject()


@broker.task
async def told(what: str, state: TaskiqState = TaskiqDepends()) -> list[Any]:
    """Return what the worker has noted, and forget it."""
    noted = list(state[what])
    state[what].clear()
    return noted


@async_shared_broker.task
async def shared(value: int) -> int:
    return 10 * value


@broker.task(
    schedule=[
        {"interval": 1, "args": [3], "kwargs": {"what": "boxes"}, "labels": {"shift": "day"}},
        {"cron": "0 3 1 1 *", "cron_offset": "Europe/Berlin", "args": [9], "schedule_id": "yearly"},
    ]
)
async def stock(count: int, what: str = "parcels", context: Context = TaskiqDepends()) -> None:
    fact = [
        count,
        what,
        context.message.labels.get("shift"),
        "schedule_id" in context.message.labels,
    ]
    context.state.counts.setdefault("stock", []).append(fact)


@broker.task
async def deliver(to: str, context: Context = TaskiqDepends()) -> None:
    context.state.counts.setdefault("delivered", []).append([to, context.message.labels.get("van")])


@broker.task
async def counted(what: str, state: TaskiqState = TaskiqDepends()) -> list[Any]:
    return list(state.counts.get(what, []))
