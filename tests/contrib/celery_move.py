"""A shop on the day of its move: the same tasks on the real Celery and on the front end for it.

``old`` sends the messages, ``app`` is drained into.  Each call of ``note`` leaves one line in the
file MOVE_NOTES.  As a program it sends them, or asks Celery for results; so what Celery's results
leave open ends with it.
"""

import json
import os
import sys
import time as clock
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import UUID

import celery
from celery import chain, chord, group

from windlass.contrib import celery as front
from windlass.contrib.celery.drain import CeleryDrain

WAIT_S = 15.0
SHORT = {"visibility_timeout": 1}  # of kombu on Redis: what a killed one had comes back soon
SETTINGS = {
    "task_default_queue": "move",
    "task_routes": {"move.heavy": {"queue": "move-slow"}},
    "broker_transport_options": SHORT,
    "task_track_started": False,
}


class Closed(Exception):
    """The shop is closed."""


def _add(x: int, y: int = 10) -> int:
    return x + y


def _total(*numbers: int, scale: int = 1) -> int:
    return sum(numbers) * scale


def _summed(numbers: list[int]) -> int:
    return sum(numbers)


def _flaky(self: Any, n: int) -> list[Any]:
    if self.request.retries < n:
        raise self.retry(countdown=0)
    return [self.request.retries, n, self.request.id]


def _shown(*values: Any, **named: Any) -> str:
    return f"{values!r} {named!r}"


def _asked(self: Any, before: Any = None) -> Any:
    told = self.request
    return [before, told.id, told.root_id, told.parent_id, told.group, told.headers]


def _heavy(self: Any) -> str:
    return str(self.request.delivery_info["routing_key"])


def _fail(hour: int) -> None:
    raise Closed(hour)


def _note(*what: Any) -> None:
    with Path(os.environ["MOVE_NOTES"]).open("a") as file:
        file.write(f"{what!r}\n")


def _retired(*what: Any) -> list[Any]:
    return [*what]


_TASKS: dict[str, Callable[..., Any]] = {
    "move.add": _add,
    "move.total": _total,
    "move.summed": _summed,
    "move.flaky": _flaky,
    "move.shown": _shown,
    "move.asked": _asked,
    "move.heavy": _heavy,
    "move.fail": _fail,
    "move.note": _note,
}


def define(app: Any, tasks: dict[str, Callable[..., Any]]) -> None:
    """Define tasks; on both sides in the same way."""
    for name, function in tasks.items():
        bind = "self" in signature(function).parameters
        app.task(name=name, bind=bind, shared=False)(function)


def old_shop(broker: str, backend: str) -> Any:
    """Return the shop as Celery has it."""
    made = celery.Celery("move", broker=broker, backend=backend, set_as_current=False)
    made.conf.update(SETTINGS, broker_connection_retry_on_startup=False)
    define(made, {**_TASKS, "move.retired": _retired})
    return made


def new_shop(broker: str, store: str) -> Any:
    """Return the shop with its import line changed: Celery's broker stays where it is."""
    made = front.Celery("move", broker=broker, windlass={"store": store}, set_as_current=False)
    made.conf.update(SETTINGS)
    define(made, _TASKS)
    return made


