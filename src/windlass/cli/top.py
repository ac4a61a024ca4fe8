"""``windlass top``: queues, workers and what they do, on a screen that keeps itself up to date."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from windlass.app import App
from windlass.cli.options import AsJson, Store
from windlass.cli.output import print_json, print_rendered, table_of
from windlass.engine.client import Client
from windlass.model.holds import Hold
from windlass.model.jobs import TERMINAL, Job, JobFilter, State
from windlass.model.workers import WorkerRow

RUNNING_SHOWN_MAX = 15
LIVE_STATES = (State.QUEUED, State.RUNNING, State.SCHEDULED, State.WAITING, State.HELD)


class Look(msgspec.Struct, frozen=True):
    """What one look at the store has found.  ``at``: seconds on the monotonic clock."""

    at: float
    counts: Mapping[tuple[str, State], int]
    workers: Sequence[WorkerRow]
    running: Sequence[Job]
    holds: Sequence[Hold]

    def ended(self, queue: str) -> int:
        """Return how many jobs of a queue have ended."""
        return sum(self.counts.get((queue, state), 0) for state in TERMINAL)


def top(
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, print, and leave.")] = False,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Show queues, workers and running jobs, live; Ctrl-C leaves.

    Exit code: 0, or 3 without a store.
    """
    app = App(store)
    try:
        look = app.blocking(_look)
        if as_json:
            print_json(_as_data(look))
        elif once:
            print_rendered(_page(look, None))
        else:
            _keep_looking(app, look, interval)
    finally:
        app.close()
    return 0


async def _look(client: Client) -> Look:
    return Look(
        at=time.monotonic(),
        counts=await client.counts(),
        workers=await client.workers(),
        running=await client.jobs(JobFilter(states=(State.RUNNING,)), limit=RUNNING_SHOWN_MAX),
        holds=await client.holds(),
    )


def _keep_looking(app: App, look: Look, interval_s: float) -> None:
    from rich.live import Live

    try:
        with Live(_page(look, None), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval_s)
                before, look = look, app.blocking(_look)
                live.update(_page(look, before), refresh=True)
    except KeyboardInterrupt:
        return


def _page(look: Look, before: Look | None) -> Any:
    from rich.console import Group

    now = datetime.now(UTC)
    queues = sorted({queue for queue, _ in look.counts})
    busy = sum(worker.running for worker in look.workers)
    slots = sum(worker.slots for worker in look.workers)
    return Group(
        f"windlass  {now:%H:%M:%S} UTC   workers {len(look.workers)}   slots {busy}/{slots}",
        table_of(
            ("queue", *LIVE_STATES, "dead", "ended/s"),
            [
                (queue, *(look.counts.get((queue, state), 0) for state in LIVE_STATES),
                 look.counts.get((queue, State.FAILED), 0), _rate(queue, look, before))
                for queue in queues
            ],
        ),
        table_of(
            ("worker", "host", "pid", "queues", "running", "up"),
            [
                (w.id, w.host, w.pid, ", ".join(w.queues), f"{w.running}/{w.slots}",
                 _span(now, w.started_at))
                for w in look.workers
            ],
        ),
        table_of(
            ("running job", "task", "queue", "attempt", "for"),
            [(j.id, j.task, j.queue, j.attempt, _span(now, j.started_at)) for j in look.running],
        ),
        *(f"{hold.reason}: {hold.id} {hold.why}" for hold in look.holds),
    )  # fmt: skip


def _rate(queue: str, look: Look, before: Look | None) -> str:
    if before is None or look.at <= before.at:
        return "-"
    return f"{(look.ended(queue) - before.ended(queue)) / (look.at - before.at):,.0f}"


def _span(now: datetime, since: datetime | None) -> str:
    return "-" if since is None else f"{max(0.0, (now - since).total_seconds()):.1f} s"


def _as_data(look: Look) -> dict[str, Any]:
    return {
        "counts": [{"queue": q, "state": s, "count": n} for (q, s), n in look.counts.items()],
        "workers": look.workers,
        "running": [
            {"id": j.id, "task": j.task, "queue": j.queue, "started_at": j.started_at}
            for j in look.running
        ],
        "holds": look.holds,
    }
