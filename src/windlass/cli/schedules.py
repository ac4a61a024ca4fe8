"""``windlass schedules …``: look at schedules, and act on them."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
import typer

from windlass.app import App
from windlass.cli.options import AsJson, Store, ask, json_object
from windlass.cli.output import decoded, print_facts, print_json, print_table
from windlass.cli.target import load_app
from windlass.core.schedules import Schedule
from windlass.core.ticks import call_of, rule_of
from windlass.core.triggers import compile_trigger, cron, describe, every
from windlass.engine.client import Client
from windlass.engine.schedules import ComingTick, coming
from windlass.errors import BadOption
from windlass.model.schedules import Fire, ScheduleRow, ScheduleRule, Status
from windlass.model.triggers import AllOf, AnyOf, BusinessDays, Cron, Excluding, Rrule, Trigger

PAGE = 1_000
RANGE_MAX = 100_000

Name = Annotated[str, typer.Argument(help="The name of the schedule.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of schedules.")]
CronText = Annotated[
    str | None, typer.Option("--cron", help="A cron expression, such as '30 2 * * *'.")
]
EverySeconds = Annotated[
    float | None, typer.Option("--every", help="An interval in seconds, in place of cron.")
]
Zone = Annotated[str, typer.Option("--tz", help="IANA time zone of the expression.")]

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
    rows = ask(store, lambda client: client.schedules.page(limit=limit, after=after, status=status))
    rows = [row for row in rows if tag is None or tag in _tags(row)]
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
    return 0


@commands.command("show")
def show(name: Name, store: Store = None, as_json: AsJson = False) -> int:
    """Show all that is known of a schedule, and its last outcomes.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """

    async def look(client: Client) -> tuple[ScheduleRow, list[Fire]]:
        return await client.schedules.get(name), await client.schedules.fires(name, limit=10)

    row, fires = ask(store, look)
    data = _as_data(row)
    if as_json:
        print_json({**data, "fires": fires})
        return 0
    print_facts({key: value for key, value in data.items() if value not in (None, "", [])})
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
    """List what became of a schedule's ticks, the newest first.

    Exit code: 0, or 3 without a store.
    """
    until = None if before is None else _instant("before", before)
    found = ask(store, lambda client: client.schedules.fires(name, limit=limit, before=until))
    print_json(found) if as_json else _print_fires(found)
    return 0


@commands.command("preview")
def preview(
    name: Annotated[str | None, typer.Argument(help="The name of a schedule.")] = None,
    expression: CronText = None,
    tz: Zone = "UTC",
    interval: EverySeconds = None,
    count: Annotated[int, typer.Option("-n", min=1, max=PAGE, help="So many ticks.")] = 10,
    since: Annotated[str | None, typer.Option("--from", help="From this instant on.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="Up to this instant.")] = None,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Show the next ticks of a schedule, or of --cron or --every; all of a range with --to.

    Ticks that a change of the clock moves, repeats or swallows are marked.
    Exit code: 0, 1 if there is no such schedule, 2 for a mistake in the trigger, 3 without a store.
    """
    begin = None if since is None else _instant("from", since)
    end = None if until is None else _instant("to", until)
    many = count if end is None else RANGE_MAX
    if name is not None:
        row = ask(store, lambda client: client.schedules.get(name))
        rule, compiled = rule_of(row)
    else:
        trigger = trigger_from(expression, tz, interval, begin or datetime.now(UTC))
        rule, compiled = ScheduleRule(trigger=trigger), compile_trigger(trigger, "preview")
    ticks = coming(name or "preview", rule, compiled, begin or datetime.now(UTC), end, many)
    if as_json:
        print_json(ticks)
        return 0
    print(describe(rule.trigger))
    _print_ticks(ticks, _zone_of(rule.trigger))
    return 0


@commands.command("add")
def add(
    target: Annotated[str, typer.Argument(help="The app, as module:attribute.")],
    name: Name,
    task: Annotated[str, typer.Argument(help="The name of the task.")],
    expression: CronText = None,
    tz: Zone = "UTC",
    interval: EverySeconds = None,
    arguments: Annotated[str, typer.Option(help="A JSON object of the task's arguments.")] = "{}",
    overlap: Annotated[
        str | None, typer.Option(help="skip, queue, queue_one, cancel_old or allow.")
    ] = None,
    catch_up: Annotated[str | None, typer.Option(help="latest, none or all.")] = None,
    jitter: Annotated[float, typer.Option(help="Seconds to spread the starts over.")] = 0.0,
    store: Store = None,
    as_json: AsJson = False,
) -> int:
    """Make a schedule, or a new version of the one of its name.

    Exit code: 0, 2 for a mistake in the trigger or the arguments, 3 without a store.
    """
    app = load_app(target)
    if store is not None:
        app.use_store(store)
    trigger = trigger_from(expression, tz, interval, None)
    schedule = Schedule(
        trigger,
        arguments=json_object("arguments", arguments),
        overlap=overlap,
        catch_up=catch_up,
        jitter=jitter,
    )
    try:
        row = app.schedules.put(name, app.task_named(task), schedule)
    finally:
        app.close()
    print_json(_as_data(row)) if as_json else print(f"{row.name} version {row.version}")
    return 0