def send_calls(shop: Any) -> dict[str, Any]:
    """Send a call of each kind; return their results to be, by what they are."""
    task = {name.partition(".")[2]: task for name, task in shop.tasks.items()}
    add, total, summed, asked = task["add"], task["total"], task["summed"], task["asked"]
    then_two = add.s(1, 1) | group(add.s(2), asked.s() | asked.s())
    day = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    shown = (day, day.replace(tzinfo=None), date(2026, 1, 2), time(3, 4), Decimal("1.10"),
             UUID(int=7), ["a", {"b": None}])  # fmt: skip
    calls: dict[str, Callable[[], Any]] = {
        "positional": lambda: add.delay(1, 2),
        "a default": lambda: add.delay(1),
        "by name": lambda: add.delay(y=5, x=1),
        "any number": lambda: total.delay(1, 2, 3, scale=2),
        "none": lambda: total.delay(),
        "bound, with retries": lambda: task["flaky"].delay(2),
        "with retries already": lambda: task["flaky"].apply_async((3,), retries=2),
        "too many retries already": lambda: task["flaky"].apply_async((5,), retries=3),
        "types": lambda: task["shown"].delay(*shown, when=day),
        "chain": lambda: chain(add.s(1, 1), add.s(5), total.s(7)).apply_async(),
        "chain with partials": lambda: chain(add.s(x=4), add.si(2, 2), add.s(y=1)).apply_async(),
        "chain into a group": lambda: then_two.apply_async(),
        "chain through a chord": lambda: (
            add.s(1, 1) | group(add.s(2), add.s(3)) | summed.s() | add.s(9)
        ).apply_async(),
        "chain with chains in a chord": lambda: (
            add.s(0, 1) | chord([add.s(1) | add.s(2), add.s(5)], summed.s() | total.s(1))
        ).apply_async(),
        "map": lambda: (add.si(1, 1) | summed.map([[1, 2], [3]])).apply_async(),
        "group": lambda: group(add.s(1, 1), asked.s()).apply_async(),
        "link": lambda: add.apply_async(
            (1, 1), link=[task["note"].s("linked"), add.s(1) | task["note"].s("chained")]
        ),
        "link_error": lambda: task["fail"].apply_async((7,), link_error=task["note"].si("failed")),
        "chain that fails": lambda: (task["fail"].s(8) | add.s(1)).apply_async(),
        "ids": lambda: (asked.s() | asked.s() | asked.s()).apply_async(),
        "headers": lambda: asked.apply_async(headers={"tenant": "ann"}),
        "route": lambda: task["heavy"].delay(),
        "chosen queue": lambda: task["heavy"].apply_async(queue="move"),
        "urgent": lambda: add.apply_async((1, 1), priority=3),
        "countdown": lambda: add.apply_async((3, 4), countdown=0.5),
        "expired": lambda: add.apply_async((1, 1), expires=day),
        "expires later": lambda: add.apply_async((1, 1), expires=timedelta(hours=1).seconds),
    }  # fmt: skip
    return {what: call() for what, call in calls.items()}


def send_what_stays(shop: Any) -> dict[str, Any]:
    """Send calls that stay in the old queues; return their results to be."""
    add, summed = shop.tasks["move.add"], shop.tasks["move.summed"]
    return {
        "a chord in flight": chord([add.s(1, 1), add.s(2, 2)])(summed.s()),
        "a chain in a chord in flight": chord([add.s(1, 1) | add.s(3)])(summed.s()),
        "expires within a chain": (add.s(1, 1) | add.s(1).set(expires=99)).apply_async(),
        "no such task": shop.tasks["move.retired"].delay("retired"),
        "arguments that do not fit": shop.send_task("move.add", (1, 2, 3)),
    }


def ids_of(result: Any) -> list[str]:
    """Return the ids of single calls, of all before them too, the last one first."""
    if result is None:
        return []
    members = getattr(result, "results", None)
    own = [result.id] if members is None else [i for each in members for i in ids_of(each)]
    return own + ids_of(result.parent)


def group_of(result: Any) -> str | None:
    """Return the id of a group."""
    return str(result.id) if hasattr(result, "results") else None


def shown(calls: dict[str, Any]) -> dict[str, tuple[list[str], str | None]]:
    """Return the ids of results, and those of groups."""
    return {what: (ids_of(result), group_of(result)) for what, result in calls.items()}


def end_of(shop: Any, task_id: str) -> list[Any]:
    """Wait for the end of a call; return how that was, and the value."""
    result = shop.AsyncResult(task_id)
    until = clock.monotonic() + WAIT_S
    while not result.ready() and clock.monotonic() < until:
        clock.sleep(0.02)
    value = result.result
    if isinstance(value, Exception):
        value = [type(value).__name__, str(value)]
    return [result.state, value]


if "MOVE_BROKER" in os.environ:
    old = old_shop(os.environ["MOVE_BROKER"], os.environ["MOVE_BACKEND"])
    app = new_shop(os.environ["MOVE_BROKER"], os.environ.get("MOVE_STORE", "memory://"))
    CeleryDrain().join(app)

if __name__ == "__main__":
    told: Any = None
    match sys.argv[1:]:
        case ["run"]:
            told = shown(send_calls(old))
            told = {
                "calls": told,
                "ends": {i: end_of(old, i) for ids, _ in told.values() for i in ids},
            }
        case ["send", many]:
            told = {"calls": shown(send_calls(old)), "stays": shown(send_what_stays(old))}
            with old.connection_for_write() as connection, connection.channel() as channel:
                options = {"producer": old.amqp.Producer(channel)}
                told["many"] = [
                    old.send_task("move.add", (n, n), **options).id for n in range(int(many))
                ]
        case ["ask"]:
            told = {task_id: end_of(old, task_id) for task_id in json.load(sys.stdin)}
    print(json.dumps(told), flush=True)
    os._exit(0)
