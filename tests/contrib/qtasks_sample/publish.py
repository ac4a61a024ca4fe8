"""Calls every task of the paper, and prints what came of each as JSON."""

import asyncio
import json
import os
import sys
from uuid import uuid4

import columns
import press
from press import app
from qtasks.results import AsyncResult
from telling import told

WAIT = float(os.environ.get("SAMPLE_WAIT", "30"))


async def main() -> dict:
    results = {}

    async def note(name: str, call) -> None:
        results[name] = told(await call)

    await note("fetch", press.fetch.add_task("/a", timeout=WAIT))
    await note("by name", app.add_task("fetch", url="/b", timeout=WAIT))
    await note("by keyword", app.add_task(task_name="fetch", url="/c", timeout=WAIT))
    await note("plain", press.plain.add_task(1, timeout=WAIT))
    await note("silent", press.silent.add_task(timeout=WAIT))
    await note("misfit", press.fetch.add_task(timeout=WAIT))
    await note("introduce", press.introduce.add_task(timeout=WAIT))
    await note("edition", press.edition.add_task(2, timeout=WAIT))
    await note("column", columns.column.add_task("bob", lines=1, timeout=WAIT))
    await note("titled", columns.titled.add_task(title="the tale of tea", timeout=WAIT))
    await note("untitled", columns.titled.add_task(timeout=WAIT))
    await note("shout", columns.shout.add_task("fire", timeout=WAIT))
    await note("signature", columns.signature.add_task("ann", timeout=WAIT))
    await note("initials", columns.initials.add_task("ann bo", timeout=WAIT))
    await note("flaky", press.flaky.add_task("flaky", timeout=WAIT))
    await note("hopeless", press.hopeless.add_task(timeout=WAIT))
    await note("spiked", press.spiked.add_task("old news", timeout=WAIT))
    await note("numbers", press.numbers.add_task(5, timeout=WAIT))
    await note("plain numbers", press.plain_numbers.add_task(3, timeout=WAIT))
    await note("late", press.late.add_task(timeout=WAIT))
    await note("in time", press.in_time.add_task(timeout=WAIT))
    await note("model of mixed", press.greeted.add_task("Test", value=42, timeout=WAIT))
    await note("model of places", press.greeted.add_task("Test", 42, timeout=WAIT))
    await note("model of names", press.greeted.add_task(name="Test", value=42, timeout=WAIT))
    await note("model and more", press.mixed.add_task(name="x", value=1, times=3, timeout=WAIT))
    misfit = await press.greeted.add_task(name="Test", value="no", timeout=WAIT)
    results["model misfit"] = misfit.status  # qtasks runs the task, and fails there
    await note("made", press.made.add_task("m", timeout=WAIT))
    await note("filed", press.filed.add_task("text", timeout=WAIT))

    many = await asyncio.gather(*(press.plain.add_task(n, timeout=WAIT) for n in range(20)))
    results["many"] = [task.returning for task in many]

    stored = await press.fetch.add_task("/later")
    results["stored"] = [stored.status, type(stored.uuid).__name__, list(stored.args)]
    await note("by result", AsyncResult(uuid=stored.uuid).result(timeout=WAIT))
    await note("by get", app.get(stored.uuid))
    await note("by get of text", app.get(str(stored.uuid)))
    await note("by wait", stored.wait_result_async(timeout=WAIT))
    await note("absent", app.get(uuid4()))
    await note("absent result", AsyncResult(uuid=str(uuid4()), app=app).result(timeout=2))

    prepared = press.add(2, 3, priority=1, timeout=WAIT)
    results["prepared"] = [prepared.task_name, prepared.priority, prepared.args, prepared.kwargs]
    await note("prepared task", prepared.add_task())
    results["tasks"] = sorted(app.tasks)
    results["ping"] = await app.ping()
    return results


if __name__ == "__main__":
    json.dump(asyncio.run(main()), sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
