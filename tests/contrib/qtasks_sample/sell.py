"""Calls every task of the shop, and prints what came of each as JSON."""

import json
import os
import sys
import time
from uuid import uuid4

import stock
import warehouse
from qtasks.results import SyncResult
from telling import told
from warehouse import app

WAIT = float(os.environ.get("SAMPLE_WAIT", "30"))


def main() -> dict:
    results = {}

    def note(name: str, task) -> None:
        results[name] = told(task)

    note("echo", warehouse.echo.add_task("hello", timeout=WAIT))
    note("unicode", app.add_task("echo", "žluťoučký ☕", timeout=WAIT))
    note("by keyword", app.add_task(task_name="echo", text="named", timeout=WAIT))
    note("divide", warehouse.divide.add_task(1, 0, timeout=WAIT))
    note("misfit", warehouse.divide.add_task(1, timeout=WAIT))
    note("nothing", warehouse.nothing.add_task(timeout=WAIT))
    note("price", warehouse.price.add_task("tea", pieces=3, timeout=WAIT))
    note("priority", warehouse.price.add_task("tea", priority=7, timeout=WAIT))
    note("quote", warehouse.quote.add_task("tea", timeout=WAIT))
    note("audited", warehouse.audited.add_task(article="tea", timeout=WAIT))
    note("introduce", warehouse.introduce.add_task("hi", timeout=WAIT))
    note("introduce with priority", warehouse.introduce.add_task("hi", priority=5, timeout=WAIT))
    note("order", warehouse.order.add_task("tea", 2, timeout=WAIT))
    note("order too much", warehouse.order.add_task("mug", 99, timeout=WAIT))
    note("count", stock.count.add_task("tea", timeout=WAIT))
    note("reserve", stock.reserve.add_task("mug", timeout=WAIT))
    note("weigh", stock.weigh.add_task(21, timeout=WAIT))
    note("vat", stock.vat.add_task(1000, rate=7, timeout=WAIT))
    note("greet", stock.greet.add_task("bob", timeout=WAIT))
    note("flaky", warehouse.flaky.add_task("flaky", timeout=WAIT))
    note("hopeless", warehouse.hopeless.add_task("hopeless", timeout=WAIT))
    note("hopeless attempts", warehouse.attempts.add_task("hopeless", timeout=WAIT))
    note("refused", warehouse.refused.add_task("refused", timeout=WAIT))
    note("refused attempts", warehouse.attempts.add_task("refused", timeout=WAIT))
    note("subclass", warehouse.subclass.add_task("subclass", timeout=WAIT))
    note("subclass attempts", warehouse.attempts.add_task("subclass", timeout=WAIT))
    note("cancelled", warehouse.cancelled.add_task("out of stock", timeout=WAIT))
    note("cancelled without reason", warehouse.cancelled.add_task("", timeout=WAIT))
    note("given up", warehouse.given_up.add_task(timeout=WAIT))
    note("instalments", warehouse.instalments.add_task(3, timeout=WAIT))
    note("letters", warehouse.letters.add_task("abc", timeout=WAIT))
    note("decoded", warehouse.decoded.add_task("x", timeout=WAIT))
    note("unfit", warehouse.unfit.add_task(timeout=WAIT))
    note("in time", warehouse.in_time.add_task(timeout=WAIT))
    note("late", warehouse.late.add_task(timeout=WAIT))
    note("booked", warehouse.booked.add_task(5, timeout=WAIT))

    stored = warehouse.echo.add_task("later")
    results["stored"] = {
        "status": stored.status,
        "uuid": type(stored.uuid).__name__,
        "args": stored.args,
        "args type": type(stored.args).__name__,
        "returning": stored.returning,
        "created": type(stored.created_at).__name__,
        "naive": stored.created_at.tzinfo is None,
        "age": abs(time.time() - stored.created_at.timestamp()) < 60,
    }
    note("by result", SyncResult(uuid=stored.uuid).result(timeout=WAIT))
    note("by result of app", SyncResult(uuid=str(stored.uuid), app=app).result(timeout=WAIT))
    note("by get", app.get(stored.uuid))
    note("by get of text", app.get(str(stored.uuid)))
    note("by wait", stored.wait_result(timeout=WAIT))
    found = app.get(stored.uuid)
    results["found"] = {
        "uuid": type(found.uuid).__name__,
        "same": str(found.uuid) == str(stored.uuid),
        "args type": type(found.args).__name__,
        "updated": found.updated_at >= found.created_at,
    }
    results["absent"] = told(app.get(uuid4()))
    results["absent result"] = told(SyncResult(uuid=uuid4()).result(timeout=2))
    results["too short"] = told(warehouse.late.add_task(timeout=0.01))

    prepared = warehouse.price("mug", pieces=2, priority=4, timeout=WAIT)
    results["prepared"] = [prepared.task_name, prepared.priority, prepared.args, prepared.kwargs]
    note("prepared task", prepared.add_task())

    results["tasks"] = sorted(app.tasks)
    results["reserve schema"] = [
        app.tasks["stock.reserve"].priority,
        app.tasks["stock.reserve"].tags,
    ]
    results["ping"] = app.ping()
    results["task"] = [warehouse.echo.task_name, warehouse.echo.priority, warehouse.flaky.retry]
    try:
        warehouse.echo.add_task(object())
    except Exception:
        results["not json"] = "refused"
    try:

        @app.task(name="echo")
        def again() -> None: ...

    except Exception:
        results["twice"] = "refused"
    return results


if __name__ == "__main__":
    json.dump(main(), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