@commands.command("pause")
def pause(
    names: Names,
    why: Annotated[str, typer.Option(help="A note for whoever asks why.")] = "",
    store: Store = None,
) -> int:
    """Have schedules fire no more until they are resumed; what they started goes on.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    return _act(store, names, lambda client, name: client.schedules.pause(name, why=why))


@commands.command("resume")
def resume(names: Names, store: Store = None) -> int:
    """Have paused schedules fire again.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    return _act(store, names, lambda client, name: client.schedules.resume(name))


@commands.command("remove")
def remove(names: Names, store: Store = None) -> int:
    """Take schedules away; what they started goes on.  Those in the code come back.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    return _act(store, names, lambda client, name: client.schedules.remove(name))


@commands.command("start")
def start(name: Name, store: Store = None) -> int:
    """Start the job of a schedule now, beside its ticks; print the job's id.

    Exit code: 0, 1 if there is no such schedule, 3 without a store.
    """
    new_id = App(store).new_job_id()
    print(ask(store, lambda client: client.schedules.start(name, new_id)))
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
) -> int:
    async def act_on_all(client: Client) -> None:
        for name in names:
            row = await act(client, name)
            print(f"{row.name} {row.status}")

    ask(store, act_on_all)
    return 0


def trigger_from(
    expression: str | None, tz: str, interval: float | None, anchor: datetime | None
) -> Trigger:
    """Return the trigger that the options say.  Raises: BadOption, BadTrigger, UnknownZone."""
    if (expression is None) == (interval is None):
        raise BadOption("cron", expression, "give either --cron or --every")
    if interval is not None:
        return every(interval, anchor=anchor)
    assert expression is not None
    return cron(expression, tz=tz)


def _instant(option: str, text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        why = "must be ISO 8601, for instance 2027-01-31T08:00Z"
        raise BadOption(option, text, why) from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _tags(row: ScheduleRow) -> tuple[str, ...]:
    return rule_of(row)[0].tags


def _when(row: ScheduleRow) -> str:
    return describe(rule_of(row)[0].trigger)


def _as_data(row: ScheduleRow) -> dict[str, Any]:
    """Return a schedule with what its texts hold."""
    data: dict[str, Any] = msgspec.structs.asdict(row)
    call = call_of(row.call)
    data["when"] = _when(row)
    data["rule"] = msgspec.json.decode(row.rule)
    data["call"] = {
        "task": call.task,
        "queue": call.queue,
        "priority": call.priority,
        "arguments": decoded(call.payload),
    }
    return data


def _zone_of(trigger: Trigger) -> str:
    """Return the zone in which a trigger's ticks are shown: its own, or that of its first part."""
    match trigger:
        case Cron() | Rrule() | BusinessDays():
            return trigger.zone
        case AnyOf() | AllOf():
            return _zone_of(trigger.triggers[0])
        case Excluding():
            return _zone_of(trigger.trigger)
        case _:
            return "UTC"


def _print_fires(found: list[Fire]) -> None:
    columns = ("tick", "until", "count", "outcome", "job", "decided", "version")
    rows = [
        (
            fire.fire_at,
            fire.until if fire.count > 1 else None,
            fire.count,
            "started" if fire.reason is None else f"skipped: {fire.reason}",
            fire.job_id,
            fire.decided_at,
            fire.version,
        )
        for fire in found
    ]
    print_table(columns, rows, empty="no outcomes yet")


def _print_ticks(ticks: list[ComingTick], zone: str) -> None:
    local = ZoneInfo(zone)
    columns = ("tick", f"in {zone}", "starts", "window from", "note")
    rows = [
        (
            tick.at,
            tick.at.astimezone(local).strftime("%a %Y-%m-%d %H:%M:%S %Z"),
            tick.due_at if tick.due_at != tick.at else None,
            tick.since,
            tick.case,
        )
        for tick in ticks
    ]
    print_table(columns, rows, empty="no ticks")
