"""``windlass pause``, ``quarantine``, ``resume``, ``holds``: what is not to start for now."""

from typing import Annotated, Any

import typer

from windlass.app import App
from windlass.cli.options import AsJson, Store, ask, json_object
from windlass.cli.output import print_json, print_table
from windlass.engine.client import Client
from windlass.model.holds import Hold, HoldId
from windlass.model.jobs import Reason

ACTOR = "cli"

Queue = Annotated[str | None, typer.Option(help="All jobs of this queue.")]
Task = Annotated[str | None, typer.Option(help="All jobs of this task.")]
Key = Annotated[str | None, typer.Option(help="Jobs of which a limit has this key.")]
Arguments = Annotated[
    str | None, typer.Option(help='Jobs with these arguments, by path: {"order.id": 7}.')
]
Seconds = Annotated[float | None, typer.Option("--for", help="Seconds until it ends by itself.")]
Why = Annotated[str, typer.Option(help="A note for whoever asks why.")]


def pause(
    queue: Queue = None,
    task: Task = None,
    key: Key = None,
    arguments: Arguments = None,
    seconds: Seconds = None,
    why: Why = "",
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Keep jobs from starting until they are resumed; what runs goes on.

    Exit code: 0, 2 if it says nothing to pause, 3 without a store.
    """
    given = {"queue": queue, "task": task, "key": key, "arguments": arguments}
    return _hold(Reason.PAUSED, given, seconds, why, store, as_json)


def quarantine(
    queue: Queue = None,
    task: Task = None,
    key: Key = None,
    arguments: Arguments = None,
    seconds: Seconds = None,
    why: Why = "",
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Put suspicious jobs aside: as pause, but their reason says quarantined.

    Exit code: 0, 2 if it says nothing to hold, 3 without a store.
    """
    given = {"queue": queue, "task": task, "key": key, "arguments": arguments}
    return _hold(Reason.QUARANTINED, given, seconds, why, store, as_json)


def resume(
    ids: Annotated[list[str], typer.Argument(metavar="HOLD...", help="Ids of holds.")],
    store: Store = None,
) -> int:
    """End holds: what they kept from starting is queued again.

    Exit code: 0, 1 if one of them is not in force, 3 without a store.
    """

    async def resume_all(client: Client) -> None:
        for hold_id in ids:
            await client.resume(HoldId(hold_id), actor=ACTOR)
            print(hold_id)

    ask(store, resume_all)
    return 0


def holds(store: Store = None, as_json: AsJson = False) -> int:
    """List the holds in force, and how many jobs each has put aside.

    Exit code: 0, or 3 without a store.
    """
    found = ask(store, lambda client: client.holds())
    if as_json:
        print_json(found)
        return 0
    columns = ("id", "reason", "of", "jobs", "since", "until", "by", "why")
    rows = [
        (h.id, h.reason, _told(h), h.jobs, h.created_at, h.expires_at, h.actor, h.why)
        for h in found
    ]
    print_table(columns, rows, empty="nothing is held")
    return 0


def _hold(
    reason: Reason,
    given: dict[str, str | None],
    seconds: float | None,
    why: str,
    store: str | None,
    as_json: bool,
) -> int:
    which: dict[str, Any] = {**given, "arguments": json_object("arguments", given["arguments"])}
    hold_id = HoldId(App(store).new_job_id())
    hold = ask(
        store,
        lambda client: client.pause(
            hold_id, **which, expires=seconds, why=why, reason=reason, actor=ACTOR
        ),
    )
    print_json(hold) if as_json else print(hold.id)
    return 0


def _told(hold: Hold) -> str:
    what = {"queue": hold.queue, "task": hold.task, "key": hold.key, "arguments": hold.arguments}
    return ", ".join(f"{name} {value}" for name, value in what.items() if value is not None)
