"""A small shop, in plain functions."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import stock
from qtasks import Depends, QueueTasks
from qtasks.configs import QueueConfig
from qtasks.exc import TaskCancelError
from qtasks.registries import SyncTask

config = QueueConfig(max_tasks_process=4, result_time_interval=0.05)
app = QueueTasks(name="warehouse", broker_url=os.environ.get("SAMPLE_BROKER"), config=config)
app.config.task_default_priority = 2
app.include_router(stock.router)


def counted(key: str) -> int:
    """Count how often this was reached for a key, whatever process it is in."""
    path = Path(os.environ.get("SAMPLE_FOLDER", tempfile.gettempdir())) / f"{key}.count"
    with path.open("a") as file:
        file.write(".")
    return path.stat().st_size


@app.task(name="echo")
def echo(text: str) -> str:
    return text


@app.task(name="divide")
def divide(a: int, b: int):
    return a / b


@app.task
def nothing():
    pass


@app.task
def price(article: str, pieces: int = 1, *, currency: str = "USD") -> dict:
    return {"article": article, "cents": 250 * pieces, "currency": currency, "lines": (1, 2)}


@app.task(middlewares_before=[stock.WithDefaults], middlewares_after=[stock.Signed])
def quote(article: str, currency: str) -> list:
    return [article, currency]


@app.task(middlewares_before=[stock.Audited], echo=True, audience="clerks")
def audited(self: SyncTask, *, article: str) -> dict:
    return {"article": article, "extra": self.extra}


@app.task(echo=True, priority=1, tags=["mail"], description="Says who it is.")
def introduce(self: SyncTask, greeting: str) -> dict:
    self.ctx.get_logger().info("introducing")
    return {
        "greeting": greeting,
        "name": self.task_name,
        "priority": self.priority,
        "echo": self.echo,
        "retry": self.retry,
        "tags": self.tags,
        "description": self.description,
        "extra": self.extra,
        "has_uuid": len(str(self.ctx.task_uuid)) == 36,
        "ctx_name": self.ctx.task_name,
    }


@app.task(echo=True)
def order(self: SyncTask, article: str, pieces: int) -> dict:
    reserved = self.add_task(article, pieces=pieces, task_name="stock.reserve", timeout=20)
    tax = stock.vat.add_task(1000, timeout=20)
    return {"reserved": reserved.returning, "status": reserved.status, "vat": tax.returning}


@app.task(retry=3, retry_on_exc=[ConnectionError])
def flaky(key: str) -> str:
    if counted(key) < 3:
        raise ConnectionError("the carrier is busy")
    return "shipped"


@app.task(retry=2)
def hopeless(key: str):
    counted(key)
    raise KeyError("no such parcel")


@app.task(retry=5, retry_on_exc=[ZeroDivisionError])
def refused(key: str):
    raise ValueError(f"attempt {counted(key)}")


@app.task(retry=5, retry_on_exc=[LookupError])
def subclass(key: str):
    raise KeyError(f"attempt {counted(key)}")


@app.task
def attempts(key: str) -> int:
    return counted(key) - 1


@app.task(echo=True)
def cancelled(self: SyncTask, reason: str):
    self.ctx.cancel(reason)


@app.task(retry=3)
def given_up():
    raise TaskCancelError("nobody wants it")


def in_cents(euros: int) -> int:
    return euros * 100


@app.task(generate_handler=in_cents)
def instalments(n: int):
    for part in range(n):
        yield part + 1


@app.task
def letters(word: str):
    yield from word


def spelled(value) -> str:
    return json.dumps({"spelled": value})


@app.task(decode=spelled)
def decoded(value: str) -> str:
    return value


@app.task
def unfit() -> object:
    return object()


@app.task(max_time=5)
def in_time() -> str:
    return "in time"


@app.task(max_time=0.05, echo=True)
def late(self: SyncTask) -> str:
    self.ctx.sleep(0.3)
    return "never"


@contextmanager
def ledger():
    entries = ["opened"]
    yield entries
    entries.append("closed")


def clerk():
    return "ann"


@app.task
def booked(amount: int, by: Annotated[str, Depends(clerk)], book=Depends(ledger)) -> list:
    return [*book, by, amount]


if __name__ == "__main__":
    app.run_forever(num_workers=1)
