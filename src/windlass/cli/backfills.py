"""``windlass backfills …``: run the past of a schedule as ordinary jobs."""

from collections import Counter
from typing import Annotated, Any

import msgspec
import typer

from windlass.app import App
from windlass.cli.options import AsJson, Store, ask, instant_of
from windlass.cli.output import print_json, print_table
from windlass.core.backfills import backfill_request
from windlass.engine.client import Client
from windlass.model.backfills import Backfill, BackfillId, BackfillItem, BackfillRequest
from windlass.model.jobs import LIVE, State

ACTOR = "cli"
PAGE = 1_000
SHOWN_MAX = 100

Id = Annotated[str, typer.Argument(metavar="BACKFILL", help="The id of a backfill.")]

commands = typer.Typer(help="Run the past of a schedule as ordinary jobs.", no_args_is_help=True)


@commands.command("start")
def start(
    name: Annotated[str, typer.Argument(help="The name of the schedule.")],
    since: Annotated[str, typer.Option("--from", help="The first instant, ISO 8601.")],
    until: Annotated[str, typer.Option("--to", help="The end, not included.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would become of each tick; do nothing.")
    ] = False,
    order: Annotated[str, typer.Option(help="oldest or newest first.")] = "oldest",
    reprocess: Annotated[
        str, typer.Option(help="missing, failed (run those again too) or all.")
    ] = "missing",
    parallelism: Annotated[int, typer.Option(help="Jobs of it that run at once.")] = 1,
    priority: Annotated[int | None, typer.Option(help="Of its jobs; else one below.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Run the ticks of a past range, and print the id of the backfill.

    Exit code: 0, 1 if there is no such schedule, 2 for a mistake in the range, 3 without a store.
    """
    app = App(store)
    backfill = BackfillId(app.new_job_id())

    async def begin(client: Client) -> tuple[BackfillRequest, list[BackfillItem]]:
        request = backfill_request(
            backfill,
            await client.schedules.get(name),
            instant_of("from", since),
            instant_of("to", until),
            order=order,
            reprocess=reprocess,
            parallelism=parallelism,
            priority=priority,
            actor=ACTOR,
        )
        if dry_run:
            return request, (await client.schedules.plan_backfill(request))[1]
        return request, await client.schedules.backfill(request, app.new_job_id)

    request, items = ask(store, begin)
    if as_json:
        told = {"id": None if dry_run else request.id, "items": items}
        print_json(told)
        return 0
    if dry_run:
        _print_items(items)
    counted = Counter(str(item.plan) for item in items)
    print(", ".join(f"{count} {plan}" for plan, count in counted.items()) or "no ticks")
    print("nothing was done" if dry_run else request.id)
    return 0


@commands.command("list")
def list_backfills(
    schedule: Annotated[str | None, typer.Option(help="Only of this schedule.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 50,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """List backfills, the newest first, with how far they are.

    Exit code: 0, or 3 without a store.
    """
    found = ask(store, lambda client: client.schedules.backfills(limit=limit, schedule=schedule))
    if as_json:
        print_json([_as_data(backfill) for backfill in found])
        return 0
    columns = ("id", "schedule", "from", "to", "jobs", "left", "failed", "cancelled", "made")
    rows = [
        (
            b.request.id,
            b.request.schedule,
            b.request.since,
            b.request.until,
            sum(b.jobs.values()),
            sum(count for state, count in b.jobs.items() if state in LIVE),
            b.jobs.get(State.FAILED, 0),
            b.cancelled_at,
            b.created_at,
        )
        for b in found
    ]
    print_table(columns, rows, empty="no backfills")
    return 0


@commands.command("jobs")
def jobs(backfill: Id, store: Store = None, as_json: AsJson = False) -> int:
    """List the jobs of a backfill, the oldest tick first.

    Exit code: 0, or 3 without a store.
    """
    found = ask(store, lambda client: client.schedules.backfill_jobs(BackfillId(backfill)))
    if as_json:
        print_json(found)
        return 0
    rows = [(job.fire_at, job.job_id, job.state or "not kept any more") for job in found]
    print_table(("tick", "job", "state"), rows, empty="no jobs")
    return 0


@commands.command("cancel")
def cancel(backfill: Id, store: Store = None) -> int:
    """Cancel the jobs of a backfill that have not ended; print how many that was.

    Exit code: 0, 1 if there is no such backfill, 3 without a store.
    """
    asked = BackfillId(backfill)
    print(ask(store, lambda client: client.schedules.cancel_backfill(asked, actor=ACTOR)))
    return 0


def _print_items(items: list[BackfillItem]) -> None:
    rows = [
        (item.fire_at, item.window_start, "runs" if item.runs else "left alone", item.plan)
        for item in items[:SHOWN_MAX]
    ]
    print_table(("tick", "window from", "what", "why"), rows, empty="")
    if len(items) > SHOWN_MAX:
        print(f"… and {len(items) - SHOWN_MAX:,} more; --json shows all")


def _as_data(backfill: Backfill) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(backfill.request),
        "created_at": backfill.created_at,
        "cancelled_at": backfill.cancelled_at,
        "jobs": {str(state or "gone"): count for state, count in backfill.jobs.items()},
    }
