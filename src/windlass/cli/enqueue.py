"""``windlass enqueue``: store a request to run a task, from a shell."""

import sys
from datetime import datetime
from typing import Annotated, Any

import msgspec
import typer

from windlass.cli.options import AsJson, Store
from windlass.cli.output import decoded, print_json
from windlass.cli.target import load_app
from windlass.errors import BadArguments, BadOption
from windlass.handles import raise_unless_succeeded

STDIN = "-"


def enqueue(
    target: Annotated[str, typer.Argument(help="The app, as module:attribute.")],
    task: Annotated[str, typer.Argument(help="The name of the task.")],
    arguments: Annotated[
        str, typer.Argument(help="A JSON object by name or array by position; - reads stdin.")
    ] = "{}",
    delay: Annotated[float | None, typer.Option(help="Seconds before it may start.")] = None,
    run_at: Annotated[str | None, typer.Option(help="When it may start, ISO 8601.")] = None,
    expires: Annotated[float | None, typer.Option(help="Seconds it may wait at most.")] = None,
    priority: Annotated[int | None, typer.Option(help="-100 to 100, higher first.")] = None,
    queue: Annotated[str | None, typer.Option(help="The queue, over the task's own.")] = None,
    unique_key: Annotated[str | None, typer.Option(help="One live job of this key.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the job; print its result.")] = (
        False
    ),
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Store a request to run a task, and print the job's id.

    Exit code: 0 stored (with --wait: succeeded), 1 the job failed, 2 wrong arguments,
    3 without a store, 4 not ended in time.
    """
    app = load_app(target)
    if store is not None:
        app.use_store(store)
    args, kwargs = _call(task, sys.stdin.read() if arguments == STDIN else arguments)
    options = app.task_named(task).using(
        delay=delay,
        run_at=None if run_at is None else _instant(run_at),
        expires=expires,
        priority=priority,
        queue=queue,
        unique_key=unique_key,
    )
    try:
        job = options.enqueue(*args, **kwargs)
        if not wait:
            print_json({"id": job.id}) if as_json else print(job.id)
            return 0
        finished = app.whole(app.wait_for(job.id, timeout))
    finally:
        app.close()
    raise_unless_succeeded(finished)
    result = decoded(finished.result)
    if as_json:
        print_json({"id": job.id, "state": finished.state, "result": result})
    else:
        print(msgspec.json.encode(result).decode())
    return 0


def _call(task: str, text: str) -> tuple[list[Any], dict[str, Any]]:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadArguments(task, None, f"they are not JSON: {error}") from error
    match value:
        case list():
            return value, {}
        case dict():
            return [], value
    raise BadArguments(task, None, "give a JSON object by name, or an array by position")


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOption("run_at", text, "must be ISO 8601, for instance 2027-01-31T08:00Z") from (
            error
        )
