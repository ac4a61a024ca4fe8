"""``windlass schedules …``: look at schedules, and act on them."""

import sys
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import msgspec
import typer
from msgspec import UNSET, UnsetType

from windlass.app import App
from windlass.cli import preview
from windlass.cli.options import AsJson, Store, ask, instant_of, json_object
from windlass.cli.output import decoded, print_facts, print_json, print_table
from windlass.cli.preview import AtInstants, CronText, EverySeconds, Zone, trigger_from
from windlass.cli.target import load_app
from windlass.core.schedules import CODE, Schedule
from windlass.core.ticks import call_of
from windlass.core.triggers import describe
from windlass.core.why_schedules import SKIPS
from windlass.engine.client import Client
from windlass.errors import BadOption
from windlass.model.schedules import (
    CatchUp,
    Fire,
    Leadership,
    Overlap,
    ScheduleRow,
    ScheduleRule,
    Status,
)

PAGE = 1_000
NONE = "none"

Name = Annotated[str, typer.Argument(help="The name of the schedule.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of schedules.")]
Overlaps = Annotated[
    Overlap | None, typer.Option(help="What becomes of a tick while an earlier job is live.")
]
CatchesUp = Annotated[
    CatchUp | None, typer.Option(help="Which ticks start that nobody served in time.")
]
CatchUpMax = Annotated[
    int | None, typer.Option(help="With --catch-up all, at most so many of the latest.")
]
Grace = Annotated[
    str | None, typer.Option(help="Seconds that a tick may be late to start; or none: any.")
]
PauseAfter = Annotated[int | None, typer.Option(help="Pause after so many failed jobs in a row.")]
Tags = Annotated[list[str] | None, typer.Option(help="A label; may be repeated.")]

commands = typer.Typer(help="Look at schedules, and act on them.", no_args_is_help=True)


