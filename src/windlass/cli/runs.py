"""``windlass runs …``: look at runs of DAGs and workflows, and cancel them."""

from typing import Annotated, Any

import msgspec
import typer

from windlass.cli.options import AsJson, Store, ask
from windlass.cli.output import print_facts, print_json, print_table
from windlass.core.lifecycle import decode_error
from windlass.core.occasion import occasion_of
from windlass.engine.client import Client
from windlass.model.jobs import Job, JobId, RunKind, State
from windlass.model.runs import Step

ACTOR = "cli"
PAGE = 1_000

commands = typer.Typer(
    help="Look at runs of DAGs and workflows, and cancel them.", no_args_is_help=True
)


@commands.command("list")
def list_runs(
    name: Annotated[str | None, typer.Option(help="Only of this DAG or workflow.")] = None,
    kind: Annotated[RunKind | None, typer.Option(help="Only of DAGs, or of workflows.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="Only in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 50,
    before: Annotated[str | None, typer.Option(help="Go on after the last id shown.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """List runs, the newest first.

    Exit code: 0, or 3 without a store.
    """
    last = None if before is None else JobId(before)
    found = ask(
        store,
        lambda client: client.runs.page(
            limit=limit, before=last, name=name, kind=kind, states=state
        ),
    )
    if as_json:
        print_json([_as_data(run) for run in found])
        return 0
    columns = ("id", "kind", "name", "state", "reason", "window or tick", "created", "ended")
    rows = [
        (r.id, r.kind, r.task, r.state, r.reason, _occasion(r), r.created_at, r.ended_at)
        for r in found
    ]
    print_table(columns, rows, empty="no runs")
    return 0


@commands.command("show")
def show(run_id: str, store: Store = None, as_json: AsJson = False) -> int:
    """Show a run and its steps.

    Exit code: 0, 1 if there is no such run, 3 without a store.
    """

    async def look(client: Client) -> tuple[Job, list[Step]]:
        run = await client.runs.get(JobId(run_id))
        return run, [step async for step in client.runs.steps(run.id)]

    run, steps = ask(store, look)
    if as_json:
        print_json({**_as_data(run), "steps": steps})
        return 0
    facts = {
        "run": run.id,
        "kind": run.kind,
        "name": run.task,
        "state": run.state if run.reason is None else f"{run.state} ({run.reason})",
        "window or tick": _occasion(run),
        "created": run.created_at,
        "ended": run.ended_at,
        "error": None if run.error is None else decode_error(run.error).message,
    }
    print_facts({name: value for name, value in facts.items() if value is not None})
    columns = ("step", "task", "job", "state", "reason", "rule", "attempt", "seconds", "error")
    print_table(columns, [_row(step) for step in steps], empty="no steps yet")
    return 0


@commands.command("cancel")
def cancel(
    ids: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of runs.")],
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Cancel all steps of runs that have not started; ask those that run to stop.

    Exit code: 0, 1 if one of them does not exist, 3 without a store.
    """

    async def act(client: Client) -> list[dict[str, Any]]:
        runs = [await client.runs.get(JobId(one)) for one in ids]
        return [{"id": r.id, "state": await client.cancel(r.id, actor=ACTOR)} for r in runs]

    answers = ask(store, act)
    if as_json:
        print_json(answers)
    else:
        for answer in answers:
            print("  ".join(map(str, answer.values())))
    return 0


def _row(step: Step) -> tuple[Any, ...]:
    name = step.name if step.nth == 0 else f"{step.name} [{step.nth}]"
    seconds = None
    if step.started_at is not None and step.ended_at is not None:
        seconds = f"{(step.ended_at - step.started_at).total_seconds():.3f}"
    facts = (step.task, step.job_id, step.state, step.reason, step.rule, step.attempt)
    return (name, *facts, seconds, step.error_type)


def _occasion(run: Job) -> str | None:
    occasion = occasion_of(run.headers)
    if occasion is None:
        return None
    fire_at = occasion.fire_at.isoformat()
    if occasion.window_start is None:
        return fire_at
    return f"{occasion.window_start.isoformat()} to {fire_at}"


def _as_data(run: Job) -> dict[str, Any]:
    shown = ("id", "kind", "task", "queue", "state", "reason", "created_at", "ended_at")
    data = msgspec.structs.asdict(run)
    facts = {name: data[name] for name in shown}
    error = None if run.error is None else decode_error(run.error)
    return {**facts, "occasion": occasion_of(run.headers), "error": error}
