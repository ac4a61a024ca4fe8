"""``windlass check``: what is set, where it came from, and whether it can work."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from windlass.app import App
from windlass.cli.options import AsJson, Store
from windlass.cli.output import print_facts, print_json, print_table
from windlass.cli.target import load_app
from windlass.config import masked_url
from windlass.core.tasks import TaskSpec
from windlass.engine.client import Client
from windlass.model.jobs import LIVE
from windlass.model.workers import WorkerRow


def check(
    target: Annotated[
        str | None, typer.Argument(help="The app, as module:attribute; else only the store.")
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Print each setting and where it came from, and look whether store, workers and tasks fit.

    Exit code: 0 if all is well or only warned of, 2 for a mistake in the configuration,
    3 without a store.
    """
    app = App(store) if target is None else load_app(target)
    if target is not None and store is not None:
        app.use_store(store)
    settings = _settings(app)
    if not as_json:
        columns = ("setting", "value", "source")
        print_table(columns, [[s[c] for c in columns] for s in settings], empty="")
    try:
        workers, live = app.blocking(_look)
    finally:
        app.close()
    warnings = _warnings(app.specs, workers, live)
    if as_json:
        answer = {"settings": settings, "workers": workers, "live": live, "warnings": warnings}
        print_json({**answer, "tasks": [_task(spec) for spec in app.specs.values()]})
        return 0
    facts = {"store": "answers; its schema is current", "workers": len(workers)}
    print_facts({**facts, "live jobs": sum(live.values()), "tasks": len(app.specs)})
    if app.specs:
        rows = [list(_task(spec).values()) for spec in app.specs.values()]
        print_table(("task", "queue", "isolation", "timeout_s", "attempts"), rows, empty="")
    for warning in warnings:
        print(f"warning: {warning}")
    return 0


async def _look(client: Client) -> tuple[list[WorkerRow], dict[str, int]]:
    live: dict[str, int] = {}
    for (queue, state), count in (await client.counts()).items():
        if state in LIVE:
            live[queue] = live.get(queue, 0) + count
    return await client.workers(), live


def _settings(app: App) -> list[dict[str, Any]]:
    values = {name: getattr(app.settings, name) for name in app.setting_sources}
    values["store"] = masked_url(app.settings.store)
    return [
        {"setting": name, "value": value, "source": app.setting_sources[name]}
        for name, value in values.items()
    ]


def _task(spec: TaskSpec) -> dict[str, Any]:
    return {
        "task": spec.name,
        "queue": spec.queue,
        "isolation": spec.isolation,
        "timeout_s": spec.timeout_s,
        "attempts": spec.retry_policy.attempts_max,
    }


def _warnings(
    specs: Mapping[str, TaskSpec], workers: list[WorkerRow], live: Mapping[str, int]
) -> list[str]:
    served = {queue for worker in workers for queue in worker.queues}
    named = {spec.queue for spec in specs.values()}
    return [
        f"no live worker serves the queue {queue!r}, in which {live.get(queue, 0)} jobs wait"
        for queue in sorted(named | set(live))
        if queue not in served and (workers or live.get(queue))
    ]