@commands.command("list")
def list_schedules(
    tag: Annotated[str | None, typer.Option(help="Only with this tag.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 100,
    after: Annotated[str, typer.Option(help="Go on after the last name shown.")] = "",
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """List schedules by name: when they fire, when they fired last, how late, what they missed.

    Exit code: 0, or 3 without a store.
    """

    async def look(client: Client) -> tuple[list[ScheduleRow], Leadership | None]:
        return await _page(client, limit, after, status, tag), await client.schedules.leader()

    rows, leader = ask(store, look)
    if as_json:
        print_json([_as_data(row) for row in rows])
        return 0
    columns = ("name", "status", "when", "next", "last", "late s", "started", "misfires")
    cells = [
        (
            row.name,
            row.status,
            _when(row),
            row.next_at if row.status is Status.ACTIVE else None,
            row.last_fire_at,
            None if row.last_late_s is None else f"{row.last_late_s:.3f}",
            row.started,
            row.misfires,
        )
        for row in rows
    ]
    print_table(columns, cells, empty="no schedules")
    if rows:
        print(_of_leader(leader))
    return 0


@commands.command("show")
def show(name: Name, store: Store = None, as_json: AsJson = False) -> int:
    """Show all that is known of a schedule, and its last outcomes.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """

    async def look(client: Client) -> tuple[ScheduleRow, list[Fire]]:
        return await client.schedules.get(name), await client.schedules.fires(name, limit=10)

    row, fires = ask(store, look)
    if as_json:
        print_json({**_as_data(row), "fires": fires})
        return 0
    facts = _facts(row)
    print_facts({key: value for key, value in facts.items() if value not in (None, "")})
    _print_fires(fires)
    return 0


@commands.command("fires")
def fires(
    name: Name,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="At most so many.")] = 50,
    before: Annotated[str | None, typer.Option(help="Only before this instant.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """List what became of a schedule's ticks, the newest first; also of one that was removed.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    until = None if before is None else instant_of("before", before)

    async def look(client: Client) -> list[Fire]:
        found = await client.schedules.fires(name, limit=limit, before=until)
        if not found:
            await client.schedules.get(name)
        return found

    found = ask(store, look)
    print_json(found) if as_json else _print_fires(found)
    return 0


commands.command("preview")(preview.preview)


@commands.command("add")
def add(
    target: Annotated[str, typer.Argument(help="The app, as module:attribute.")],
    name: Name,
    task: Annotated[str, typer.Argument(help="The name of the task.")],
    expression: CronText = None,
    tz: Zone = "UTC",
    interval: EverySeconds = None,
    instants: AtInstants = None,
    arguments: Annotated[str, typer.Option(help="A JSON object of the task's arguments.")] = "{}",
    start: Annotated[str | None, typer.Option(help="Nothing fires before this instant.")] = None,
    end: Annotated[str | None, typer.Option(help="Nothing fires after this instant.")] = None,
    window: Annotated[
        bool, typer.Option("--window", help="Each job is about the span since the tick before.")
    ] = False,
    overlap: Overlaps = None,
    catch_up: CatchesUp = None,
    catch_up_max: CatchUpMax = None,
    grace: Grace = None,
    jitter: Annotated[float, typer.Option(help="Seconds to spread the starts over.")] = 0.0,
    pause_after: PauseAfter = None,
    tag: Tags = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Make a schedule, or a new version of the one of its name.

    One that stands in the code under this name comes back when a scheduler starts.
    Exit code: 0, 2 for a mistake in the trigger or the arguments, 3 without a store.
    """
    app = load_app(target)
    if store is not None:
        app.use_store(store)
    schedule = Schedule(
        trigger_from(expression, tz, interval, instants, anchor=None),
        arguments=json_object("arguments", arguments),
        start=None if start is None else instant_of("start", start, tz),
        end=None if end is None else instant_of("end", end, tz),
        window=window,
        overlap=overlap,
        catch_up=catch_up,
        catch_up_max=catch_up_max,
        jitter=jitter,
        pause_after=pause_after,
        tags=tag or (),
        grace=_grace(grace),
    )
    if name in _names_in_code(app):
        told = "note: the code has a schedule {!r}, which comes back when a scheduler starts"
        print(told.format(name), file=sys.stderr)
    try:
        row = app.schedules.put(name, app.task_named(task), schedule)
    finally:
        app.close()
    if as_json:
        print_json(_as_data(row))
        return 0
    fires = row.why if row.next_at is None else f"the next tick is at {row.next_at.isoformat()}"
    print(f"{row.name} version {row.version}: {fires}")
    return 0


@commands.command("pause")
def pause(
    names: Names,
    why: Annotated[str, typer.Option(help="A note for whoever asks why.")] = "",
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Have schedules fire no more until they are resumed; what they started goes on.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    return _act(store, names, lambda client, name: client.schedules.pause(name, why=why), as_json)


@commands.command("resume")
def resume(names: Names, store: Store = None, as_json: AsJson = False) -> int:
    """Have paused schedules fire again, and held ones be tried again.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    return _act(store, names, lambda client, name: client.schedules.resume(name), as_json)


@commands.command("remove")
def remove(names: Names, store: Store = None, as_json: AsJson = False) -> int:
    """Take schedules away; what they started goes on.  Those in the code come back.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    return _act(store, names, lambda client, name: client.schedules.remove(name), as_json)


@commands.command("start")
def start(name: Name, store: Store = None, as_json: AsJson = False) -> int:
    """Start the job of a schedule now, beside its ticks; print the job's id.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    new_id = App(store).new_job_id()
    job_id = ask(store, lambda client: client.schedules.start(name, new_id))
    print_json({"id": job_id}) if as_json else print(job_id)
    return 0


@commands.command("why")
def why(name: Name, store: Store = None, as_json: AsJson = False) -> int:
    """Tell why a schedule does not fire, or when it will.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    told = ask(store, lambda client: client.schedules.why(name))
    if as_json:
        print_json(told)
    else:
        print_facts({"cause": told.cause, "because": told.because, "way on": told.way_on})
    return 0


def _act(
    store: str | None,
    names: list[str],
    act: Callable[[Client, str], Coroutine[Any, Any, ScheduleRow]],
    as_json: bool,
) -> int:
    async def act_on_all(client: Client) -> list[ScheduleRow]:
        return [await act(client, name) for name in names]

    rows = ask(store, act_on_all)
    if as_json:
        print_json([{"name": row.name, "status": row.status, "why": row.why} for row in rows])
    else:
        for row in rows:
            print(f"{row.name} {row.status}")
    return 0


def _names_in_code(app: App) -> set[str]:
    return {each.name or spec.name for spec in app.specs.values() for each in spec.schedules}


async def _page(
    client: Client, limit: int, after: str, status: Status | None, tag: str | None
) -> list[ScheduleRow]:
    """Return schedules by name; those without the tag do not count for the limit."""
    found: list[ScheduleRow] = []
    at_once = limit if tag is None else PAGE
    while len(found) < limit:
        page = await client.schedules.page(limit=at_once, after=after, status=status)
        if not page:
            break
        found += [row for row in page if tag is None or tag in _tags(row)]
        after = page[-1].name
    return found[:limit]


def _of_leader(leader: Leadership | None) -> str:
    if leader is None or leader.left_s <= 0:
        return "no scheduler leads, so nothing fires; start one: windlass scheduler module:app"
    return f"scheduler {leader.leader} leads"


def _grace(text: str | None) -> float | UnsetType | None:
    """Return the argument ``grace``; UNSET if the option was not given.  Raises: BadOption."""
    if text is None:
        return UNSET
    if text == NONE:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BadOption("grace", text, f"must be seconds, or {NONE}") from error


# -- what is shown -----------------------------------------------------------


def _rule(row: ScheduleRow) -> ScheduleRule | None:
    """Return what a schedule says; None if a newer version has written what cannot be read."""
    try:
        return msgspec.json.decode(row.rule, type=ScheduleRule)
    except msgspec.DecodeError:
        return None


def _tags(row: ScheduleRow) -> tuple[str, ...]:
    rule = _rule(row)
    return () if rule is None else rule.tags


def _when(row: ScheduleRow) -> str:
    rule = _rule(row)
    return "(cannot be read here)" if rule is None else describe(rule.trigger, row.name)


def _facts(row: ScheduleRow) -> dict[str, Any]:
    """Return what people want to know of a schedule, in the order in which they ask."""
    call = call_of(row)
    facts = {
        "name": row.name,
        "status": f"{row.status}: {row.why}" if row.why else row.status,
        "when": _when(row),
        "next tick": row.next_at if row.status is Status.ACTIVE else None,
        "starts at": row.due_at if row.due_at != row.next_at else None,
        "last start": row.last_fire_at,
        "late": None if row.last_late_s is None else f"{row.last_late_s:.3f} s",
        "its job": row.last_job_id,
        "started": row.started,
        "misfires": row.misfires,
        "task": call.task,
        "queue": call.queue,
        "arguments": decoded(call.payload),
    }
    declared = "beside its task" if row.origin == CODE else f"by {row.origin}"
    facts |= _policy(_rule(row))
    return facts | {"declared": f"{declared}, version {row.version}", "since": row.created_at}


def _policy(rule: ScheduleRule | None) -> dict[str, Any]:
    if rule is None:
        return {}
    catch_up = f"{rule.catch_up}"
    if rule.catch_up_max is not None:
        catch_up += f", at most {rule.catch_up_max}"
    return {
        "window": "since the tick before" if rule.window else None,
        "catch-up": catch_up,
        "grace": "however late" if rule.grace_s is None else f"{rule.grace_s:g} s",
        "overlap": rule.overlap,
        "jitter": f"up to {rule.jitter_s:g} s" if rule.jitter_s else None,
        "from": rule.start_at,
        "until": rule.end_at,
        "pause": "counts as an outage" if rule.pause_counts else None,
        "pauses": f"after {rule.pause_after} failures" if rule.pause_after else None,
        "tags": ", ".join(rule.tags),
    }


def _as_data(row: ScheduleRow) -> dict[str, Any]:
    """Return a schedule with what its texts hold."""
    data: dict[str, Any] = msgspec.structs.asdict(row)
    call = call_of(row)
    data["when"] = _when(row)
    data["rule"] = msgspec.json.decode(row.rule)
    data["call"] = {
        "task": call.task,
        "queue": call.queue,
        "priority": call.priority,
        "arguments": decoded(call.payload),
    }
    return data


def _print_fires(found: list[Fire]) -> None:
    columns = ("tick", "until", "count", "outcome", "job", "decided", "version")
    rows = [
        (
            fire.fire_at,
            fire.until if fire.count > 1 else None,
            fire.count,
            "started" if fire.reason is None else f"{fire.reason}: {SKIPS[fire.reason]}",
            fire.job_id,
            fire.decided_at,
            fire.version,
        )
        for fire in found
    ]
    print_table(columns, rows, empty="no outcomes yet")
