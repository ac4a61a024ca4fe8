"""A shop that moves: as Celery knew it (``old``), and its tasks in Windlass (``app``).

Each run of a task leaves one line in the file SHOP_EFFECTS.
"""

import os
import time
from datetime import datetime
from pathlib import Path

from celery import Celery

from windlass import App
from windlass.contrib.celery.drain import CeleryDrain

BROKER, QUEUE = os.environ.get("SHOP_BROKER", "memory://"), os.environ.get("SHOP_QUEUE", "celery")
SHORT = {"visibility_timeout": 1}  # of kombu on Redis: what a killed one had comes back soon


def effect(line: str) -> None:
    """Leave a line; whole, whoever else writes."""
    with Path(os.environ["SHOP_EFFECTS"]).open("a") as file:
        file.write(f"{line}\n")


def old_shop(broker: str, queue: str) -> Celery:
    """Return the shop as Celery knew it."""
    old = Celery("old", broker=broker, set_as_current=False)
    old.conf.update(
        task_default_queue=queue,
        task_queue_max_priority=10,
        task_serializer="json",
        accept_content=["json", "pickle"],
        broker_connection_retry_on_startup=False,
        worker_prefetch_multiplier=4,
    )
    for name, function in _OLD.items():
        old.task(name=name)(function)
    return old


def _sell(*what: object) -> int:
    effect(f"sell {what!r}")
    return 1


def _retired(*what: object) -> None:
    effect(f"retired {what!r}")


def _total(first: int, second: int = 0) -> int:
    effect(f"total {first + second}")
    return first + second


def _sleep(seconds: float) -> None:
    effect("sleep")
    time.sleep(seconds)


_OLD = {
    "shop.sell": _sell,
    "shop.retired": _retired,
    "shop.total": _total,
    "shop.sleep": _sleep,
}
old = old_shop(BROKER, QUEUE)


def new_shop(store: str | None = None) -> App:
    """Return the shop's tasks in Windlass."""
    app = App(store)

    @app.task(name="shop.sell", priority=5)
    async def sell(number: int, *, at: datetime | None = None) -> int:
        effect(f"sell {number}")
        return number

    @app.task(name="shop.total")
    async def total(first: int, second: int = 0) -> int:
        return first + second

    @app.task(name="shop.renamed", timeout=30)
    async def renamed(what: str) -> None:
        effect(what)

    return app


if "SHOP_STORE" in os.environ:
    app = new_shop(os.environ["SHOP_STORE"])
    CeleryDrain(BROKER, queues=[QUEUE], transport_options=SHORT).join(app)
