"""``windlass check``: what is set, where it came from, and whether it can work."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from windlass.app import App
from windlass.cli.backlog import Misfit, misfits
from windlass.cli.misscheduled import Findings, misscheduled
from windlass.cli.options import AsJson, Store
from windlass.cli.output import print_facts, print_json, print_table
from windlass.cli.target import load_app
from windlass.config import shown_settings
from windlass.core.serializers import PICKLE
from windlass.core.tasks import TaskSpec
from windlass.dags import faults_of_dags
from windlass.engine.client import Client
from windlass.model.jobs import LIVE
from windlass.model.workers import WorkerRow

MISFIT_COLUMNS = ("task", "queue", "jobs", "unfit", "field", "reason", "sample")


def check(
    target: Annotated[
        str | None, typer.Argument(help="The app, as module:attribute; else only the store.")
    ] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Print each setting and where it came from, and look whether store, workers and tasks fit.

    With an app, it also decodes up to 1,000 live jobs of each task and queue whose payloads were
    made by other code, and finds the jobs of tasks that the app has not.  Schedules in the code
    and those in the store are looked at likewise.  Run it before a deploy.

    Exit code: 0 if all is well or only warned of, 1 if live jobs would not run or schedules would
    not fire with this code, 2 for a mistake in the configuration, 3 without a store.
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
        wrong, foreign = ([], []) if target is None else _misfits(app)
        timed = Findings() if target is None else _misscheduled(app)
    finally:
        app.close()
    warnings = _warnings(app.specs, workers, live) + [_warning_of(each) for each in foreign]
    warnings += timed.warnings
    problems = _problems(app) + timed.problems
    code = 1 if wrong or problems else 0
    if as_json:
        answer = {"settings": settings, "workers": workers, "live": live, "warnings": warnings}
        answer |= {"misfits": wrong, "problems": problems}
        print_json({**answer, "tasks": [_task(spec) for spec in app.specs.values()]})
        return code
    facts = {"store": "answers; its schema is current", "workers": len(workers)}
    print_facts({**facts, "live jobs": sum(live.values()), "tasks": len(app.specs)})
    if app.specs:
        rows = [list(_task(spec).values()) for spec in app.specs.values()]
        print_table(("task", "queue", "isolation", "timeout_s", "attempts"), rows, empty="")
    for warning in warnings:
        print(f"warning: {warning}")
    for problem in problems:
        print(f"problem: {problem}")
    if wrong:
        print("problem: live jobs would not run with this code:")
        print_table(MISFIT_COLUMNS, [_row_of(each) for each in wrong], empty="")
    return code


def _misfits(app: App) -> tuple[list[Misfit], list[Misfit]]:
    return app.blocking(lambda client: misfits(client, app.specs, app.queues()))


def _misscheduled(app: App) -> Findings:
    """Look at the schedules of the code; if these can be stored, at those in the store too."""
    faults = app.schedules.faults()
    if faults:
        return Findings(problems=faults)
    declared = {draft.name for draft in app.schedules.declared()}
    return app.blocking(lambda client: misscheduled(client, app.specs, declared, app.queues()))


def _row_of(misfit: Misfit) -> list[Any]:
    unfit = f"{misfit.unfit:,} of {misfit.looked_at or misfit.jobs:,}"
    return [
        misfit.task,
        misfit.queue,
        misfit.jobs,
        unfit,
        misfit.field,
        misfit.reason,
        misfit.sample,
    ]


def _warning_of(misfit: Misfit) -> str:
    return (
        f"{misfit.jobs:,} jobs of the task {misfit.task!r} wait in the queue {misfit.queue!r}; "
        "this app has no such task and serves no such queue"
    )


def _problems(app: App) -> list[str]:
    problems = [str(fault) for fault in faults_of_dags(app.dags, app.specs)]
    if app.settings.pickle_key:
        return problems
    return problems + [
        f'the task {spec.name!r} has serializer="pickle", but there is no setting pickle_key'
        for spec in app.specs.values()
        if spec.signature.serializer == PICKLE
    ]


async def _look(client: Client) -> tuple[list[WorkerRow], dict[str, int]]:
    live: dict[str, int] = {}
    for (queue, state), count in (await client.counts()).items():
        if state in LIVE:
            live[queue] = live.get(queue, 0) + count
    return await client.workers(), live


def _settings(app: App) -> list[dict[str, Any]]:
    return [
        {"setting": name, "value": value, "source": app.setting_sources[name]}
        for name, value in shown_settings(app.settings).items()
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
