"""``windlass workers …``: look at workers, and drain them."""

from typing import Annotated

import typer

from windlass.cli.options import AsJson, Store, ask
from windlass.cli.output import print_json, print_table
from windlass.engine.client import Client
from windlass.model.jobs import WorkerId

commands = typer.Typer(help="Look at workers, and drain them.", no_args_is_help=True)

COLUMNS = ("id", "host", "pid", "queues", "running", "slots", "since", "lease until")


@commands.command("list")
def list_workers(store: Store = None, as_json: AsJson = False) -> int:
    """List the workers that hold a lease.

    Exit code: 0, or 3 without a store.
    """
    found = ask(store, lambda client: client.workers())
    if as_json:
        print_json(found)
        return 0
    rows = [
        (w.id, w.host, w.pid, ", ".join(w.queues), w.running, w.slots, w.started_at, w.lease_until)
        for w in found
    ]
    print_table(COLUMNS, rows, empty="no workers")
    return 0


@commands.command("drain")
def drain(
    ids: Annotated[list[str], typer.Argument(metavar="WORKER...", help="Ids of workers.")],
    store: Store = None,
) -> int:
    """Have workers end what they run, claim no more, and stop.

    Exit code: 0, 1 if one of them holds no lease, 3 without a store.
    """

    async def drain_all(client: Client) -> None:
        for worker in ids:
            await client.drain(WorkerId(worker))
            print(worker)

    ask(store, drain_all)
    return 0
